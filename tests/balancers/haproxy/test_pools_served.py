"""What a real HAProxy does with the pools behind rules: endpoints that come and go, TLS, cookies of applications."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from websockets.asyncio.client import connect as connect_websocket
from websockets.asyncio.server import ServerConnection, serve

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.core.app import ListenerProtocol
from portway.core.routes import Endpoint, EndpointState, Pool
from portway.core.rules import PoolSpec, Redirect, Respond, RuledListener, Sticky, StickyKind
from tests.balancers.conftest import StartInstance
from tests.balancers.haproxy.test_rules_served import path_is, pool, ruled, to
from tests.balancers.support import (
    LOOPBACK,
    EchoInstance,
    client_tls,
    connect,
    eventually,
    fetch,
    free_service_port,
    headers_of,
    make_certificate,
    make_endpoint,
    needs_haproxy,
    served_domain,
)

pytestmark = needs_haproxy


@asynccontextmanager
async def answering(name: str, head: str) -> AsyncIterator[tuple[Endpoint, list[bytes]]]:
    """An endpoint that answers every connection's first bytes with `head`, and what those were."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(4096))
        writer.write(f"HTTP/1.1 {head}\r\nX-Instance: {name}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, LOOPBACK, 0) as server:
        number = server.sockets[0].getsockname()[1]
        yield Endpoint(instance_id=name, address=LOOPBACK, port_number=number), seen


async def test_https_shows_the_certificate_of_the_name_and_speaks_tls_to_endpoints(
    balancer: HAProxyBalancer, tmp_path: Path
) -> None:
    pem = tmp_path / "instance.pem"
    pem.write_text(make_certificate("i", "i.test").pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    instance = await EchoInstance("a", tls=context).start()
    try:
        names = ("one", "two")
        await balancer.certificates([make_certificate(name, f"{name}.test") for name in names])
        spec = PoolSpec(secure=True, slow_start_s=30)
        route = replace(
            ruled(
                free_service_port(),
                to("web"),
                path_is("/go", Redirect(status=302)),
                pools=[Pool(name="web", spec=spec)],
                protocol=ListenerProtocol.HTTPS,
            ),
            certificates=names,
        )
        await balancer.apply("lb:web", [route])
        filled = replace(route, pools=(pool("web", instance, secure=True, slow_start_s=30),))
        await balancer.apply("lb:web", [filled])
        number = route.key.service_port
        shown = [await served_domain(number, sni) for sni in ("two.test", "one.test", None)]
        assert shown == ["two.test", "one.test", "one.test"]
        connection = await connect(number, tls=client_tls())
        assert (await connection.request()).instance == "a"
        assert headers_of(instance.heads[-1], "x-forwarded-proto") == ["https"]
        assert (await connection.request("/go"))["location"] == f"https://shop.test:{number}/go"
        await connection.close()
        assert (await balancer.info()).reloads == 1
    finally:
        await instance.stop()


async def test_a_draining_endpoint_keeps_its_requests_and_gets_no_more(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    route = ruled(free_service_port(), to("web"), pools=[pool("web", a)])
    await balancer.apply("lb:web", [route])
    number = route.key.service_port
    async with asyncio.TaskGroup() as tasks:
        held = tasks.create_task(fetch(number, "/hold"))
        await eventually(lambda: bool(a.heads))
        draining = make_endpoint(a, state=EndpointState.DRAINING)
        both = replace(route, pools=(Pool(name="web", endpoints=(draining, make_endpoint(b))),))
        await balancer.apply("lb:web", [both])
        assert {(await fetch(number)).instance for _ in range(5)} == {"b"}
        ((served,),) = [one.pools for one in await balancer.observe()]
        told = {one.instance_id: one for one in served.endpoints}
        assert (told["a"].state, told["a"].connections) == (EndpointState.DRAINING, 1)
        assert told["b"].state is EndpointState.READY
        a.hold.set()
    assert held.result().instance == "a"


async def test_a_websocket_outlives_a_change_of_the_rules(balancer: HAProxyBalancer) -> None:
    async def echo(websocket: ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(f"echo {message}")

    async with serve(echo, LOOPBACK, 0) as server:
        number = next(iter(server.sockets)).getsockname()[1]
        chat = Pool(
            name="chat",
            endpoints=(Endpoint(instance_id="chat", address=LOOPBACK, port_number=number),),
        )
        route = ruled(free_service_port(), Respond(status=404), path_is("/ws", to("chat")))
        route = replace(route, pools=(chat,))
        await balancer.apply("lb:web", [route])
        url = f"ws://{LOOPBACK}:{route.key.service_port}/ws"
        async with connect_websocket(url, proxy=None) as websocket:
            await balancer.apply("lb:web", [replace(route, default=Respond(status=403))])
            await websocket.send("one")
            assert await websocket.recv() == "echo one"


async def test_what_endpoints_answer_is_left_as_it_is_and_their_cookie_keeps_their_client(
    balancer: HAProxyBalancer,
) -> None:
    sticky = Sticky(kind=StickyKind.APP_COOKIE, cookie="SID", duration_s=60)
    logs_in = "503 Busy Here\r\nSet-Cookie: SID=7; Path=/"
    async with answering("a", logs_in) as (a, _), answering("b", logs_in) as (b, _):
        apps = Pool(name="apps", spec=PoolSpec(sticky=sticky), endpoints=(a, b))
        rules = (path_is("/none", to("none")),)
        route = ruled(
            free_service_port(),
            to("apps"),
            *rules,
            pools=[apps, Pool(name="none")],
            listener=RuledListener(
                answer_without_endpoints=502, headers_out=(("X-A", 'b "%[src]'),)
            ),
        )
        await balancer.apply("lb:web", [route])
        number = route.key.service_port
        first = await fetch(number)
        assert (first.status, first["server"], first["x-a"]) == (503, "", 'b "%[src]')
        ours = [c for c in headers_of(first.head, "set-cookie") if c.startswith("AWSALBAPP-0=")]
        kept = f"Cookie: SID=7; {ours[0].partition(';')[0]}"
        assert {(await fetch(number, "/", kept)).instance for _ in range(4)} == {first.instance}
        logged_out = kept.replace("SID=7; ", "")
        assert {(await fetch(number, "/", logged_out)).instance for _ in range(4)} == {"a", "b"}
        assert (await fetch(number, "/none")).status == 502
        many = "X-Forwarded-For: " + ", ".join(["1.1.1.1"] * 31)
        assert (await fetch(number, "/", many)).status == 463


async def test_a_stream_begins_with_the_clients_address_where_that_is_asked_for(
    balancer: HAProxyBalancer,
) -> None:
    async with answering("a", "200 OK") as (endpoint, seen):
        spec = PoolSpec(proxy_protocol=2)
        route = ruled(
            free_service_port(),
            to("web"),
            pools=[Pool(name="web", spec=spec)],
            protocol=ListenerProtocol.TCP,
        )
        await balancer.apply("lb:web", [route])
        filled = replace(route, pools=(Pool(name="web", spec=spec, endpoints=(endpoint,)),))
        await balancer.apply("lb:web", [filled])
        await fetch(route.key.service_port)
        assert seen[0].startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11")
