"""serve(): one ASGI application on a unix socket and, where asked, on TCP, in the running loop. No signal handlers.

It owns the sockets, the patience with slow clients and the orderly end; what is answered is the application's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from portway.api.guard import TRUSTED
from portway.api.impatient import ImpatientProtocol
from portway.api.listeners import close_unix_socket, open_tcp_sockets, open_unix_socket
from portway.api.settings import parse_listen

log = structlog.get_logger("portway.api")

_FAREWELL_S = 0.8
_GRACE_S = 0.4
_CONNECTIONS_MAX = 1000
_KEEP_ALIVE_S = 30
_HEAD_SIZE_MAX_BYTES = 64 * 1024
_MESSAGE_SIZE_MAX_BYTES = 1024 * 1024


async def serve(
    app: Starlette,
    *,
    unix_socket: Path,
    listen: str,
    started: Callable[[], None] | None = None,
    stop: asyncio.Event,
) -> None:
    """Answer until `stop` is set, then end within two seconds, streams with a last word.

    RequestError when the socket or the address is in use or cannot be had; nothing is left behind then.
    """
    address = parse_listen(listen) if listen else None
    with ExitStack() as cleanup:
        local = open_unix_socket(unix_socket)
        cleanup.callback(close_unix_socket, local)
        servers = [_Server(_OverUnixSocket(app))]
        sockets = [[local.socket]]
        if address is not None:
            tcp = await open_tcp_sockets(address)
            for opened in tcp:
                cleanup.callback(opened.close)
            servers.append(_Server(app))
            sockets.append(tcp)
        cleanup.enter_context(_uvicorn_logs())
        async with asyncio.TaskGroup() as group:
            for server, own in zip(servers, sockets, strict=True):
                group.create_task(server.serve(sockets=own))
            for server in servers:
                await server.ready.wait()
            if started is not None:
                started()
            await stop.wait()
            app.state.closing.set()
            await _let_finish(servers)
            for server in servers:
                server.leave()


async def _let_finish(servers: Sequence[_Server]) -> None:
    """Give streams the time for their last word, and requests the time for their answer."""
    running = {task for server in servers for task in server.server_state.tasks}
    if running:
        await asyncio.wait(running, timeout=_FAREWELL_S)


class _OverUnixSocket:
    """Marks what comes over the unix socket, whose mode lets only its owner in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[TRUSTED] = True
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers; `ready` is set once it accepts connections."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=ImpatientProtocol,
                ws="websockets-sansio",
                ws_max_size=_MESSAGE_SIZE_MAX_BYTES,
                ws_ping_timeout=None,  # a command that reads no input keeps pongs unread: no reason to end it
                ws_per_message_deflate=False,
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # whoever connects is the client, whatever it claims
                server_header=False,
                limit_concurrency=_CONNECTIONS_MAX,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_GRACE_S,  # type: ignore[arg-type]  (a float is as good)
                h11_max_incomplete_event_size=_HEAD_SIZE_MAX_BYTES,
            )
        )
        self.ready = asyncio.Event()
        self._leaving = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()

    def leave(self) -> None:
        """End main_loop() and so serve()."""
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        # uvicorn's own wakes up ten times a second; the clock of the Date header needs one.
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._leaving.wait()

    async def serve(self, sockets: list[Any] | None = None) -> None:
        try:
            await super().serve(sockets=sockets)
        finally:
            # Also when cancelled: nothing may stay registered with the loop once the sockets are closed.
            for listener in getattr(self, "servers", ()):
                listener.close()
            for connection in list(self.server_state.connections):
                connection.transport.abort()

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        await super().shutdown(sockets=sockets)
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_GRACE_S)


_FORMATTER = logging.Formatter()


class _ToStructlog(logging.Handler):
    """uvicorn's own warnings, as events of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
            return
        trace = _FORMATTER.formatException(record.exc_info) if record.exc_info else ""
        log.warning("http_server", message=record.getMessage(), trace=trace)


@contextmanager
def _uvicorn_logs() -> Generator[None, None, None]:
    logger, handler = logging.getLogger("uvicorn.error"), _ToStructlog(logging.WARNING)
    before = logger.level, logger.propagate
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
