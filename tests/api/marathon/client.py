"""A client that speaks to the application itself, without a socket, so that virtual time can pass."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.applications import Starlette

from portway.api.guard import TRUSTED
from tests.controller.inprocess import Portway


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(kw_only=True)
class Client:
    """Asks as a trusted caller, unless it is told to come over TCP."""

    app: Starlette
    portway: Portway
    trusted: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    client: tuple[str, int] = ("127.0.0.1", 40000)

    @property
    def marathon(self) -> Any:
        return self.portway.operations.marathon

    async def __call__(
        self, method: str, url: str, body: Any = None, *, text: str | None = None, **headers: str
    ) -> Reply:
        split = urlsplit(url)
        content = text if text is not None else "" if body is None else json.dumps(body)
        sent = {"host": "127.0.0.1:8080", **self.headers}
        if content:
            sent["content-type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(split.path),
            "raw_path": split.path.encode(),
            "root_path": "",
            "query_string": split.query.encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in sent.items()],
            "client": self.client,
            "server": ("127.0.0.1", 8080),
            **({TRUSTED: True} if self.trusted else {}),
        }
        messages = [{"type": "http.request", "body": content.encode(), "more_body": False}]
        got: list[Any] = []

        async def receive() -> Any:
            if not messages:
                await asyncio.Event().wait()
            return messages.pop(0)

        async def send(message: Any) -> None:
            got.append(message)

        await self.app(scope, receive, send)
        start = got[0]
        return Reply(
            status=start["status"],
            headers={k.decode().lower(): v.decode() for k, v in start["headers"]},
            body=b"".join(m.get("body", b"") for m in got[1:]),
        )

    async def get(self, url: str, **headers: str) -> Any:
        """The JSON of what is there."""
        reply = await self("GET", url, **headers)
        assert reply.status == 200, (url, reply.status, reply.body)
        return reply.json

    async def refusal(self, method: str, url: str, body: Any = None, **given: Any) -> Any:
        """Status and body of what is refused."""
        reply = await self(method, url, body, **given)
        assert reply.status >= 400, (reply.status, reply.body)
        return reply.status, reply.json

    async def deploy(self, method: str, url: str, body: Any = None) -> Reply:
        """A call that deploys, and its deployment done."""
        reply = await self(method, url, body)
        assert reply.status in (200, 201, 202), (url, reply.status, reply.body)
        await self.rested()
        return reply

    async def rested(self) -> None:
        """Let time pass until no deployment runs."""
        await self.portway.until(lambda: not self.marathon.catalogue.deployments)
