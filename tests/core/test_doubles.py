"""A slot that is filled twice gives one of its instances up for one in an empty slot, and never at the price of traffic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import Breaker, Constraint, ConstraintOperator, Placement, Restart, Rollout
from portway.core.health import Health, HealthStatus
from portway.core.instance import Phase
from portway.core.placement import NodeView
from tests.simulation.world import World, revision


def running(count: int, *nodes: str, **fields: object) -> World:
    world = World()
    if nodes:
        world.nodes = tuple(NodeView(name=n, address=f"{n}.test") for n in nodes)
    world.deploy(revision("R1", **fields), count=count)
    world.run()
    return world


def twice(count: int, *nodes: str, slot: int = 1, **fields: object) -> World:
    """The last instance fills this slot, as an older one does."""
    world = running(count, *nodes, **fields)
    last = world.state.instances[-1]
    last = replace(last, identity=replace(last.identity, slot=slot))
    world.state = replace(world.state, instances=(*world.state.instances[:-1], last))
    return world


def slots(world: World) -> list[int]:
    return sorted(r.identity.slot for r in world.state.live if r.phase < Phase.DRAINING)


def fewest_serving(world: World) -> int:
    """How many serve at the worst moment until it rests."""
    fewest = len(world.serving())
    for _ in range(40):
        world.step()
        fewest = min(fewest, len(world.serving()))
        world.check_health()
        world.now_ms += 500
    return fewest


def test_one_that_recovers_beside_its_replacement_makes_way_once_the_empty_slot_is_filled() -> None:
    world = running(4)
    world.set_health("shop/web.3.3", HealthStatus.FAILING)
    world.step()
    world.set_health("shop/web.3.3", HealthStatus.PASSING)
    world.exit("shop/web.2.2", 1)
    world.step()
    world.now_ms += 2000
    world.step()
    assert slots(world) == [1, 3, 3, 4], "one that still comes up is no second"
    world.check_health()
    world.step()
    assert fewest_serving(world) == 4
    assert slots(world) == [1, 2, 3, 4]
    assert world.state.next_serial == 7, "one replacement, and one for the empty slot"
    assert "shop/web.3.3" in {r.id for r in world.state.live}
    assert any("another instance fills slot 3 as well" in line for line in world.log)


@pytest.mark.parametrize(
    ("minimum", "maximum", "left"), [(100, 200, 4), (100, 100, 4), (50, 100, 3), (0, 100, 3)]
)
def test_the_bounds_say_whether_the_new_one_comes_first(
    minimum: int, maximum: int, left: int
) -> None:
    world = twice(4, rollout=Rollout(minimum_percent=minimum, maximum_percent=maximum))
    assert fewest_serving(world) == left
    assert slots(world) == [1, 2, 3, 4]
    assert world.state.next_serial == 6


def test_bounds_that_allow_nothing_leave_it_so_without_a_word() -> None:
    strict = Rollout(minimum_percent=100, maximum_percent=100, strict_bounds=True)
    world = twice(3, rollout=strict)
    plan = world.step()
    assert not plan.blocked
    assert slots(world) == [1, 1, 2]


def test_where_no_node_takes_one_more_it_stays() -> None:
    unique = Constraint(field="hostname", operator=ConstraintOperator.UNIQUE)
    world = twice(2, "a", "b", placement=Placement(constraints=(unique,)))
    plan = world.step()
    assert not plan.blocked
    assert slots(world) == [1, 1]
    world.nodes = (*world.nodes, NodeView(name="c", address="c.test"))
    world.run()
    assert slots(world) == [1, 2]


def test_an_ill_one_that_no_node_takes_a_replacement_of_goes_first() -> None:
    unique = Constraint(field="hostname", operator=ConstraintOperator.UNIQUE)
    world = twice(4, "a", "b", "c", "d", placement=Placement(constraints=(unique,)))
    world.state = replace(world.state, count=3)
    world.set_health("shop/web.2.2", HealthStatus.FAILING)
    world.run()
    assert slots(world) == [1, 2, 3]
    assert not world.plan().blocked
    assert len(world.serving()) == 3


def test_of_too_many_the_second_goes_and_no_slot_is_emptied_though_the_oldest_should_go() -> None:
    world = twice(4, slot=2, kill_oldest=True)
    world.state = replace(world.state, count=3)
    world.run()
    assert slots(world) == [1, 2, 3]
    assert world.state.next_serial == 5


def test_the_protected_one_of_two_stays() -> None:
    world = twice(3)
    *others, last = world.state.instances
    last = replace(last, protected_until_ms=world.now_ms + 3_600_000)
    world.state = replace(world.state, instances=(*others, last))
    world.run(until_ms=60_000)
    assert slots(world) == [1, 2, 3]
    assert last.id in {r.id for r in world.state.live}


def test_who_serves_stays_though_it_is_the_younger() -> None:
    world = twice(3)
    world.readiness["shop/web.1.1"] = Health(status=HealthStatus.FAILING, detail="busy")
    world.run()
    assert slots(world) == [1, 2, 3]
    assert "shop/web.1.1" not in {r.id for r in world.state.live}


def test_nothing_is_kept_for_it_where_nothing_may_start() -> None:
    world = twice(3)
    world.state = replace(world.state, halted="it failed", count=2)
    world.run(until_ms=60_000)
    assert slots(world) == [1, 2]
    assert world.state.next_serial == 4


def test_what_runs_once_is_not_run_again_for_it() -> None:
    once = Rollout(progress_deadline_s=0.0, breaker=Breaker(enabled=False))
    world = twice(3, restart=Restart.NEVER, rollout=once)
    world.run()
    assert slots(world) == [1, 1, 2]
    assert world.state.next_serial == 4


def test_a_deployment_goes_on_first() -> None:
    world = twice(3)
    world.deploy(revision("R1"), count=4)
    world.step()
    assert slots(world) == [1, 1, 2, 3]
    world.disturbed = True
    world.run()
    assert slots(world) == [1, 2, 3, 4]


def test_a_node_that_is_emptied_and_not_after_all_leaves_every_slot_filled_once() -> None:
    world = running(3, "a", "b")
    (moving,) = (r for r in world.state.live if r.identity.node == "b")
    world.nodes = tuple(replace(node, draining=node.name == "b") for node in world.nodes)
    world.step()
    other = next(r for r in world.state.live if r.identity.slot not in (moving.identity.slot, 3))
    world.exit(other.id, 1)
    world.nodes = tuple(replace(node, draining=False) for node in world.nodes)
    world.step()
    world.check_health()
    world.step()
    assert slots(world) == sorted([*{1, 2, 3} - {other.identity.slot}, moving.identity.slot])
    world.run()
    assert slots(world) == [1, 2, 3]
    assert len(world.serving()) == 3
