"""The Balancer contract, over every adapter."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from portway.balancers.base import Balancer
from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.balancers.memory import MemoryBalancer
from portway.core.app import ListenerProtocol, ListenerSpec
from portway.core.errors import BalancerError
from portway.core.routes import Endpoint, EndpointState, Pool, Route, ServedRoute
from portway.core.rules import Forward, Respond, Rule
from portway.core.traffic import Traffic
from tests.balancers.support import LOOPBACK, free_service_port, make_certificate, make_route


@pytest.fixture(
    params=[
        "memory",
        pytest.param(
            "haproxy",
            marks=[
                pytest.mark.haproxy,
                pytest.mark.skipif(shutil.which("haproxy") is None, reason="no HAProxy"),
            ],
        ),
    ]
)
async def balancer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Balancer]:
    makers: dict[str, Callable[[], Balancer]] = {
        "memory": MemoryBalancer,
        "haproxy": lambda: HAProxyBalancer(tmp_path, public_addresses=(LOOPBACK,)),
    }
    made = makers[request.param]()
    try:
        await made.open()
        yield made
    finally:
        await made.shutdown()


def endpoint(n: int, state: EndpointState = EndpointState.READY) -> Endpoint:
    return Endpoint(
        instance_id=f"shop/web.1.{n}", address=LOOPBACK, port_number=9000 + n, state=state
    )


def shape(served: tuple[ServedRoute, ...]) -> list[tuple[object, ...]]:
    return [
        (
            r.key,
            r.owner,
            r.port_name,
            {(e.instance_id, e.address, e.port_number, e.state) for e in r.endpoints},
            {
                p.name: {(e.instance_id, e.address, e.port_number, e.state) for e in p.endpoints}
                for p in r.pools
            },
        )
        for r in served
    ]


def wanted(*routes: Route) -> list[tuple[object, ...]]:
    return [
        (
            r.key,
            r.owner,
            r.port_name,
            {(e.instance_id, e.address, e.port_number, e.state) for e in r.endpoints},
            {
                p.name: {(e.instance_id, e.address, e.port_number, e.state) for e in p.endpoints}
                for p in r.pools
            },
        )
        for r in sorted(routes, key=lambda r: r.key)
    ]


async def test_it_serves_nothing_at_first(balancer: Balancer) -> None:
    assert await balancer.observe() == ()


async def test_what_is_applied_is_observed(balancer: Balancer) -> None:
    route = make_route(free_service_port(), endpoint(1), endpoint(2, EndpointState.DRAINING))
    await balancer.apply("shop/web", [route])
    assert shape(await balancer.observe()) == wanted(route)


async def test_applying_twice_changes_nothing(balancer: Balancer) -> None:
    route = make_route(free_service_port(), endpoint(1))
    await balancer.apply("shop/web", [route])
    before, info = await balancer.observe(), await balancer.info()
    await balancer.apply("shop/web", [route])
    assert await balancer.observe() == before
    assert await balancer.info() == info


async def test_what_is_reported_changes_nothing_about_what_is_served(balancer: Balancer) -> None:
    route = make_route(free_service_port(), endpoint(1))
    await balancer.apply("shop/web", [route])
    before, info = await balancer.observe(), await balancer.info()
    balancer.take_requests(lambda requests, skipped: None)
    for owners in (["shop/web"], ["shop/web", "shop/unknown"], []):
        await balancer.report(owners)
    assert await balancer.observe() == before
    assert await balancer.info() == info


async def test_a_listener_that_served_nobody_has_counted_nothing(balancer: Balancer) -> None:
    await balancer.apply("shop/web", [make_route(free_service_port(), endpoint(1))])
    (served,) = await balancer.observe()
    assert served.traffic == Traffic()


async def test_an_owner_changes_only_its_own_routes(balancer: Balancer) -> None:
    ours = make_route(free_service_port(), endpoint(1))
    theirs = make_route(free_service_port(), endpoint(2), owner="shop/api")
    await balancer.apply("shop/web", [ours])
    await balancer.apply("shop/api", [theirs])
    await balancer.apply("shop/web", [])
    assert shape(await balancer.observe()) == wanted(theirs)


async def test_endpoints_drain_come_back_and_leave(balancer: Balancer) -> None:
    number = free_service_port()
    for endpoints in (
        [endpoint(1)],
        [endpoint(1, EndpointState.DRAINING), endpoint(2)],
        [endpoint(1), endpoint(2)],
        [endpoint(2)],
        [],
        [endpoint(1)],
    ):
        route = make_route(number, *endpoints)
        await balancer.apply("shop/web", [route])
        assert shape(await balancer.observe()) == wanted(route)


async def test_an_endpoint_comes_drains_and_leaves_each_pool_it_is_in(balancer: Balancer) -> None:
    plain = make_route(free_service_port(), listener=ListenerSpec(protocol=ListenerProtocol.HTTP))
    two_ports = (endpoint(1), replace(endpoint(1), port_number=9100))
    draining = endpoint(1, EndpointState.DRAINING)
    reloads, route = -1, plain
    for one, other in (
        ((), ()),
        (two_ports, (endpoint(1),)),
        ((draining, endpoint(2)), (endpoint(1),)),
        ((endpoint(2),), (draining,)),
        ((endpoint(2),), ()),
    ):
        pools = (Pool(name="one", endpoints=one), Pool(name="other", endpoints=other))
        route = replace(plain, default=Forward(pools=(("one", 1), ("other", 1))), pools=pools)
        await balancer.apply("shop/web", [route])
        assert shape(await balancer.observe()) == wanted(route)
        before, reloads = reloads, (await balancer.info()).reloads
        assert before in (-1, reloads)
    answers = Rule(name="1", conditions=(), action=Respond(status=404, body="no"))
    await balancer.apply("shop/web", [replace(route, rules=(answers,))])
    await balancer.close()
    await balancer.open()
    assert shape(await balancer.observe()) == wanted(route)
    assert (await balancer.info()).restarts == 0


async def test_another_owners_listener_is_refused_and_the_rest_applied(balancer: Balancer) -> None:
    ours = make_route(free_service_port(), endpoint(1))
    await balancer.apply("shop/web", [ours])
    clash = make_route(ours.key.service_port, endpoint(2), owner="shop/api")
    other = make_route(free_service_port(), endpoint(2), owner="shop/api")
    with pytest.raises(BalancerError, match=rf"Port {ours.key.service_port}.*shop/web"):
        await balancer.apply("shop/api", [clash, other])
    assert shape(await balancer.observe()) == wanted(ours, other)


async def test_certificates_are_taken_and_replaced(balancer: Balancer) -> None:
    await balancer.certificates([make_certificate("one", "one.test")])
    route = make_route(free_service_port(), endpoint(1), certificates=("one",))
    await balancer.apply("shop/web", [route])
    await balancer.certificates([make_certificate("one", "two.test")])
    assert shape(await balancer.observe()) == wanted(route)


async def test_closed_and_opened_again_it_serves_the_same(balancer: Balancer) -> None:
    route = make_route(free_service_port(), endpoint(1), endpoint(2, EndpointState.DRAINING))
    await balancer.apply("shop/web", [route])
    await balancer.close()
    await balancer.open()
    assert shape(await balancer.observe()) == wanted(route)


async def test_after_shutdown_nothing_can_be_observed(balancer: Balancer) -> None:
    await balancer.shutdown()
    with pytest.raises(BalancerError):
        await balancer.observe()


async def test_its_info_names_it(balancer: Balancer) -> None:
    info = await balancer.info()
    assert info.name in ("memory", "haproxy")
    assert info.version
    assert info.reloads == info.restarts == 0


async def test_what_is_served_for_some_owners_is_what_is_served_for_all_less_the_others(
    balancer: Balancer,
) -> None:
    first, second = (
        make_route(free_service_port(), owner="shop/web"),
        make_route(free_service_port(), owner="shop/api"),
    )
    await balancer.apply("shop/web", [replace(first, endpoints=(endpoint(1),))])
    await balancer.apply("shop/api", [replace(second, endpoints=(endpoint(2),))])
    everything = await balancer.observe()
    assert await balancer.observe(["shop/web"]) == tuple(
        r for r in everything if r.owner == "shop/web"
    )
    assert await balancer.observe(["shop/web", "shop/api", "shop/unknown"]) == everything
    assert await balancer.observe([]) == ()
