"""Targets whose Apps are gone are shown as draining until their delay is over."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.balancing.left import KIND
from portway.core.balancing.model import Target
from portway.core.balancing.targets import DRAINING
from tests.controller.balancing.test_balancing import (
    portway,  # noqa: F401  (a fixture)
    registered,
    running,
)
from tests.controller.inprocess import Portway
from tests.core.balancing.values import GROUP

VIRTUAL_TIME = True


def shown(portway: Portway) -> list[tuple[int, str]]:  # noqa: F811
    """The ports and states of the group's targets."""
    balancing = portway.controller.balancing
    group = balancing.registry.groups[GROUP.arn]
    return sorted((m.number, health.state.value) for m, health in balancing.standings(group))


async def removed(portway: Portway) -> list[int]:  # noqa: F811
    """The ports of an App that ran, and is gone."""
    await running(portway)
    ports = [number for number, _ in shown(portway)]
    await portway.operations.remove_app("c", "web")
    await portway.until(lambda: "c/web" not in portway.world.apps)
    return ports


async def test_they_drain_for_the_whole_delay_and_then_they_are_gone(portway: Portway) -> None:  # noqa: F811
    ports = await removed(portway)
    assert shown(portway) == [(number, "draining") for number in ports]
    await portway.idle(290)
    assert len(shown(portway)) == 2
    await portway.idle(11)
    assert shown(portway) == []


async def test_nothing_is_sent_to_them(portway: Portway) -> None:  # noqa: F811
    await removed(portway)
    balancing = portway.controller.balancing
    for member, health in balancing.standings(balancing.registry.groups[GROUP.arn]):
        assert (member.is_routable, member.address, health) == (False, "", DRAINING)
    await portway.idle(5)
    assert not [e for r in portway.balancer.served.values() for p in r.pools for e in p.endpoints]


async def test_another_controller_shows_them_too(portway: Portway) -> None:  # noqa: F811
    await removed(portway)
    before = shown(portway)
    after = await portway.successor()
    assert shown(after) == before
    await after.crash()


async def test_a_port_that_somebody_has_again_is_shown_once(portway: Portway) -> None:  # noqa: F811
    [first, *_] = await removed(portway)
    balancing = portway.controller.balancing
    group = balancing.registry.groups[GROUP.arn]
    gone = next(m for m in balancing.members(group) if m.number == first)
    await registered(portway, replace(GROUP, targets=(Target(id=gone.id, number=first),)))
    assert [number for number, _ in shown(portway)].count(first) == 1
    await portway.until(lambda: (first, "healthy") in shown(portway))


async def test_those_of_a_group_that_is_gone_are_forgotten(portway: Portway) -> None:  # noqa: F811
    await removed(portway)
    assert [d.key for d in await portway.store.documents.list(KIND)] == [GROUP.arn]
    await portway.controller.balancing.registry.delete(GROUP)
    after = await portway.successor()
    assert await after.store.documents.list(KIND) == ()
    await after.crash()


async def test_a_group_without_a_delay_shows_nobody(portway: Portway) -> None:  # noqa: F811
    at_once = {"deregistration_delay.timeout_seconds": "0"}
    await registered(portway, replace(GROUP, attributes=at_once))
    await removed(portway)
    assert shown(portway) == []
