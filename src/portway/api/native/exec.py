"""Exec over a WebSocket: frames <-> an ExecSession.

The client's first message is an ExecRequest as JSON. Then every message is binary, its first byte the kind:
client 0 input, 1 end of input, 2 JSON {rows, columns}; server 1 stdout, 2 stderr, 3 JSON {exit_code}, 4 JSON {error}.
An empty frame of kind 1 is a heartbeat: it finds out that the client has gone while nothing else is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Annotated, Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from portway.api.native.answers import ServerStopping, encode, error_view, explained
from portway.api.native.reading import check_path, parse_body
from portway.controller.contract import Operations
from portway.core.errors import RequestError
from portway.engines.base import ExecRequest, ExecSession, Stream

_FIRST_MESSAGE_TIMEOUT_S = 10.0
_CHUNK_BYTES = 64 * 1024
_NORMAL, _POLICY, _RESTARTING = 1000, 1008, 1012


class FromClient(IntEnum):
    """The kinds of frames a client sends."""

    INPUT = 0
    END_OF_INPUT = 1
    RESIZE = 2


class ToClient(IntEnum):
    """The kinds of frames the server sends."""

    STDOUT = 1
    STDERR = 2
    EXIT = 3
    ERROR = 4


class TerminalSize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A terminal's new size."""

    rows: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    columns: Annotated[int, msgspec.Meta(ge=1, le=10_000)]


async def serve_exec(
    socket: WebSocket, operations: Operations, *, closing: asyncio.Event, heartbeat_s: float
) -> None:
    """Carry one command from its first message to its exit code."""
    await socket.accept()
    failures: list[Exception] = []
    try:
        async with asyncio.TaskGroup() as group:
            helpers = [
                group.create_task(_watch(closing)),
                group.create_task(_beat(socket, heartbeat_s)),
            ]
            await _carry(socket, operations)
            for helper in helpers:
                helper.cancel()
    except ExceptionGroup as error:
        failures = list(_leaves(error))
    if any(isinstance(failure, WebSocketDisconnect) for failure in failures):
        return
    await _finish(socket, failures)


async def _finish(socket: WebSocket, failures: Sequence[Exception]) -> None:
    stopping = next((f for f in failures if isinstance(f, ServerStopping)), None)
    code = _RESTARTING if stopping else _POLICY if failures else _NORMAL
    with suppress(WebSocketDisconnect, RuntimeError):
        if failures:
            error = explained(stopping or failures[0], where=f"WEBSOCKET {socket.url.path}")
            await _send(socket, ToClient.ERROR, encode({"error": error_view(error)}))
        await socket.close(code)


async def _carry(socket: WebSocket, operations: Operations) -> None:
    check_path(socket.path_params)
    stack, instance = socket.path_params["stack"], socket.path_params["instance"]
    request = await _first_message(socket)
    async with operations.exec(stack, instance, request) as session:
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(_read(socket, session))
            await _write(socket, session)
            exit_code = await session.wait()
            reader.cancel()
        await _send(socket, ToClient.EXIT, encode({"exit_code": exit_code}))


async def _first_message(socket: WebSocket) -> ExecRequest:
    try:
        async with asyncio.timeout(_FIRST_MESSAGE_TIMEOUT_S):
            text = _bytes(await socket.receive())
    except TimeoutError:
        raise RequestError(
            "The first message, what to run, did not arrive.",
            hint='Send {"argv": ["sh"]} first.',
            http_status=408,
        ) from None
    request = parse_body(text, ExecRequest)
    if not request.argv:
        raise RequestError("There is no command to run.", hint='Send {"argv": ["sh"]} first.')
    return request


async def _read(socket: WebSocket, session: ExecSession) -> None:
    """Frames of the client until it goes; then WebSocketDisconnect ends everything."""
    kinds: dict[int, Callable[[bytes], Awaitable[None]]] = {
        FromClient.INPUT: session.write,
        FromClient.END_OF_INPUT: lambda _: session.close_input(),
        FromClient.RESIZE: lambda data: _resize(session, data),
    }
    while True:
        frame = _bytes(await socket.receive())
        act = kinds.get(frame[0]) if frame else None
        if act is None:
            kind = frame[0] if frame else "none"
            raise RequestError(f"No frame of kind {kind} is known here.", hint="See /docs.")
        await act(frame[1:])


async def _resize(session: ExecSession, data: bytes) -> None:
    try:
        size = msgspec.json.decode(data, type=TerminalSize)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestError(f"The size of the terminal is wrong: {error}") from None
    await session.resize(rows=size.rows, columns=size.columns)


async def _write(socket: WebSocket, session: ExecSession) -> None:
    async for stream, data in session.output():
        kind = ToClient.STDERR if stream is Stream.STDERR else ToClient.STDOUT
        for start in range(0, len(data), _CHUNK_BYTES):
            await _send(socket, kind, data[start : start + _CHUNK_BYTES])


async def _beat(socket: WebSocket, heartbeat_s: float) -> None:
    while True:
        await asyncio.sleep(heartbeat_s)
        await _send(socket, ToClient.STDOUT, b"")


async def _watch(closing: asyncio.Event) -> None:
    await closing.wait()
    raise ServerStopping("this command was ended")


async def _send(socket: WebSocket, kind: ToClient, data: bytes) -> None:
    await socket.send_bytes(bytes((kind,)) + data)


def _bytes(message: Any) -> bytes:
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    data = message.get("bytes")
    return data if data is not None else (message.get("text") or "").encode()


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
