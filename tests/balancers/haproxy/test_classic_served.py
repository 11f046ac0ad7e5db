"""What a real HAProxy does for a classic load balancer: its cookies, the PROXY protocol, TLS to clients alone, and its headers."""

from __future__ import annotations

from dataclasses import replace

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.core.balancing.classic import ClassicBalancer, ClassicListener
from portway.core.balancing.classic_serving import classic_routes
from portway.core.routes import Endpoint, Route
from tests.balancers.conftest import StartInstance
from tests.balancers.haproxy.test_pools_served import answering
from tests.balancers.support import (
    LOOPBACK,
    EchoInstance,
    client_tls,
    connect,
    fetch,
    free_service_port,
    headers_of,
    make_certificate,
    make_endpoint,
    needs_haproxy,
)
from tests.core.balancing.classics import classic

pytestmark = needs_haproxy


def listening(protocol: str, *policies: str, certificate: str = "") -> ClassicListener:
    number = free_service_port()
    towards = "HTTP" if protocol == "HTTP" else "TCP"
    return ClassicListener(
        protocol=protocol,
        number=number,
        instance_protocol=towards,
        instance_port=number,
        certificate=certificate,
        policies=policies,
    )


def served_by(balancer: ClassicBalancer, *instances: EchoInstance) -> list[Route]:
    """Its routes, with these in every pool."""
    endpoints = tuple(make_endpoint(one) for one in instances)
    return [
        replace(route, pools=tuple(replace(pool, endpoints=endpoints) for pool in route.pools))
        for route in classic_routes(balancer, ())
    ]


def cookies(head: str) -> dict[str, str]:
    """What is set, by name, without its path and flags."""
    said = (cookie.partition("=") for cookie in headers_of(head, "set-cookie"))
    return {name: rest for name, _, rest in said}


async def test_listeners_do_what_their_policies_say(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    kept, plain = listening("HTTP", "affinity"), listening("HTTP")
    stream, secure = listening("TCP"), listening("SSL", certificate="web")
    await balancer.certificates([make_certificate("web", "web.test")])
    made = classic(
        address=LOOPBACK,
        listeners=(kept, plain, stream, secure),
        backend_policies=((stream.number, ("proxy",)),),
    )
    await balancer.apply(made.owner, served_by(made, a, b))
    # A cookie for sixty seconds, and its twin; it is not renewed, and keeps the client.
    first = await fetch(kept.number)
    ours = cookies(first.head)
    assert sorted(ours) == ["AWSELB", "AWSELBCORS"]
    assert "Expires=" in ours["AWSELB"]
    assert "SameSite=None; Secure" in ours["AWSELBCORS"]
    cookie = f"Cookie: AWSELB={ours['AWSELB'].partition(';')[0]}"
    again = [await fetch(kept.number, "/", cookie) for _ in range(4)]
    assert {(one.instance, len(cookies(one.head))) for one in again} == {(first.instance, 0)}
    # Instances are told of the client as a classic load balancer does it, without a trace.
    answer = await fetch(plain.number)
    assert cookies(answer.head) == {}
    told = answer.body.lower()
    assert f"x-forwarded-for: {LOOPBACK}" in told
    assert f"x-forwarded-port: {plain.number}" in told
    assert "x-forwarded-proto: http\r" in told
    assert "x-amzn-trace-id" not in told
    connection = await connect(stream.number)
    await connection.send(b"12")
    assert await connection.receive() in (b"a:12", b"b:12")
    await connection.close()
    [line] = a.proxied + b.proxied
    assert line.startswith(f"PROXY TCP4 {LOOPBACK} {LOOPBACK} ")
    connection = await connect(secure.number, tls=client_tls())
    await connection.send(b"34")
    assert await connection.receive() in (b"a:34", b"b:34")
    await connection.close()
    connection = await connect(secure.number)
    await connection.send(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
    assert await connection.receive() == b""
    await connection.close()


async def test_a_cookie_follows_the_applications_and_with_nobody_in_service_it_is_503(
    balancer: HAProxyBalancer,
) -> None:
    kept = listening("HTTP", "session")
    made = classic(address=LOOPBACK, listeners=(kept,))
    [empty] = served_by(made)
    logs_in = "200 OK\r\nSet-Cookie: SID=7; Path=/"
    async with answering("a", logs_in) as (a, _), answering("b", "200 OK") as (b, _):

        async def serve(*endpoints: Endpoint) -> None:
            pools = (replace(empty.pools[0], endpoints=endpoints),)
            await balancer.apply(made.owner, [replace(empty, pools=pools)])

        await serve(b)
        assert cookies((await fetch(kept.number)).head) == {}  # the application has set none
        await serve(a)
        ours = cookies((await fetch(kept.number)).head)
        assert sorted(ours) == ["AWSELB", "AWSELBCORS", "SID"]
        assert "Expires" not in ours["AWSELB"]
        await serve(a, b)
        cookie = f"Cookie: SID=7; AWSELB={ours['AWSELB'].partition(';')[0]}"
        assert {(await fetch(kept.number, "/", cookie)).instance for _ in range(4)} == {"a"}
        await serve()
        assert (await fetch(kept.number)).status == 503
