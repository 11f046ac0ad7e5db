"""What HTTP clients and instances see of HAProxy: headers, sticky clients, upgrades, refusals."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as connect_websocket
from websockets.asyncio.server import ServerConnection, serve

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.core.app import ListenerProtocol, ListenerSpec
from portway.core.routes import Endpoint, EndpointState
from tests.balancers.conftest import StartInstance
from tests.balancers.support import (
    LOOPBACK,
    connect,
    eventually,
    fetch,
    free_service_port,
    header_of,
    headers_of,
    make_endpoint,
    make_route,
    needs_haproxy,
)

pytestmark = needs_haproxy
HTTP = ListenerSpec(protocol=ListenerProtocol.HTTP)
STICKY = ListenerSpec(sticky=True)


@pytest.fixture(params=[ListenerProtocol.AUTO, ListenerProtocol.HTTP])
def spec(request: pytest.FixtureRequest) -> ListenerSpec:
    return ListenerSpec(protocol=request.param)


async def test_forwarded_headers_are_ours_whatever_the_client_says(
    balancer: HAProxyBalancer, start_instance: StartInstance, spec: ListenerSpec
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=spec)])
    spoofed = ["X-Forwarded-For", "X_Forwarded_For", "x-forwarded_for", "X-Forwarded-Proto"]
    spoofed += ["X-Forwarded-Host", "X_Forwarded_Host", "X-Forwarded-Prefix", "X-Forwarded-Port"]
    spoofed += ["X-Real-IP", "X_Real_IP", "Forwarded", "X-Forwarded-Ssl", "X.Forwarded.For"]
    await fetch(port_number, "/", *(f"{name}: 6.6.6.6" for name in spoofed))
    (head,) = a.heads
    assert "6.6.6.6" not in head
    assert headers_of(head, "x-forwarded-for") == [LOOPBACK]
    assert headers_of(head, "x-real-ip") == [LOOPBACK]
    assert headers_of(head, "x-forwarded-proto") == ["http"]
    assert headers_of(head, "x-forwarded-port") == [str(port_number)]
    assert headers_of(head, "x-forwarded-host") == ["shop.test"]
    assert headers_of(head, "forwarded") == [f'for={LOOPBACK};host="shop.test";proto=http']


async def test_a_connection_header_cannot_make_an_instance_drop_ours(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    connection = await connect(port_number)
    await connection.request("/", "Connection: keep-alive, X-Forwarded-For")
    await connection.close()
    assert "x-forwarded-for" not in header_of(a.heads[0], "connection").lower()
    assert header_of(a.heads[0], "x-forwarded-for") == LOOPBACK


async def test_every_request_has_an_id_the_client_is_told(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    made = await fetch(port_number)
    given = await fetch(port_number, "/", "X-Request-ID: abc-1")
    odd = await fetch(port_number, "/", 'X-Request-ID: a"b', "X_Request_ID: evil")
    told = [header_of(head, "x-request-id") for head in a.heads]
    assert [made["x-request-id"], given["x-request-id"], odd["x-request-id"]] == told
    assert told[1] == "abc-1"
    assert len({len(told[0]), len(told[2])}) == 1
    assert "evil" not in a.heads[2]


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 3\r\nContent-Length: 5\r\n",
        "Content-Length: \r\n",
        "Content-Length: +3\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked\r\n x: y\r\n",
        "X: y\r\nContent-Length: 3, 5\r\n",
    ],
)
async def test_a_smuggled_request_reaches_no_instance(
    balancer: HAProxyBalancer, start_instance: StartInstance, headers: str
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=HTTP)])
    connection = await connect(port_number)
    smuggled = "GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"
    request = f"POST / HTTP/1.1\r\nHost: shop.test\r\n{headers}\r\n0\r\n\r\n{smuggled}"
    await connection.send(request.encode())
    answer = await connection.receive()
    await connection.close()
    assert not answer or b" 400 " in answer.split(b"\r\n")[0]  # HAProxy 2.8 hangs up on some
    assert [head for head in a.heads if "/smuggled" in head.split("\r\n")[0]] == []


async def test_a_length_beside_chunks_is_dropped_before_an_instance_can_believe_it(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=HTTP)])
    connection = await connect(port_number)
    both = "Content-Length: 40\r\nTransfer-Encoding: chunked\r\nConnection: close"
    await connection.send(f"POST / HTTP/1.1\r\nHost: shop.test\r\n{both}\r\n\r\n0\r\n\r\n".encode())
    assert (await connection.answer()).status == 200
    await connection.close()
    assert header_of(a.heads[0], "content-length") == ""
    assert header_of(a.heads[0], "transfer-encoding") == "chunked"


async def test_h2c_upgrades_do_not_reach_an_instance(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    connection = await connect(port_number)
    await connection.request(
        "/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"
    )
    await connection.close()
    assert header_of(a.heads[0], "upgrade") == header_of(a.heads[0], "http2-settings") == ""
    assert "upgrade" not in header_of(a.heads[0], "connection").lower()


async def test_without_an_instance_it_says_whose_and_when_to_come_back(
    balancer: HAProxyBalancer, spec: ListenerSpec
) -> None:
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, listener=spec)])
    answer = await fetch(port_number)
    assert answer.status == 503
    assert "No instance of shop/web can answer right now" in answer.body
    assert answer["retry-after"] == "5"


async def test_a_request_moves_on_from_an_instance_that_refuses_connections(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    gone = Endpoint(instance_id="gone", address=LOOPBACK, port_number=free_service_port())
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, gone, make_endpoint(a))])
    answers = [await fetch(port_number, method="POST", body="x") for _ in range(6)]
    assert {answer.status for answer in answers} == {200}
    assert len(a.heads) == 6


async def test_a_sticky_client_stays_until_its_instance_drains(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    port_number = free_service_port()
    both = make_route(port_number, make_endpoint(a), make_endpoint(b), listener=STICKY)
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=STICKY)])
    first = await fetch(port_number)
    cookie, *attributes = first["set-cookie"].split("; ")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes)
    reloads = (await balancer.info()).reloads
    await balancer.apply("shop/web", [both])
    kept = [await fetch(port_number, "/", f"Cookie: x=1; {cookie}") for _ in range(6)]
    assert {(answer.instance, answer["set-cookie"]) for answer in kept} == {("a", "")}
    drained = make_route(
        port_number,
        make_endpoint(a, state=EndpointState.DRAINING),
        make_endpoint(b),
        listener=STICKY,
    )
    await balancer.apply("shop/web", [drained])
    moved = await fetch(port_number, "/", f"Cookie: {cookie}")
    assert moved.instance == "b"
    assert moved["set-cookie"].split("; ")[0] != cookie
    assert (await balancer.info()).reloads == reloads


async def test_sticky_clients_stay_over_a_restart(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    port_number = free_service_port()
    await balancer.apply(
        "shop/web",
        [make_route(port_number, make_endpoint(a), make_endpoint(b), listener=STICKY)],
    )
    first = await fetch(port_number)
    cookie = first["set-cookie"].split("; ")[0]
    await balancer.shutdown()
    await balancer.open()
    again = [await fetch(port_number, "/", f"Cookie: {cookie}") for _ in range(4)]
    assert {answer.instance for answer in again} == {first.instance}


async def test_an_unknown_sticky_cookie_is_replaced(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=STICKY)])
    cookie = (await fetch(port_number))["set-cookie"].split("; ")[0]
    name = cookie.partition("=")[0]
    answer = await fetch(port_number, "/", f"Cookie: {name}=nobody")
    assert answer.status == 200
    assert answer["set-cookie"].startswith(cookie)


async def test_a_websocket_survives_the_reload_for_another_app(
    balancer: HAProxyBalancer, start_instance: StartInstance, spec: ListenerSpec
) -> None:
    a = await start_instance("a")

    async def echo(websocket: ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(f"echo {message}")

    async with serve(echo, LOOPBACK, 0) as server:
        number = next(iter(server.sockets)).getsockname()[1]
        chat = Endpoint(instance_id="chat", address=LOOPBACK, port_number=number)
        port_number, other = free_service_port(), free_service_port()
        await balancer.apply(
            "shop/chat", [make_route(port_number, chat, owner="shop/chat", listener=spec)]
        )
        async with connect_websocket(f"ws://{LOOPBACK}:{port_number}/", proxy=None) as websocket:
            await websocket.send("one")
            assert await websocket.recv() == "echo one"
            reloads = (await balancer.info()).reloads
            await balancer.apply("shop/web", [make_route(other, make_endpoint(a))])
            assert (await balancer.info()).reloads == reloads + 1
            await websocket.send("two")
            assert await websocket.recv() == "echo two"


async def test_the_proxy_protocol_tells_the_instance_the_client(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    spec = ListenerSpec(proxy_protocol=True)
    await balancer.apply("shop/web", [make_route(port_number, listener=spec)])
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=spec)])
    connection = await connect(port_number)
    client_number = connection.writer.get_extra_info("sockname")[1]
    assert (await connection.request()).status == 200
    await connection.close()
    raw = await connect(port_number)
    raw_number = raw.writer.get_extra_info("sockname")[1]
    await raw.send(b"\x00x")
    assert await raw.receive() == b"a:\x00x"
    await raw.close()
    assert a.proxied == [
        f"PROXY TCP4 {LOOPBACK} {LOOPBACK} {number} {port_number}"
        for number in (client_number, raw_number)
    ]


@pytest.mark.parametrize("first", [b"\x16\x03\x01", b"*1\r\n$4\r\nPING\r\n", b"PING\r\n", b"hello"])
async def test_what_is_not_http_goes_through_untouched(
    balancer: HAProxyBalancer, start_instance: StartInstance, first: bytes
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async with await asyncio.start_server(echo, LOOPBACK, 0) as server:
        number = server.sockets[0].getsockname()[1]
        endpoint = Endpoint(instance_id="e", address=LOOPBACK, port_number=number)
        port_number = free_service_port()
        await balancer.apply("shop/web", [make_route(port_number, endpoint)])
        connection = await connect(port_number)
        await connection.send(first)
        assert await connection.receive() == first
        await connection.close()


async def test_a_server_that_speaks_first_is_heard(balancer: HAProxyBalancer) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, LOOPBACK, 0) as server:
        number = server.sockets[0].getsockname()[1]
        endpoint = Endpoint(instance_id="e", address=LOOPBACK, port_number=number)
        port_number = free_service_port()
        await balancer.apply("shop/web", [make_route(port_number, endpoint)])
        connection = await connect(port_number)
        assert await connection.receive() == b"220 ready\r\n"
        await connection.close()


async def test_where_http_is_expected_a_client_may_connect_early_and_ask_late(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    expecting = ListenerSpec(expects_http=True)
    early, plain = free_service_port(), free_service_port()
    routes = [
        make_route(early, make_endpoint(a), listener=expecting),
        make_route(plain, make_endpoint(a)),
    ]
    await balancer.apply("shop/web", routes)
    connections = [await connect(number) for number in (early, plain)]
    # The other client, as silent, has been taken for a stream once its connection is there.
    await eventually(lambda: a.connections == 1)
    for connection in connections:
        assert (await connection.request("/", "X-Real-IP: 6.6.6.6")).status == 200
        await connection.close()
    assert [header_of(head, "x-real-ip") for head in a.heads] == [LOOPBACK, "6.6.6.6"]


async def test_where_http_is_expected_other_protocols_get_through_and_the_silent_are_let_go(
    tmp_path: Path, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    balancer = HAProxyBalancer(tmp_path, public_addresses=(LOOPBACK,), request_delay_ms=300)
    await balancer.open()
    port_number = free_service_port()
    expecting = ListenerSpec(expects_http=True)
    await balancer.apply(
        "shop/web", [make_route(port_number, make_endpoint(a), listener=expecting)]
    )
    silent, raw = await connect(port_number), await connect(port_number)
    await raw.send(b"\x00x")
    assert await raw.receive() == b"a:\x00x"
    assert await silent.receive() == b""
    assert a.connections == 1
    await balancer.shutdown()
    await silent.close()
    await raw.close()


async def test_an_idle_stream_is_closed_after_the_idle_timeout(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    spec = ListenerSpec(protocol=ListenerProtocol.TCP, idle_timeout_s=0.2)
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=spec)])
    connection = await connect(port_number)
    await connection.send(b"\x00x")
    assert await connection.receive() == b"a:\x00x"
    assert await connection.receive() == b""
    await connection.close()


async def test_http2_without_tls_is_understood(
    balancer: HAProxyBalancer, start_instance: StartInstance, spec: ListenerSpec
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=spec)])
    process = await asyncio.create_subprocess_exec(
        *(
            "curl",
            "-s",
            "--http2-prior-knowledge",
            "-o",
            os.devnull,
            "-w",
            "%{http_version} %{http_code}",
        ),
        f"http://{LOOPBACK}:{port_number}/",
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output == b"2 200"


async def test_an_instance_in_slow_start_gets_less_at_first(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    port_number = free_service_port()
    spec = ListenerSpec(slow_start_s=60.0)
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=spec)])
    route = make_route(port_number, make_endpoint(a), make_endpoint(b), listener=spec)
    await balancer.apply("shop/web", [route])
    for _ in range(40):
        await fetch(port_number)
    assert len(b.heads) < 15
    await eventually(lambda: len(a.heads) + len(b.heads) == 40)
