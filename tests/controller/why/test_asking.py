"""How an address answers, asked over real sockets of this process."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from portway.controller.certificates import make_self_signed
from portway.controller.why.asking import ask, is_of_this_machine, resolve
from portway.core.facts import Reached

OK_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def serving(
    answer: bytes | None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says `answer` to the first line it gets (None: nothing), and the lines it got."""
    heard: list[bytes] = []
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.append(await reader.readline())
            if answer is None:
                await done.wait()
            else:
                writer.write(answer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        done.set()
        server.close()
        await server.wait_closed()


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's side of TLS with a certificate for shop.test."""
    pem = tmp_path / "shop.pem"
    pem.write_text(make_self_signed("shop/web:1", ["shop.test"], now_ms=1_800_000_000_000).pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_a_page_is_its_status():
    async with serving(b"HTTP/1.1 204 No Content\r\n\r\n") as (number, heard):
        found = await ask("127.0.0.1", number, expects="http", path="/a b?x=1", host="shop.test")
    assert (found.reached, found.speaks, found.status) == (Reached.CONNECTED, "http", 204)
    assert heard[-1] == b"GET /a%20b?x=1 HTTP/1.1\r\n"


async def test_nothing_is_said_to_who_is_only_to_accept():
    async with serving(None) as (number, heard):
        found = await ask("127.0.0.1", number)
    assert (found.reached, found.speaks, found.status) == (Reached.CONNECTED, "", None)
    assert heard in ([], [b""])


async def test_a_closed_port_refuses():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = await ask("127.0.0.1", closed.getsockname()[1], expects="http")
    assert found.reached is Reached.REFUSED


async def test_tls_is_found_where_plain_http_was_expected(tls: ssl.SSLContext):
    async with serving(OK_ANSWER, tls=tls) as (number, _):
        found = await ask("127.0.0.1", number, expects="http")
    assert (found.speaks, found.status) == ("https", 200)


async def test_a_certificate_is_shown_with_its_names(tls: ssl.SSLContext):
    async with serving(OK_ANSWER, tls=tls) as (number, _):
        found = await ask("127.0.0.1", number, expects="https", host="shop.test")
    assert found.certificate is not None
    assert found.certificate.self_signed
    assert {"shop.test", "127.0.0.1"} <= set(found.certificate.names)


async def test_plain_http_is_found_where_tls_was_expected():
    async with serving(OK_ANSWER) as (number, _):
        found = await ask("127.0.0.1", number, expects="https")
    assert (found.speaks, found.status) == ("http", 200)


async def test_what_is_not_http_is_told():
    async with serving(b"220 mail.test ESMTP\r\n") as (number, _):
        found = await ask("127.0.0.1", number, expects="http")
    assert (found.speaks, found.detail) == ("other", "what it answers is not HTTP")


async def test_silence_ends_after_a_while():
    async with serving(None) as (number, _):
        found = await ask("127.0.0.1", number, expects="http", timeout_s=0.05)
    assert found.detail == "it accepts connections and says nothing for 0.05 s"


async def test_one_that_hangs_up_is_told():
    async with serving(b"") as (number, _):
        found = await ask("127.0.0.1", number, expects="http")
    assert found.detail == "it closes the connection without an answer"


async def test_a_host_name_means_its_addresses_or_none():
    assert "127.0.0.1" in await resolve("localhost")
    assert await resolve("127.0.0.1") == ("127.0.0.1",)
    assert await resolve("nosuch.invalid") == ()


def test_only_addresses_of_this_machine_are_its_own():
    assert is_of_this_machine("127.0.0.1")
    assert is_of_this_machine("127.9.9.9")
    assert not is_of_this_machine("203.0.113.7")
