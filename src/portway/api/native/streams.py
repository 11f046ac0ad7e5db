"""LineStream: an endless or long answer as NDJSON lines, flushed at once, with heartbeats.

A failure before the first line is an ordinary error answer; one midway is the last line. When the client
goes away, the work behind the stream is ended; when the server stops, the last line says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from portway.api.native.answers import (
    ErrorAnswer,
    ServerStopping,
    encode,
    error_view,
    explained,
    refusal,
)
from portway.core.errors import PortwayError

T = TypeVar("T")

NDJSON = "application/x-ndjson"
_LINES_AHEAD = 256
_HEARTBEAT = b"\n"
_HEADERS = [
    (b"content-type", NDJSON.encode()),
    (b"x-accel-buffering", b"no"),
]


class _ClientGone(Exception):
    """Nobody reads the answer any more."""


@dataclass(frozen=True, slots=True)
class _End:
    """The source is exhausted, or failed."""

    error: PortwayError | None = None


@asynccontextmanager
async def closing_source(source: AsyncIterator[T]) -> AsyncGenerator[AsyncIterator[T], None]:
    """The source, closed at the end: that is how the work behind it is told to stop."""
    try:
        yield source
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


class LineStream:
    """An ASGI application that answers one request with the lines of a source.

    `upload_ended` is set once the request's body is read: from then on the request channel only
    tells that the client has gone.
    """

    def __init__(
        self,
        open_source: Callable[[], AsyncIterator[object]],
        *,
        request: Request,
        closing: asyncio.Event,
        upload_ended: asyncio.Event,
        heartbeat_s: float,
        first_answer_s: float,
    ) -> None:
        self._open_source = open_source
        self._where = f"{request.method} {request.url.path}"
        self._closing = closing
        self._upload_ended = upload_ended
        self._heartbeat_s = heartbeat_s
        self._first_answer_s = first_answer_s
        self._queue: asyncio.Queue[object] = asyncio.Queue(_LINES_AHEAD)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                pump = group.create_task(self._pump())
                watchers = [
                    group.create_task(self._watch_client(receive)),
                    group.create_task(self._watch_server(pump)),
                ]
                await self._answer(scope, receive, send)
                for watcher in watchers:
                    watcher.cancel()
        except* (_ClientGone, OSError):
            pass

    async def _pump(self) -> None:
        end = _End()
        try:
            async with closing_source(self._open_source()) as source:
                async for item in source:
                    await self._queue.put(item)
        except asyncio.CancelledError:
            if not self._closing.is_set():
                raise
            end = _End(ServerStopping("this stream ends here"))
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer)
            end = _End(explained(error, where=self._where))
        await self._queue.put(end)

    async def _watch_client(self, receive: Receive) -> None:
        await self._upload_ended.wait()
        while (await receive())["type"] != "http.disconnect":
            pass
        raise _ClientGone

    async def _watch_server(self, pump: asyncio.Task[None]) -> None:
        await self._closing.wait()
        pump.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        items = await self._next(self._first_answer_s)
        first = items[0] if items else None
        if isinstance(first, _End) and first.error is not None:
            await refusal(first.error)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        while True:
            await send(_body(b"".join(map(_line, items)) if items else _HEARTBEAT, more=True))
            if items and isinstance(items[-1], _End):
                break
            items = await self._next(self._heartbeat_s)
        await send(_body(b"", more=False))

    async def _next(self, timeout_s: float) -> list[object]:
        """What is there now, at least one item; [] when nothing came in time."""
        items: list[object] = []
        try:
            async with asyncio.timeout(timeout_s):
                items.append(await self._queue.get())
        except TimeoutError:
            return []
        while not self._queue.empty():
            items.append(self._queue.get_nowait())
        return items


def _line(item: object) -> bytes:
    if not isinstance(item, _End):
        return encode(item) + b"\n"
    return encode(ErrorAnswer(error=error_view(item.error))) + b"\n" if item.error else b""


def _body(data: bytes, *, more: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}
