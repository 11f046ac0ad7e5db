"""serve(): its sockets, its patience and its end."""

from __future__ import annotations

import asyncio
import signal
import socket
import stat
from pathlib import Path

import aiohttp
import pytest

from portway.api.app import create_app
from portway.api.impatient import ImpatientProtocol
from portway.api.listeners import open_tcp_sockets
from portway.api.server import serve
from portway.api.settings import ApiSettings, ListenAddress, parse_listen
from portway.core.errors import RequestError
from tests.features import needs_ipv6

from .conftest import Served, free_port, serving, until
from .fakes import FakeOperations


async def refused(path: Path, listen: str = "") -> RequestError:
    app = create_app(FakeOperations(), ApiSettings(token="t"))
    with pytest.raises(RequestError) as error:
        async with asyncio.timeout(10):
            await serve(app, unix_socket=path, listen=listen, stop=asyncio.Event())
    return error.value


async def test_the_socket_is_for_its_owner_only(served: Served) -> None:
    mode = served.unix_socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_the_socket_is_gone_after_the_end_and_can_be_made_again(tmp_path: Path) -> None:
    for _ in range(2):
        async with serving(tmp_path) as served:
            assert served.unix_socket.exists()
        assert not served.unix_socket.exists()


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "p.sock"))
    async with serving(tmp_path) as served, served.local.get("/v1/version") as response:
        assert response.status == 200


async def test_a_second_server_on_the_same_socket_is_refused_and_the_first_goes_on(
    served: Served,
) -> None:
    error = await refused(served.unix_socket)
    assert str(served.unix_socket) in error.message
    assert "portway server stop" in error.hint
    async with served.local.get("/v1/version") as response:
        assert response.status == 200


async def test_a_socket_that_another_program_answers_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert str(path) in (await refused(path)).message
        assert path.exists()


async def test_a_file_in_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    path.write_text("mine")
    assert "is a file" in (await refused(path)).message
    assert path.read_text() == "mine"


async def test_a_socket_path_too_long_for_the_system_is_said_to_be(tmp_path: Path) -> None:
    assert "too long" in (await refused(tmp_path / ("x" * 120))).message


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = await refused(tmp_path / "none" / "p.sock")
    assert "no such file or directory" in error.message


async def test_an_address_in_use_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        error = await refused(path, listen)
    assert listen in error.message
    assert "--listen" in error.hint
    assert not path.exists()


async def test_an_address_of_another_machine_is_said_to_be(tmp_path: Path) -> None:
    error = await refused(tmp_path / "p.sock", "192.0.2.1:8080")
    assert "not an address of this machine" in error.message


async def test_an_unknown_host_is_named(tmp_path: Path) -> None:
    error = await refused(tmp_path / "p.sock", "no-such-host.invalid:8080")
    assert "no-such-host.invalid" in error.message


@pytest.mark.parametrize(
    ("listen", "host", "service_port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("[::1]:80", "::1", 80),
        ("localhost:0", "localhost", 0),
        (":81", "0.0.0.0", 81),
    ],
)
def test_addresses_are_understood(listen: str, host: str, service_port: int) -> None:
    assert parse_listen(listen) == ListenAddress(host=host, port_number=service_port)


@pytest.mark.parametrize(
    "listen",
    ["8080", "localhost", "::1:80", "a:b", "a:", "a:-1", "a:65536", "a:\u0661", "a:" + "9" * 5000],
)
def test_what_is_no_address_is_refused_with_an_example(listen: str) -> None:
    with pytest.raises(RequestError) as error:
        parse_listen(listen)
    assert error.value.hint


@needs_ipv6
async def test_it_answers_on_ipv6_too(tmp_path: Path) -> None:
    service_port, stop, started = free_port(), asyncio.Event(), asyncio.Event()
    listen = f"[::1]:{service_port}"
    app = create_app(FakeOperations(), ApiSettings(listen=listen))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(
            serve(app, unix_socket=tmp_path / "p", listen=listen, started=started.set, stop=stop)
        )
        await started.wait()
        url = f"http://{listen}/v1/version"
        async with aiohttp.ClientSession() as client, client.get(url) as response:
            assert response.status == 200
        stop.set()


async def test_without_a_listen_address_only_the_unix_socket_answers(tmp_path: Path) -> None:
    stop, started = asyncio.Event(), asyncio.Event()
    app, path = create_app(FakeOperations(), ApiSettings()), tmp_path / "p"
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(serve(app, unix_socket=path, listen="", started=started.set, stop=stop))
        await started.wait()
        _, writer = await asyncio.open_unix_connection(path)
        writer.close()
        stop.set()
    assert not path.exists()


async def test_answers_over_tcp_are_not_held_back_by_nagle() -> None:
    (listener,) = await open_tcp_sockets(ListenAddress(host="127.0.0.1", port_number=0))
    with listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImpatientProtocol, "patience_s", 0.1)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /v1/version HT",
        b"GET /v1/version HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/ver",
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\nx",
    ],
    ids=["nothing", "line", "headers", "second request", "rest of an unwanted body"],
)
@pytest.mark.usefixtures("impatient")
async def test_a_client_that_holds_a_connection_without_sending_is_cut_off(
    served: Served, sent: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.service_port)
    writer.write(sent)
    async with asyncio.timeout(10):
        try:
            while await reader.read(1000):
                pass
        except ConnectionResetError:
            pass
    writer.close()


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_rests_between_requests_is_kept(served: Served) -> None:
    reader, writer = await asyncio.open_unix_connection(served.unix_socket)
    for _ in range(2):
        writer.write(b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head
            await reader.readline()
        # A moment longer than the patience: resting is not dawdling.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.read(1)
    writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000,
    ],
    ids=["tls", "not http", "two lengths", "no host", "endless header"],
)
async def test_what_is_no_http_request_is_400_as_json(served: Served, sent: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(served.unix_socket)
    writer.write(sent)
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"not an HTTP/1.1 request" in answer
    writer.close()


async def test_it_ends_though_a_client_hangs_on_and_reads_nothing(served: Served) -> None:
    async def endless(**_: object):
        while True:
            yield {"text": "x" * 10_000}
            await asyncio.sleep(0)

    served.operations.events = endless  # type: ignore[method-assign,assignment]
    _, writer = await asyncio.open_unix_connection(served.unix_socket)
    writer.write(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    await writer.drain()
    async with served.local.get("/v1/version") as response:
        assert response.status == 200
    served.stop.set()
    async with asyncio.timeout(10):
        await served.task
    writer.close()


async def test_a_request_under_way_gets_its_answer_when_the_server_stops(served: Served) -> None:
    async def slow() -> tuple[()]:
        served.operations.waiting.set()
        await served.operations.gate.wait()
        return ()

    served.operations.stacks = slow  # type: ignore[method-assign,assignment]
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(answered(served))
        await until(served.operations.waiting.is_set)
        served.stop.set()
        served.operations.gate.set()
        assert await asked == 200


async def answered(served: Served) -> int:
    async with served.local.get("/v1/stacks") as response:
        return response.status


async def test_it_leaves_the_signal_handlers_alone(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with serving(tmp_path):
        assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


async def test_the_lock_beside_the_socket_is_for_its_owner_only(served: Served) -> None:
    assert stat.S_IMODE(Path(f"{served.unix_socket}.lock").stat().st_mode) == 0o600


async def test_a_forwarded_address_is_not_believed(served: Served) -> None:
    headers = {"X-Forwarded-For": "10.0.0.9", "X-Forwarded-Proto": "https"}
    async with served.remote.get("/v1/version", headers=headers) as response:
        assert response.status == 200
        assert "server" not in {name.lower() for name in response.headers}


async def test_cancelled_it_leaves_no_socket_and_no_connection(tmp_path: Path) -> None:
    started, path = asyncio.Event(), tmp_path / "p"
    app = create_app(FakeOperations(), ApiSettings())
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(
            serve(app, unix_socket=path, listen="", started=started.set, stop=asyncio.Event())
        )
        await started.wait()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        task.cancel()
        while await reader.read(1000):
            pass
        writer.close()
    assert not path.exists()
