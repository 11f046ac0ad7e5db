"""Marathon's table of rolling replacements, asked of portway's planner: the same counts, or better by portway's own rules."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from portway.core.app import PortSpec, Rollout
from portway.core.capacity import capacity
from portway.core.health import HealthStatus
from portway.core.instance import Phase
from portway.core.placement import NodeView
from tests.simulation.world import World, revision


@dataclass(frozen=True)
class Row:
    """One row: the target count, the bounds, what there is, and what Marathon does at first.

    `resident`: a successor cannot run beside its predecessor, for its host port is the same on every node. `kills`: whom portway lets go of at first, where it is not
    as many as Marathon kills, and `why`.
    """

    count: int
    minimum: float
    over: float
    resident: bool
    healthy: int
    current: int
    marathon_maximum: int
    marathon_kills: int
    kills: int | None = None
    maximum: int | None = None
    why: str = ""


IDLE = "whoever serves nobody makes room: Marathon would wait for it to recover, perhaps for ever"
LATER = (
    "there is room for the new ones beside all of the old ones, so nobody goes before they serve"
)
UNUSED = (
    "one more may live whatever is healthy; with none there, no more than the count are started"
)

TABLE = [
    Row(1, 0.5, 0, True, 1, 1, 1, 1),
    Row(1, 0.5, 0, True, 0, 1, 1, 0, kills=1, why=IDLE),
    Row(5, 0.5, 0, True, 5, 5, 5, 2),
    Row(5, 1, 0, True, 7, 7, 5, 3),
    Row(5, 1, 0, True, 3, 5, 5, 0, kills=2, why=IDLE),
    Row(5, 1, 0, True, 5, 5, 5, 1),
    Row(1, 0.5, 0, False, 1, 1, 2, 0),
    Row(1, 0.5, 0, False, 0, 0, 1, 0, maximum=2, why=UNUSED),
    Row(2, 0.5, 0, False, 2, 2, 2, 1),
    Row(10, 0.1, 0, False, 1, 1, 10, 0),
    Row(10, 0.1, 1, False, 10, 10, 20, 9, kills=0, why=LATER),
    Row(10, 1, 1, False, 10, 10, 20, 0),
]


def rollout_of(row: Row) -> Rollout:
    return Rollout(
        minimum_percent=int(row.minimum * 100), maximum_percent=100 + int(row.over * 100)
    )


def world_of(row: Row) -> World:
    """What there is before the first look at a new revision."""
    held = 8080 if row.resident else None
    ports = (PortSpec(name="80", container_port=8080, service_ports=(80,), host_port=held),)
    names = [f"n{nth}" for nth in range(row.count if row.resident else 1)]
    nodes = tuple(NodeView(name=name, address="10.0.0.1") for name in names)
    world = World(disturbed=True, nodes=nodes)
    fields = {"rollout": rollout_of(row)}
    if row.current:
        world.deploy(revision("R1", **fields), count=row.current)
        world.run()
        for record in world.state.live[row.healthy :]:
            world.set_health(record.id, HealthStatus.FAILING)
    world.deploy(revision("R2", **fields, ports=ports), count=row.count)
    return world


@pytest.mark.parametrize("row", TABLE)
def test_the_bounds_are_marathons(row: Row) -> None:
    found = capacity(row.count, rollout_of(row), one_at_a_time=row.resident)
    assert found.maximum_live == (row.maximum or row.marathon_maximum)
    assert row.maximum is None or row.why


@pytest.mark.parametrize("row", TABLE)
def test_so_many_leave_before_the_first_successor_comes(row: Row) -> None:
    world = world_of(row)
    world.step()
    gone = [r for r in world.state.instances if r.phase >= Phase.DRAINING]
    expected = row.marathon_kills if row.kills is None else row.kills
    assert len(gone) == expected, row.why
    assert row.kills is None or row.why
    started = sum(1 for r in world.state.live if r.identity.revision == "R2")
    assert started <= row.count
    assert len(world.state.live) <= max(row.current, row.maximum or row.marathon_maximum)


@pytest.mark.parametrize("row", TABLE)
def test_in_the_end_only_the_new_ones_run(row: Row) -> None:
    world = world_of(row)
    world.run()
    ready = [r for r in world.state.live if r.phase is Phase.READY]
    assert [r.identity.revision for r in ready] == ["R2"] * row.count
    assert len(world.state.live) == row.count


def test_of_a_single_instance_app_there_are_never_two() -> None:
    """`MARATHON_SINGLE_INSTANCE_APP`: both bounds of its upgrade strategy are 0."""
    single = Rollout(minimum_percent=0, maximum_percent=100)
    world = World(disturbed=True)
    world.deploy(revision("R1", rollout=single), count=1)
    world.run()
    world.deploy(revision("R2", rollout=single), count=1)
    for _ in range(30):
        world.step()
        world.check_health()
        assert len(world.state.live) <= 1
        world.now_ms += 1000
    assert [r.identity.revision for r in world.state.live] == ["R2"]
