"""A listener of GET /v2/events at the application itself: it reads, or lets what it is sent lie."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from portway.api.guard import TRUSTED
from portway.api.impatient import ABORT
from tests.api.marathon.client import Client


@dataclass(kw_only=True)
class Stream:
    """What one listener got so far."""

    client: Client
    query: str = ""
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    start: dict[str, Any] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    is_complete: bool = False
    is_aborted: bool = False

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events, each frame taken apart as the specification of server-sent events has it."""
        frames = b"".join(self.parts).decode().split("\r\n\r\n")
        found: list[dict[str, Any]] = []
        for frame in frames:
            lines = dict(line.split(": ", 1) for line in frame.split("\r\n") if line)
            if lines:
                event = json.loads(lines["data"])
                assert lines["event"] == event["eventType"]
                found.append(event)
        return found

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["eventType"] == kind]

    async def run(self) -> None:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/v2/events",
            "raw_path": b"/v2/events",
            "root_path": "",
            "query_string": self.query.encode(),
            "headers": [(b"host", b"127.0.0.1:8080"), (b"accept", b"text/event-stream")],
            "client": ("10.0.0.9", 40000),
            "server": ("127.0.0.1", 8080),
            "extensions": {ABORT: self._abort},
            TRUSTED: True,
        }
        await self.client.app(scope, self._receive, self._send)

    def _abort(self) -> None:
        self.is_aborted = True
        self.left.set()

    async def _receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.parts.append(message["body"])
            self.is_complete = not message["more_body"]


@asynccontextmanager
async def listening(
    client: Client, query: str = "", *, reads: bool = True
) -> AsyncIterator[Stream]:
    """One listener, which hears everything from the beginning of the block; it has gone at its end."""
    stream = Stream(client=client, query=query)
    if reads:
        stream.reads.set()
    before = client.marathon.happenings.listeners
    work = asyncio.get_running_loop().create_task(stream.run())
    try:
        await client.portway.until(lambda: client.marathon.happenings.listeners > before)
        yield stream
        await client.portway.idle(1)
    finally:
        stream.left.set()
        stream.reads.set()
        await work
