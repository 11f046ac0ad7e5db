"""The past: the map as it was, who had a port, and what happened around a time."""

from __future__ import annotations

import pytest

from portway.controller.past import map_of
from portway.core.errors import RequestError
from portway.core.ownership import HoldingKind
from tests.controller.inprocess import WEB, Portway, compose

VIRTUAL_TIME = True
MIXED = compose(web="image: web; ports: ['80:8080']", dns="image: dns; ports: ['53:53/udp']")


async def redeployed(portway: Portway) -> int:
    """A moment at which the first release served, and by now the second does."""
    await portway.deploy("shop", WEB)
    await portway.idle(10)
    then_ms = portway.clock.now_ms()
    await portway.idle(10)
    await portway.deploy("shop", WEB.replace("image: web", "image: web:2"))
    await portway.idle(20)
    return then_ms


async def test_the_map_of_a_moment_is_what_the_map_said_then(portway: Portway) -> None:
    await portway.deploy("shop", MIXED)
    await portway.idle(10)
    then_ms, then = portway.clock.now_ms(), await portway.operations.map()
    await portway.idle(1)
    await portway.deploy("shop", MIXED.replace("image: web", "image: web:2"))
    await portway.idle(20)
    found = await portway.operations.map_at(then_ms)
    assert [(r.app, r.service_port, r.exposure) for r in found] == [
        (r.app, r.service_port, r.exposure) for r in sorted(then, key=lambda r: r.app)
    ]
    for was, said in zip(found, sorted(then, key=lambda r: r.app), strict=True):
        (one,), (other,) = was.endpoints, said.endpoints
        assert (one.instance, one.host_port, one.state) == (
            other.instance,
            other.host_port,
            other.state,
        )
        assert (one.slot_name, one.container_port) == (other.slot_name, other.container_port)


async def test_the_map_of_a_moment_is_narrowed_to_a_stack(portway: Portway) -> None:
    then_ms = await redeployed(portway)
    assert await portway.operations.map_at(then_ms, stack="other") == ()
    (route,) = await portway.operations.map_at(then_ms, stack="shop")
    assert [e.instance for e in route.endpoints] == ["web.1.1"]


async def test_who_had_a_port_then_is_not_who_has_it_now(portway: Portway) -> None:
    then_ms = await redeployed(portway)
    now = await portway.operations.port_history(80)
    then = await portway.operations.port_history(80, at_ms=then_ms)
    routed = [
        [h.instance_id for h in found.held if h.kind is HoldingKind.ENDPOINT]
        for found in (then, now)
    ]
    assert routed == [["shop/web.1.1"], ["shop/web.1.2"]]
    assert [c.sequence for c in now.changes] == sorted(c.sequence for c in now.changes)
    assert len(now.changes) == 6


async def test_what_is_not_saved_yet_is_known_all_the_same(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.idle(0.5)
    (route,) = await portway.operations.map_at(portway.clock.now_ms())
    assert [e.state for e in route.endpoints] == ["ready"]


async def test_events_come_from_both_sides_of_a_time(portway: Portway) -> None:
    then_ms = await redeployed(portway)
    found = await portway.operations.events_around(then_ms, limit=6)
    assert [e.at_ms <= then_ms for e in found] == [True] * 3 + [False] * 3
    assert [e.sequence for e in found] == sorted(e.sequence for e in found)
    assert await portway.operations.events_around(then_ms, stack="other") == ()


async def test_the_time_before_the_journal_and_the_future_are_refused(portway: Portway) -> None:
    ask = portway.operations
    with pytest.raises(RequestError, match="journal is empty"):
        await ask.map_at(5)
    with pytest.raises(RequestError, match="journal is empty"):
        await ask.events_around(5)
    await portway.deploy("shop", WEB)
    for asked in (ask.map_at, ask.events_around):
        with pytest.raises(RequestError, match=r"does not go back to .* it begins at") as caught:
            await asked(5)
        assert caught.value.http_status == 404
        with pytest.raises(RequestError, match="in the future"):
            await asked(2**60)
    with pytest.raises(RequestError, match="does not go back"):
        await ask.port_history(80, at_ms=5)


def test_nothing_held_is_an_empty_map() -> None:
    assert map_of(()) == ()
