"""The balancer in memory: its faults and its connection counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.balancers.memory import MemoryBalancer
from portway.core.errors import BalancerError
from portway.core.routes import Endpoint, Pool
from portway.core.rules import Forward
from portway.core.traffic import Traffic
from tests.balancers.support import make_route

ENDPOINT = Endpoint(instance_id="shop/web.1.1", address="10.0.0.1", port_number=80)


@pytest.fixture
async def balancer() -> MemoryBalancer:
    made = MemoryBalancer()
    await made.open()
    return made


async def test_connections_are_what_the_test_says(balancer: MemoryBalancer) -> None:
    await balancer.apply("shop/web", [make_route(80, ENDPOINT)])
    balancer.connections["shop/web.1.1"] = 3
    (route,) = await balancer.observe()
    assert [endpoint.connections for endpoint in route.endpoints] == [3]


async def test_a_failed_apply_changes_nothing_and_fails_once(balancer: MemoryBalancer) -> None:
    balancer.fail_next_apply = "the balancer is on fire"
    with pytest.raises(BalancerError, match="on fire"):
        await balancer.apply("shop/web", [make_route(80)])
    assert await balancer.observe() == ()
    await balancer.apply("shop/web", [make_route(80)])
    assert len(await balancer.observe()) == 1


async def test_a_failed_observation_raises_once(balancer: MemoryBalancer) -> None:
    balancer.fail_next_observe = "no answer"
    with pytest.raises(BalancerError, match="no answer"):
        await balancer.observe()
    assert await balancer.observe() == ()


async def test_a_blocked_listener_is_refused_and_the_rest_applied(balancer: MemoryBalancer) -> None:
    blocked, fine = make_route(80), make_route(81)
    balancer.blocked[blocked.key] = "nginx has it"
    with pytest.raises(BalancerError, match="Port 80 cannot be bound: nginx has it"):
        await balancer.apply("shop/web", [blocked, fine])
    assert [route.key for route in await balancer.observe()] == [fine.key]


async def test_back_after_its_end_it_says_so_and_serves_what_is_not_blocked(
    balancer: MemoryBalancer,
) -> None:
    blocked, fine = make_route(80), make_route(81)
    await balancer.apply("shop/web", [blocked, fine])
    told: list[int] = []
    balancer.when_back(lambda: told.append(len(balancer.served)))
    balancer.blocked[blocked.key] = "nginx has it"
    balancer.come_back()
    assert told == [1]
    assert [route.key for route in await balancer.observe()] == [fine.key]


async def test_a_pools_endpoints_and_traffic_are_what_the_test_says(
    balancer: MemoryBalancer,
) -> None:
    pool = Pool(name="web", endpoints=(ENDPOINT,))
    route = replace(make_route(80), default=Forward(pools=(("web", 1),)), pools=(pool,))
    await balancer.apply("shop/web", [route])
    balancer.connections["shop/web.1.1"] = 3
    balancer.traffic_to_pool["web"] = Traffic(requests=7)
    ((served,),) = [one.pools for one in await balancer.observe()]
    assert (served.name, served.traffic.requests) == ("web", 7)
    assert [endpoint.connections for endpoint in served.endpoints] == [3]
