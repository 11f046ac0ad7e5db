"""What comes of asking a target once, in AWS's words."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from portway.controller.balancing.checker import AdmittedChecker, TargetChecker
from portway.controller.certificates import make_self_signed
from portway.controller.clock import SystemClock
from portway.controller.health.probes import ProbeTarget
from portway.core.app import CheckKind, HealthCheck
from portway.core.balancing.targets import CODES, FAILED, TIMED_OUT
from tests.api.conftest import free_port

CHECK = HealthCheck(kind=CheckKind.HTTP, statuses=((200, 200),), timeout_s=5.0)


@asynccontextmanager
async def server(answer: bytes | None):
    """Answers so, or never; the requests it got."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1], got
    finally:
        listening.close()


async def checked(number: int, barred: str = "", **fields: object) -> tuple[bool, str]:
    target = ProbeTarget(
        instance_id="key",
        check=replace(CHECK, **fields),
        address="127.0.0.1",
        port_number=number,
        started_at_ms=0,
    )

    async def says(_: str) -> str:
        return barred

    return await AdmittedChecker(TargetChecker(), says).check(target)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", (True, "HTTP 200")),
        (b"HTTP/1.1 503 No\r\n\r\n", (False, f"{CODES}[503]")),
        (b"nonsense\r\n\r\n", (False, FAILED)),
    ],
)
async def test_an_answer_is_judged_by_its_code(answer: bytes, expected: tuple[bool, str]):
    async with server(answer) as (number, got):
        assert await checked(number) == expected
    assert b"User-Agent: ELB-HealthChecker/2.0" in got[0]


async def test_a_silent_target_times_out():
    async with server(None) as (number, _):
        assert await checked(number, timeout_s=0.05) == (False, TIMED_OUT)


async def test_a_port_nobody_listens_on_fails():
    assert await checked(free_port()) == (False, FAILED)


async def test_a_connection_is_enough_for_tcp():
    async with server(b"") as (number, _):
        assert (await checked(number, kind=CheckKind.TCP))[0]


async def test_what_the_network_bars_times_out_without_being_asked():
    async with server(b"HTTP/1.1 200 OK\r\n\r\n") as (number, got):
        assert await checked(number, barred="sg-1 admits nobody") == (False, TIMED_OUT)
    assert got == []


async def test_a_plain_server_is_no_tls_server():
    async with server(b"HTTP/1.1 200 OK\r\n\r\n") as (number, _):
        passed, detail = await checked(number, kind=CheckKind.HTTPS, timeout_s=0.2)
    assert not passed
    assert detail in (FAILED, TIMED_OUT)


async def test_a_handshake_is_enough_for_tls(tmp_path: Path):
    pem = tmp_path / "server.pem"
    pem.write_text(make_self_signed("", ["a.test"], now_ms=SystemClock().now_ms()).pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context) as secured:
        number = secured.sockets[0].getsockname()[1]
        assert (await checked(number, kind=CheckKind.TLS))[0]
    async with server(b"HTTP/1.1 200 OK\r\n\r\n") as (number, _):
        assert not (await checked(number, kind=CheckKind.TLS, timeout_s=0.2))[0]
