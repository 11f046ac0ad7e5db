"""Shared listeners in a real HAProxy: Apps by host and path, redirects, cookies, certificates by name, and ports of several Apps."""

from __future__ import annotations

from dataclasses import replace

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.core.app import JointPort, ListenerSpec, PortSpec, VirtualHost
from portway.core.balancing.shared import OWNER, SharedPort, shared_routes
from portway.core.routes import EndpointState, Route
from tests.balancers.conftest import StartInstance
from tests.balancers.support import (
    Answer,
    EchoInstance,
    client_tls,
    connect,
    eventually,
    free_service_port,
    headers_of,
    make_certificate,
    make_endpoint,
    needs_haproxy,
    served_domain,
)

pytestmark = needs_haproxy
NO_HOST = VirtualHost(hosts=())


def port(name: str, host: VirtualHost, *instances: EchoInstance, sticky: bool = False) -> SharedPort:  # fmt: skip
    spec = PortSpec(name="http", container_port=80, virtual=host, listener=ListenerSpec(sticky=sticky))  # fmt: skip
    return SharedPort(app_id=f"s/{name}", spec=spec, endpoints=tuple(map(make_endpoint, instances)))


async def ask(number: int, host: str, path: str = "/", *headers: str, tls: bool = False) -> Answer:
    connection = await connect(number, tls=client_tls() if tls else None, sni=host if tls else None)
    try:
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
        await connection.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        return await connection.answer()
    finally:
        await connection.close()


async def test_apps_share_a_port_by_host_and_path_with_cookies_redirects_and_certificates(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    http_port = free_service_port()
    https_port = next(n for n in iter(free_service_port, 0) if n != http_port)
    one, two, api = [await start_instance(name) for name in ("one", "two", "api")]
    certificates = [make_certificate(name, f"{name}.test") for name in ("shop", "blog")]
    await balancer.certificates(certificates)

    def routes(*ports: SharedPort) -> tuple[Route, ...]:
        made = shared_routes(
            ports,
            http_port=http_port,
            https_port=https_port,
            certificates=tuple(each.name for each in certificates),
        )
        return tuple(sorted(made, key=lambda route: route.key))

    shop = port("shop", VirtualHost(hosts=("shop.test",)), one, two, sticky=True)
    other = port("api", VirtualHost(hosts=("shop.test", "*.blog.test"), path="/api", redirects=True), api)  # fmt: skip
    await balancer.apply(OWNER, routes(shop, other))

    first = await ask(http_port, "shop.test")
    assert first.instance in ("one", "two")
    cookie = headers_of(first.head, "set-cookie")[0].partition(";")[0]
    assert cookie.startswith("mesosphere_server_id=")
    kept = {(await ask(http_port, "SHOP.test", "/x", f"Cookie: {cookie}")).instance for _ in range(6)}  # fmt: skip
    assert kept == {first.instance}
    sent = await ask(http_port, "a.blog.test", "/api/x?y=1")
    assert (sent.status, sent["location"]) == (301, f"https://a.blog.test:{https_port}/api/x?y=1")
    nobody = await ask(http_port, "blog.test")
    assert (nobody.status, nobody["server"]) == (503, "")
    assert nobody.body == "no app is served under this host and path\n"
    assert (await ask(https_port, "a.blog.test", "/api/x", tls=True)).instance == "api"
    assert await served_domain(https_port, "blog.test") == "blog.test"
    assert await served_domain(https_port, "shop.test") == "shop.test"

    draining = replace(shop.endpoints[0], state=EndpointState.DRAINING)
    await balancer.apply(OWNER, routes(replace(shop, endpoints=(draining, shop.endpoints[1])), other))  # fmt: skip

    async def only_two() -> bool:
        return {(await ask(http_port, "shop.test")).instance for _ in range(4)} == {"two"}

    await eventually(only_two)
    await _take_turns(balancer, one, api)


async def _take_turns(balancer: HAProxyBalancer, first: EchoInstance, second: EchoInstance) -> None:
    """Two Apps of a deployment group have a plain port together, until one of them goes."""
    number = free_service_port()
    joint = JointPort(group="g", service_port=number)
    blue, green = (
        replace(each, spec=replace(each.spec, virtual=None, joint=joint))
        for each in (port("blue", NO_HOST, first), port("green", NO_HOST, second))
    )

    async def who() -> set[str]:
        return {(await ask(number, "any")).instance for _ in range(4)}

    async def both() -> bool:
        return await who() == {"one", "api"}

    async def green_alone() -> bool:
        return await who() == {"api"}

    for ports, answering in (((blue, green), both), ((green,), green_alone)):
        await balancer.apply(OWNER, shared_routes(ports, http_port=0, https_port=0, certificates=()))  # fmt: skip
        await eventually(answering)
