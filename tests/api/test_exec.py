"""Exec over a WebSocket, with a real client on the unix socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from portway.engines.base import ExecRequest

from .conftest import Served, until

PATH = "/v1/stacks/httpd/instances/web.1/exec"


def opened(served: Served, path: str = PATH):
    return unix_connect(str(served.unix_socket), f"ws://localhost{path}")


async def frame(socket: ClientConnection) -> tuple[int, bytes]:
    """The next frame that is no heartbeat."""
    async with asyncio.timeout(10):
        while (data := await socket.recv()) == b"\x01":
            pass
    assert isinstance(data, bytes)
    return data[0], data[1:]


async def refused(served: Served, *messages: str | bytes, path: str = PATH) -> dict[str, Any]:
    """What the error frame says, after which the socket must be closed."""
    async with opened(served, path) as socket:
        for message in messages:
            await socket.send(message)
        kind, data = await frame(socket)
        assert kind == 4
        with pytest.raises(ConnectionClosed):
            await frame(socket)
    return json.loads(data)["error"]


async def test_input_output_size_and_exit_code_pass_through(served: Served) -> None:
    async with opened(served) as socket:
        await socket.send('{"argv": ["sh", "-l"], "tty": true, "rows": 30, "columns": 100}')
        await socket.send(b"\x00hello")
        assert await frame(socket) == (1, b"HELLO")
        await socket.send(b"\x00!oops")
        assert await frame(socket) == (2, b"!OOPS")
        await socket.send(b'\x02{"rows": 5, "columns": 7}')
        assert await frame(socket) == (1, b"5x7")
        await socket.send(b"\x01")
        assert await frame(socket) == (3, b'{"exit_code":3}')
        with pytest.raises(ConnectionClosed) as closed:
            await frame(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000
    (name, asked) = served.operations.calls[-1]
    assert (name, asked["instance"]) == ("exec", "web.1")
    request = ExecRequest(argv=("sh", "-l"), tty=True, rows=30, columns=100)
    assert asked["request"] == request
    await until(lambda: served.operations.closed == ["exec"])


async def test_bytes_that_are_no_text_pass_unchanged(served: Served) -> None:
    everything = bytes(range(256))
    async with opened(served) as socket:
        await socket.send(b'{"argv": ["cat"]}')
        await socket.send(b"\x00" + everything)
        assert await frame(socket) == (1, everything.upper())


async def test_much_output_comes_in_frames_a_client_accepts(served: Served) -> None:
    async with opened(served) as socket:
        await socket.send('{"argv": ["large"]}')
        frames = [(await frame(socket))[1] for _ in range(4)]
    assert b"".join(frames) == b"x" * 200_000
    assert max(map(len, frames)) <= 64 * 1024


async def test_a_client_that_goes_away_ends_the_command(served: Served) -> None:
    async with opened(served) as socket:
        await socket.send('{"argv": ["cat"]}')
        await until(lambda: len(served.operations.sessions) == 1)
        socket.transport.abort()
        await until(lambda: served.operations.closed == ["exec"])
    assert served.operations.sessions[0].closed


async def test_a_client_that_goes_away_while_its_input_is_not_read_ends_the_command(
    hurried: Served,
) -> None:
    async with opened(hurried) as socket:
        await socket.send('{"argv": ["deaf"]}')
        await socket.send(b"\x00never read")
        await until(lambda: any(session.held.is_set() for session in hurried.operations.sessions))
        socket.transport.abort()
        await until(lambda: hurried.operations.closed == ["exec"])


async def test_an_idle_command_beats(hurried: Served) -> None:
    async with opened(hurried) as socket, asyncio.timeout(10):
        await socket.send('{"argv": ["cat"]}')
        assert await socket.recv() == b"\x01"
        assert await socket.recv() == b"\x01"


async def test_a_refusal_of_the_operation_is_an_error_frame(served: Served) -> None:
    path = "/v1/stacks/nope/instances/web.1/exec"
    error = await refused(served, '{"argv": ["sh"]}', path=path)
    assert (error["status"], error["message"]) == (404, 'There is no stack "nope".')


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("{}", "argv: is required"),
        ('{"argv": []}', "no command"),
        ('{"argv": "sh"}', "argv: expected a list, got text"),
        ('{"argv": ["sh"], "tyt": true}', "tyt: is no field here"),
        ('{"argv": ["\\u0000"]}', "NUL"),
        (b"\x00\xff", "not JSON"),
        ("[" * 5000, "not JSON"),
    ],
)
async def test_a_wrong_first_message_is_told_what_is_wrong(
    served: Served, first: str | bytes, words: str
) -> None:
    error = await refused(served, first)
    assert words in error["message"]
    assert served.operations.calls == []


@pytest.mark.parametrize(
    "bad", [b"\x09x", b"", "ls", b'\x02{"rows": 0, "columns": 1}', b"\x02{", b"\x02" + b"[" * 5000]
)
async def test_a_wrong_frame_ends_the_command_with_a_reason(
    served: Served, bad: str | bytes
) -> None:
    error = await refused(served, '{"argv": ["cat"]}', bad)
    assert error["status"] == 422
    await until(lambda: served.operations.closed == ["exec"])


async def test_a_mistake_of_ours_in_a_command_is_only_an_id(served: Served) -> None:
    error = await refused(served, '{"argv": ["cat"]}', b"\x00crash")
    assert error["status"] == 500
    assert "canary" not in json.dumps(error)
    await until(lambda: served.operations.closed == ["exec"])


async def test_a_stopping_server_says_so_and_ends_the_command(served: Served) -> None:
    async with opened(served) as socket:
        await socket.send('{"argv": ["cat"]}')
        await until(lambda: len(served.operations.sessions) == 1)
        served.stop.set()
        kind, data = await frame(socket)
        assert kind == 4
        assert "stopping" in json.loads(data)["error"]["message"]
        with pytest.raises(ConnectionClosed) as closed:
            await frame(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    await until(lambda: served.operations.closed == ["exec"])


@pytest.mark.parametrize("path", ["/v1/stacks", "/v1/nothing", "/docs", "/v1/stacks/httpd/exec"])
async def test_a_websocket_anywhere_else_is_404(served: Served, path: str) -> None:
    with pytest.raises(InvalidStatus) as answer:
        async with opened(served, path):
            pass
    assert answer.value.response.status_code == 404
