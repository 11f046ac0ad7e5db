"""GET /v2/events: what happens, as server-sent events, from the moment somebody asks until they go or the server ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from portway.api.impatient import ABORT
from portway.api.marathon.answers import answer
from portway.api.marathon.call import Call
from portway.controller.marathon.happenings import Listener

log = structlog.get_logger()

EVENT_STREAM = "text/event-stream"
# An empty line, as Marathon sends: every reader of events must pass over one, not every one knows comments.
_HEARTBEAT = b"\r\n"
_LAST_WORDS_S = 0.5  # for who is sent away, to read what is still unread
_HEADERS = [(b"content-type", EVENT_STREAM.encode()), (b"x-accel-buffering", b"no")]


async def stream_events(call: Call) -> ASGIApp:
    """GET /v2/events"""
    if not _accepts(call.request.headers.getlist("accept")):
        told = f"HTTP 405 Method Not Allowed. Events are a stream: ask with the header Accept: {EVENT_STREAM}."
        return answer({"message": told}, status=405)
    if call.request.method == "HEAD":
        return Response(headers={"Content-Type": EVENT_STREAM})
    return EventStream(call)


def _accepts(given: Iterable[str]) -> bool:
    named = (one.partition(";")[0] for line in given for one in line.split(","))
    return any(one.strip().lower() == EVENT_STREAM for one in named)


class EventStream:
    """The answer to one listener. What it has not read is bounded; who leaves too much unread is cut off."""

    def __init__(self, call: Call) -> None:
        self._happenings = call.marathon.happenings
        self._kinds = frozenset(call.query.getlist("event_type"))
        self._light = call.query.get("plan-format") == "light"
        self._address = call.client_ip
        self._closing = call.shared.closing
        self._heartbeat_s = call.shared.settings.heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._happenings.listening(self._kinds) as listener:
            self._happenings.publish("event_stream_attached", remoteAddress=self._address)
            try:
                await self._serve(listener, scope, receive, send)
            except* OSError:
                pass  # whoever listened is gone
            finally:
                self._happenings.publish("event_stream_detached", remoteAddress=self._address)

    async def _serve(self, listener: Listener, scope: Scope, receive: Receive, send: Send) -> None:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(listener, send))
            leaving = group.create_task(_until_gone(receive))
            closing = group.create_task(self._closing.wait())
            ended = group.create_task(listener.ended.wait())
            tasks = (sending, leaving, closing, ended)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not leaving.done():
                listener.end()
                await asyncio.wait((sending,), timeout=_LAST_WORDS_S)
            abort = scope.get("extensions", {}).get(ABORT)
            if abort is not None and not sending.done() and not leaving.done():
                abort()  # what is unsent would wait for its reader for ever
                await asyncio.wait((leaving,), timeout=_LAST_WORDS_S)
            for task in tasks:
                task.cancel()
        if listener.is_cut_off:
            log.warning("marathon_listener_cut_off", address=self._address)

    async def _send(self, listener: Listener, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        has_more = True
        while has_more:
            data = await self._next(listener)
            has_more = bool(data) and not listener.ended.is_set()
            await send({"type": "http.response.body", "body": data, "more_body": has_more})

    async def _next(self, listener: Listener) -> bytes:
        """What is unread, a heartbeat when nothing came in time, nothing at the end."""
        try:
            async with asyncio.timeout(self._heartbeat_s):
                await listener.wait()
        except TimeoutError:
            return _HEARTBEAT
        frames = [happening.frame(light=self._light) for happening in listener.take()]
        return frames[0] if len(frames) == 1 else b"".join(frames)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
