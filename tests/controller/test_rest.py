"""Rest: what needs no look gets none, and nothing that happens is missed."""

from __future__ import annotations

from portway.controller.rest import TURNS
from portway.core.instance import Phase
from tests.controller.inprocess import WEB, Portway

VIRTUAL_TIME = True


async def test_what_is_as_it_should_be_is_looked_at_in_its_turn_only(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.idle(30)
    turns = [portway.controller.rest.restless() for _ in range(TURNS)]
    assert sorted(turns, key=len) == [set()] * (TURNS - 1) + [{"shop/web"}]


async def test_what_is_blocked_is_looked_at_every_time(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.lose_node("local")
    await portway.idle(30)
    assert "shop/web" in portway.controller.rest.restless()


async def test_an_instance_that_goes_without_a_word_is_seen_all_the_same(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.idle(30)
    del portway.engine.world.instances["shop/web.1.1"]  # no hint of the engine says so
    await portway.idle(30)
    assert portway.serving(80) == ["shop/web.1.2"]


async def test_routes_that_the_balancer_lost_are_seen_all_the_same(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.idle(30)
    portway.balancer.served.clear()
    await portway.idle(15)
    assert portway.serving(80) == ["shop/web.1.1"]


async def test_a_lost_node_wakes_what_rests(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.idle(30)
    portway.engine.lose_node("local")
    await portway.until(lambda: portway.app("shop/web").instances[0].phase is Phase.GONE)
