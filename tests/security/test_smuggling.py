"""Request smuggling against a real HAProxy: an instance never sees a request that HAProxy did not see as one.

Every case hides `GET /smuggled` where one of two readers would take it for a body. The instance writes
down raw bytes and believes any framing, so a hidden request that got through would be found.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.core.app import ListenerProtocol, ListenerSpec
from portway.core.routes import Endpoint
from tests.balancers.support import LOOPBACK, connect, free_service_port, make_route, needs_haproxy
from tests.security.recorder import Recorder

# One HAProxy for all of it: starting it takes longer than everything else here.
pytestmark = [*needs_haproxy, pytest.mark.asyncio(loop_scope="module")]

HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"
POST = b"POST /first HTTP/1.1\r\nHost: shop.test\r\n"
END = b"GET /last HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
CHUNK = b"%x\r\n%s\r\n0\r\n\r\n"


def head(*lines: bytes, first: bytes = POST) -> bytes:
    return first + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


# What is refused, or goes no further than HAProxy: the hidden request must not reach the instance in any form.
REFUSED = {
    "two lengths": head(b"Content-Length: 0", b"Content-Length: 43") + HIDDEN,
    "two lengths in one": head(b"Content-Length: 0, 43") + HIDDEN,
    "a length with a plus": head(b"Content-Length: +0") + HIDDEN,
    "a length with a minus": head(b"Content-Length: -0") + HIDDEN,
    "an empty length": head(b"Content-Length:") + HIDDEN,
    "a length of spaces": head(b"Content-Length:  ") + HIDDEN,
    "a length with a space inside": head(b"Content-Length: 0 43") + HIDDEN,
    "a length in hexadecimal": head(b"Content-Length: 0x0") + HIDDEN,
    "a length with a space before the colon": head(b"Content-Length : 43") + HIDDEN,
    "a length beyond all numbers": head(b"Content-Length: 99999999999999999999") + HIDDEN,
    "a length after a NUL": head(b"Content-Length: 0\0") + HIDDEN,
    "an encoding that only looks chunked": head(b"Transfer-Encoding: xchunked") + HIDDEN,
    "chunked and identity": head(b"Transfer-Encoding: chunked, identity") + HIDDEN,
    "identity": head(b"Transfer-Encoding: identity", b"Content-Length: 0") + HIDDEN,
    "two encodings": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x")
    + b"0\r\n\r\n"
    + HIDDEN,
    "chunked twice": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked")
    + b"0\r\n\r\n"
    + HIDDEN,
    "a quoted encoding": head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n" + HIDDEN,
    "an encoding with a space before the colon": head(b"Transfer-Encoding : chunked")
    + b"0\r\n\r\n"
    + HIDDEN,
    "an encoding after a vertical tab": head(b"Transfer-Encoding: \x0bchunked")
    + b"0\r\n\r\n"
    + HIDDEN,
    "a folded encoding": head(b"Transfer-Encoding:", b" xchunked") + HIDDEN,
    "a name with a NUL": head(b"Transfer\0-Encoding: chunked") + b"0\r\n\r\n" + HIDDEN,
    "a bare CR in a value": head(b"X: a\rTransfer-Encoding: chunked") + HIDDEN,
    "a chunk size with a plus": head(b"Transfer-Encoding: chunked") + b"+0\r\n\r\n" + HIDDEN,
    "a chunk size in decimal words": head(b"Transfer-Encoding: chunked") + b"0x0\r\n\r\n" + HIDDEN,
    "a chunk size beyond all numbers": head(b"Transfer-Encoding: chunked")
    + b"ffffffffffffffff1\r\n"
    + HIDDEN,
    "a negative chunk size": head(b"Transfer-Encoding: chunked") + b"-1\r\n" + HIDDEN,
    "no version": b"POST /first\r\nContent-Length: 0\r\n\r\n" + HIDDEN,
    "a version with more": head(
        b"Content-Length: 0", first=b"POST /first HTTP/1.1 x\r\nHost: a\r\n"
    )
    + HIDDEN,
}

# What is one request with a body, to HAProxy and to the instance: the hidden one stays inside that body.
INSIDE = {
    "inside a length": head(b"Content-Length: %d" % len(HIDDEN)) + HIDDEN,
    "inside a chunk": head(b"Transfer-Encoding: chunked") + CHUNK % (len(HIDDEN), HIDDEN),
    "inside a chunk beside a length": head(b"Transfer-Encoding: chunked", b"Content-Length: 4")
    + CHUNK % (len(HIDDEN), HIDDEN),
    "inside a chunk after a length": head(b"Content-Length: 6", b"Transfer-Encoding: chunked")
    + CHUNK % (len(HIDDEN), HIDDEN),
    "inside a chunk with an extension": head(b"Transfer-Encoding: Chunked")
    + b"%x;a=b\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started() -> AsyncIterator[Recorder]:
    made = await Recorder().start()
    yield made
    await made.stop()


@pytest.fixture
def recorder(started: Recorder) -> Recorder:
    """The instance, with nothing written down yet."""
    started.forget()
    return started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service_port(
    started: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[int]:
    """A listener of HAProxy before the recorder."""
    balancer = HAProxyBalancer(tmp_path_factory.mktemp("balancer"), public_addresses=(LOOPBACK,))
    await balancer.open()
    number = free_service_port()
    endpoint = Endpoint(
        instance_id="shop/web.1.1", address=LOOPBACK, port_number=started.port_number
    )
    spec = ListenerSpec(protocol=ListenerProtocol.HTTP)
    await balancer.apply("shop/web", [make_route(number, endpoint, listener=spec)])
    yield number
    await balancer.shutdown()


async def exchange(service_port: int, data: bytes) -> bytes:
    """Everything HAProxy answers until it hangs up."""
    connection = await connect(service_port)
    answer = b""
    with suppress(ConnectionError):
        await connection.send(data)
        async with asyncio.timeout(10):
            answer = await connection.reader.read()
    await connection.close()
    return answer


async def test_the_recorder_would_be_fooled_by_each_of_them(recorder: Recorder) -> None:
    for name, data in REFUSED.items():
        recorder.forget()
        connection = await connect(recorder.port_number)
        await connection.send(data + END)
        async with asyncio.timeout(10):
            while "/last" not in recorder.paths:
                await connection.receive()
        await connection.close()
        assert "/smuggled" in recorder.paths, name


async def test_no_ambiguous_request_brings_a_second_one_to_an_instance(
    service_port: int, recorder: Recorder
) -> None:
    reached: dict[str, list[str]] = {}
    for name, data in REFUSED.items():
        before = len(recorder.paths)
        answer = await exchange(service_port, data + END)
        new = recorder.paths[before:]
        if b"/smuggled" in b" ".join(path.encode() for path in new):
            reached[name] = new
        assert answer.count(b"HTTP/1.") <= max(1, len(new)), name
    assert reached == {}


async def test_what_is_hidden_in_a_body_stays_one_request(
    service_port: int, recorder: Recorder
) -> None:
    for name, data in INSIDE.items():
        recorder.forget()
        await exchange(service_port, data + END)
        (sent,) = recorder.heads("/first")
        framings = sent.lower().count("content-length:") + sent.lower().count("transfer-encoding:")
        assert framings == 1, name
        whole = b"".join(bytes(stream) for stream in recorder.streams)
        assert whole.count(HIDDEN) == 1, name


async def test_a_line_that_ends_without_a_return_is_rewritten_or_refused(
    service_port: int, recorder: Recorder
) -> None:
    await exchange(service_port, (POST + b"X: y\nContent-Length: 0\r\n\r\n") + END)
    for stream in recorder.streams:
        assert b"\n" not in bytes(stream).replace(b"\r\n", b"")


async def test_pipelined_requests_reach_an_instance_one_by_one_and_once(
    service_port: int, recorder: Recorder
) -> None:
    one = b"GET /%d HTTP/1.1\r\nHost: shop.test\r\n\r\n"
    answer = await exchange(service_port, b"".join(one % n for n in range(5)) + END)
    assert answer.count(b"HTTP/1.1 200") == 6
    assert sorted(recorder.paths) == ["/0", "/1", "/2", "/3", "/4", "/last"]


@pytest.mark.parametrize(
    "spoofed",
    [b"Connection: X-Forwarded-For", b"Connection: close, X-Real-IP, Forwarded", b"TE: trailers"],
)
async def test_no_client_says_where_it_comes_from(
    service_port: int, recorder: Recorder, spoofed: bytes
) -> None:
    names = b"X-Forwarded-For X_Forwarded_For X-Forwarded-Host X_FORWARDED_HOST X-Forwarded-Proto "
    names += b"X-Forwarded-Prefix X-Forwarded-Server X-Forwarded X-Real-IP X_Real_IP Forwarded"
    lines = [b"%s: 6.6.6.6" % name for name in names.split()]
    await exchange(
        service_port, head(spoofed, *lines, first=b"GET /last HTTP/1.1\r\nHost: a.test\r\n") + END
    )
    for sent in recorder.heads("/last"):
        assert "6.6.6.6" not in sent
        lower = sent.lower()
        assert f"x-forwarded-for: {LOOPBACK}\r\n" in lower
        assert f"x-real-ip: {LOOPBACK}\r\n" in lower
        connection = [line for line in lower.split("\r\n") if line.startswith("connection:")]
        assert not [line for line in connection if "forwarded" in line or "real-ip" in line]


ALIASES = b"""
    X-Forwarded-For X_Forwarded_For X.Forwarded.For X-Forwarded_For XForwarded-For X-Forwarded X_Forwarded
    X-Forwarded-Host X_Forwarded-Proto X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-Ssl Forwarded
    X-Real-IP X_Real_IP X.Real-IP X-Real_IP X_Request_ID X-Request_ID X_Request-ID X.Request.ID
    HTTP2-Settings
""".split()


async def test_no_alias_of_a_header_of_ours_gets_through_alone(
    service_port: int, recorder: Recorder
) -> None:
    through: list[bytes] = []
    for name in ALIASES:
        recorder.forget()
        lines = [name + b": 6.6.6.6", b"Connection: close"]
        await exchange(service_port, head(*lines, first=b"GET /last HTTP/1.1\r\nHost: a.test\r\n"))
        (sent,) = recorder.heads("/last")
        if "6.6.6.6" in sent:
            through.append(name)
    assert through == []


def field(name: bytes, value: bytes) -> bytes:
    """A header of HTTP/2 as it is written without compression (RFC 7541, 6.2.2)."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def frame(kind: int, flags: int, stream: int, data: bytes) -> bytes:
    return len(data).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + data


def h2_request(body: bytes = b"", **fields: bytes) -> bytes:
    """One HTTP/2 request over plain TCP. `_` before a name stands for `:`, within it for `-`."""
    given = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/first",
        b":authority": b"a.test",
    }
    for name, value in fields.items():
        dashed = name.replace("_", "-").encode()
        given[b":" + dashed[1:] if name.startswith("_") else dashed] = value
    headers = b"".join(field(name, value) for name, value in given.items())
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    return preface + frame(1, 4, 1, headers) + frame(0, 1, 1, body)


H2 = {
    "a length of nothing": h2_request(HIDDEN, content_length=b"0"),
    "a length too short": h2_request(HIDDEN, content_length=b"5"),
    "chunks": h2_request(b"0\r\n\r\n" + HIDDEN, transfer_encoding=b"chunked"),
    "a connection header": h2_request(connection=b"close\r\n\r\n" + HIDDEN),
    "lines in a value": h2_request(x=b"a\r\n\r\n" + HIDDEN),
    "lines in a path": h2_request(_path=b"/first HTTP/1.1\r\n\r\n" + HIDDEN),
    "lines in a method": h2_request(_method=b"GET / HTTP/1.1\r\n\r\n" + HIDDEN),
    "lines in an authority": h2_request(_authority=b"a\r\n\r\n" + HIDDEN),
}


async def test_no_request_of_http2_becomes_two_of_http1(
    service_port: int, recorder: Recorder
) -> None:
    reached: list[str] = []
    for name, data in H2.items():
        recorder.forget()
        connection = await connect(service_port)
        await connection.send(data)
        async with asyncio.timeout(10):
            while len(answer := await connection.receive()) <= 9 * 3 and answer:
                pass
        await connection.close()
        if "/smuggled" in recorder.paths:
            reached.append(name)
    assert reached == []
