"""Instances whose node is away: waited for as long as their App says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import Backoff, Unreachable
from portway.core.backoff import delay_of
from portway.core.instance import Phase
from portway.core.placement import NodeView
from tests.simulation.world import World, revision

HERE = NodeView(name="here", address="10.0.0.1")
THERE = NodeView(name="there", address="10.0.0.2")


def world_of(unreachable: Unreachable | None) -> World:
    """Two instances, one a node; then the node `there` is lost with what ran on it."""
    world = World(nodes=(HERE, THERE))
    world.deploy(revision("R1", unreachable=unreachable, backoff=Backoff()), count=2)
    world.run()
    world.disturbed = True
    assert sorted(r.identity.node for r in world.state.live) == ["here", "there"]
    return world


def lose(world: World) -> str:
    """The id of the one that is lost."""
    world.nodes = (HERE, replace(THERE, available=False))
    (lost,) = [r.id for r in world.state.live if r.identity.node == "there"]
    world.instances.pop(lost)
    world.health.pop(lost)
    world.step()
    return lost


def phase_of(world: World, instance_id: str) -> Phase:
    return next(r.phase for r in world.state.instances if r.id == instance_id)


@pytest.mark.parametrize("strategy", [None, Unreachable(inactive_after_s=0.0)])
def test_it_is_replaced_at_once_unless_the_app_says_otherwise(strategy: Unreachable | None) -> None:
    world = world_of(strategy)
    lost = lose(world)
    assert phase_of(world, lost) is Phase.GONE
    assert [r.identity.node for r in world.state.live] == ["here", "here"]
    assert delay_of(world.state, now_ms=world.now_ms) is None


def test_it_is_waited_for_and_then_replaced() -> None:
    world = world_of(Unreachable(inactive_after_s=60.0, expunge_after_s=120.0))
    lost = lose(world)
    assert phase_of(world, lost) is Phase.READY
    plan = world.step()
    assert plan.wake_at_ms == world.now_ms + 60_000
    (blocked,) = plan.blocked
    assert blocked.reason.endswith("because its node there is away; it is replaced in 60 s")
    assert world.serving() == {r.id for r in world.state.live if r.id != lost}
    world.now_ms += 60_000
    world.step()
    assert phase_of(world, lost) is Phase.GONE
    world.run()
    assert [r.identity.node for r in world.state.live] == ["here", "here"]


def test_one_that_comes_back_in_time_stays() -> None:
    world = world_of(Unreachable(inactive_after_s=60.0))
    seen = dict(world.instances)
    lost = lose(world)
    world.now_ms += 30_000
    world.nodes = (HERE, THERE)
    world.instances[lost] = seen[lost]
    world.run(until_ms=1000)
    (record,) = [r for r in world.state.live if r.id == lost]
    assert record.phase is Phase.READY
    assert record.unreachable_since_ms is None
    assert len(world.state.live) == 2
    world.now_ms += 40_000
    world.step()
    assert phase_of(world, lost) is Phase.READY, "the time begins anew"


def test_a_disabled_strategy_waits_for_ever_and_says_so() -> None:
    world = world_of(Unreachable(inactive_after_s=None))
    lost = lose(world)
    world.now_ms += 10**9
    plan = world.step()
    assert phase_of(world, lost) is Phase.READY
    assert "unreachableStrategy is disabled" in plan.blocked[0].reason


def test_it_leaves_first_when_there_are_too_many_and_does_not_slow_later_starts_down() -> None:
    world = world_of(Unreachable(inactive_after_s=60.0))
    lost = lose(world)
    world.deploy(revision("R1", unreachable=Unreachable(inactive_after_s=60.0)), count=1)
    world.run()
    assert phase_of(world, lost) is Phase.GONE
    assert [r.identity.node for r in world.state.live] == ["here"]
    assert delay_of(world.state, now_ms=world.now_ms) is None


def test_an_instance_that_ends_on_a_node_that_is_there_is_replaced_at_once() -> None:
    world = world_of(Unreachable(inactive_after_s=60.0))
    ended = world.state.live[0].id
    world.exit(ended, 1)
    world.step()
    assert phase_of(world, ended) is Phase.GONE
