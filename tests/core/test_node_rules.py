"""How many daemons run, who moves off a node that is emptied, and who leaves when there are too many."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import Breaker, Placement, Restart, Rollout, SpreadKind
from portway.core.instance import EngineState, Phase
from portway.core.placement import Misfit, NodeView
from portway.core.state import DeploymentStatus
from tests.simulation.world import World, revision

ECS = Rollout(
    strict_bounds=True, progress_deadline_s=0.0, breaker=Breaker(enabled=False, reset=True)
)
DAEMON = Placement(daemon=True)
DAEMON_ROLLOUT = replace(ECS, minimum_percent=0, maximum_percent=100)


def nodes(*names: str, **fields: object) -> tuple[NodeView, ...]:
    return tuple(NodeView(name=n, address="10.0.0.1", **fields) for n in names)  # type: ignore[arg-type]


def drained(world: World, name: str) -> None:
    world.nodes = tuple(replace(n, draining=n.name == name) for n in world.nodes)


def places(world: World) -> list[str]:
    return sorted(r.identity.node for r in world.state.live if r.phase < Phase.DRAINING)


def running(count: int, *names: str, **fields: object) -> World:
    world = World(nodes=nodes(*names))
    world.deploy(revision("R1", **{"rollout": ECS} | fields), count=count)
    world.run()
    return world


def test_a_daemon_runs_once_on_every_node_and_follows_their_number() -> None:
    world = running(1, "a", "b", placement=DAEMON, rollout=DAEMON_ROLLOUT)
    assert places(world) == ["a", "b"]
    world.nodes = nodes("a", "b", "c")
    world.run()
    assert places(world) == ["a", "b", "c"]
    world.nodes = ()
    assert not world.plan().actions
    world.nodes = nodes("a", "b", "c")
    drained(world, "b")
    world.run()
    assert places(world) == ["a", "c"]


def test_a_new_revision_of_a_daemon_takes_the_place_of_the_old_one_on_each_node() -> None:
    world = running(1, "a", "b", placement=DAEMON, rollout=DAEMON_ROLLOUT)
    world.deploy(revision("R2", placement=DAEMON, rollout=DAEMON_ROLLOUT), count=2)
    world.run()
    assert places(world) == ["a", "b"]
    assert {r.identity.revision for r in world.state.live} == {"R2"}


def test_what_runs_on_a_node_that_is_emptied_moves_within_the_bounds() -> None:
    world = running(2, "a", "b")
    drained(world, "a")
    world.step()
    assert places(world) == ["a", "b", "b"]
    world.run()
    assert places(world) == ["b", "b"]
    assert sorted(r.identity.slot for r in world.state.live) == [1, 2]
    assert any("its node a is being drained" in line for line in world.log)
    assert len(world.serving()) == 2


def test_where_nothing_can_move_to_all_stays() -> None:
    world = running(2, "a")
    drained(world, "a")
    world.run(until_ms=5000)
    assert places(world) == ["a", "a"]
    assert world.plan().blocked[0].reason == "no node is available to run on"


def test_a_task_that_runs_once_ends_where_it_is() -> None:
    world = running(1, "a", "b", restart=Restart.NEVER)
    drained(world, "a")
    world.run(until_ms=5000)
    assert places(world) == ["a"]


def test_the_node_with_the_most_loses_one_first() -> None:
    spread = Placement(strategies=((SpreadKind.SPREAD, "instanceId"),))
    world = running(3, "a", "b", placement=spread)
    assert places(world) == ["a", "a", "b"]
    world.deploy(world.state.target, count=2)  # type: ignore[arg-type]
    world.run()
    assert places(world) == ["a", "b"]


def test_of_what_is_packed_the_emptiest_node_is_emptied_on() -> None:
    packed = Placement(strategies=((SpreadKind.BINPACK, "memory"),), reserves=True)
    world = running(3, "a", "b", placement=packed)
    world.nodes = nodes("a", "b", memory_bytes=100)
    there = [r.identity.node for r in world.state.live]
    world.deploy(world.state.target, count=1)  # type: ignore[arg-type]
    world.run()
    assert len(places(world)) == 1
    assert places(world)[0] in there


def test_bounds_kept_to_the_letter_can_leave_nothing_to_do_and_that_is_said() -> None:
    bounds = replace(ECS, minimum_percent=100, maximum_percent=125)
    world = running(3, "a", rollout=bounds)
    world.deploy(revision("R2", rollout=bounds), count=3)
    world.run(until_ms=60_000)
    (blocked,) = world.plan().blocked
    assert blocked.code == Misfit.BOUNDS
    assert "at least 3 (100%) stay and at most 3 (125%) run" in blocked.reason
    assert {r.identity.revision for r in world.state.live} == {"R1"}
    wider = replace(bounds, maximum_percent=134)
    world.deploy(revision("R3", rollout=wider), count=3)
    world.run()
    assert {r.identity.revision for r in world.state.live} == {"R3"}


def test_half_may_stop_before_half_starts() -> None:
    bounds = replace(ECS, minimum_percent=50, maximum_percent=100)
    world = running(4, "a", rollout=bounds)
    world.deploy(revision("R2", rollout=bounds), count=4)
    world.step()
    leaving = [r for r in world.state.live if r.phase >= Phase.DRAINING]
    assert len(leaving) == 2
    world.run()
    assert {r.identity.revision for r in world.state.live} == {"R2"}


def test_whoever_is_stopping_counts_against_the_maximum() -> None:
    bounds = replace(ECS, minimum_percent=50, maximum_percent=100)
    world = running(2, "a", rollout=bounds)
    world.deploy(revision("R2", rollout=bounds), count=2)
    world.step()
    leaving = next(r for r in world.state.live if r.phase >= Phase.DRAINING)
    world.connections[leaving.id] = 1
    world.step()
    assert len(world.state.live) == 2
    world.connections.clear()
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE
    assert all(i.state is EngineState.RUNNING for i in world.instances.values())
