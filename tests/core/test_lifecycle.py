"""What happened to each instance since the last look, turned into phases, reasons and failures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from portway.core.app import Container, ContainerCondition, ContainerDependency, Restart
from portway.core.instance import EngineState, InstanceRecord, ObservedContainer, Phase
from portway.core.lifecycle import GONE_KEPT, has_completed
from portway.core.observed import StartFailure
from portway.core.plan import RemoveInstance
from portway.core.reconcile import reconcile
from portway.core.state import DeploymentStatus
from tests.simulation.world import World, revision


def deployed(*, count: int = 1, **fields: object) -> World:
    world = World()
    world.deploy(revision("R1", **fields), count=count)
    world.run()
    return world


def record(world: World, instance_id: str = "shop/web.1.1") -> InstanceRecord:
    return next(r for r in world.state.instances if r.id == instance_id)


def looked(world: World, **observed: object):  # noqa: ANN201
    """One reconcile with some of the observation replaced."""
    return reconcile(
        world.state,
        replace(world.observed(), **observed),
        host_pool=world.host_pool,
        service_pool=world.service_pool,
        now_ms=world.now_ms,
    )


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"exit_code": 3}, "it exited with code 3"),
        ({"exit_code": None}, "it ended"),
        ({"exit_code": 137, "oom_killed": True}, "it was killed because it used more memory"),
        ({"exit_code": 128, "error": "the disk is gone"}, "the disk is gone"),
        ({"exit_code": 2, "failed_container": "db"}, "its container db exited with code 2"),
        (
            {"exit_code": 137, "oom_killed": True, "failed_container": "db"},
            "its container db was killed because it used more memory",
        ),
        (
            {"exit_code": 127, "error": "no such file", "failed_container": "db"},
            "its container db: no such file",
        ),
    ],
    ids=["code", "no code", "memory", "the engine knows why", "one", "one's memory", "one's error"],
)
def test_an_instance_that_ends_by_itself_has_failed_and_says_how(
    how: dict[str, object], said: str
) -> None:
    world = deployed()
    seen = world.instances["shop/web.1.1"]
    world.instances[seen.id] = replace(seen, state=EngineState.EXITED, **how)  # type: ignore[arg-type]
    plan = looked(world, last_words={seen.id: "panic: at the disco\n"})
    (gone,) = [r for r in plan.state.instances if r.id == seen.id]
    assert (gone.phase, gone.failed, gone.exit_code) == (Phase.GONE, True, how["exit_code"])
    assert gone.reason.startswith(said)
    assert gone.reason.endswith("\n    panic: at the disco")
    assert [f.instance_id for f in plan.state.failures] == [seen.id]
    assert set(plan.freed) == set(gone.identity.leases)


@pytest.mark.parametrize(
    ("app", "told"),
    [
        ({}, "`restart: on-failure` lets it complete"),
        ({"environment_form": "marathon"}, "as Marathon does"),
        ({"labels": {"portway.ecs.kind": "service", "portway.ecs.cluster": "c"}}, "RunTask"),
    ],
)
def test_why_it_should_not_have_ended_is_told_in_the_language_it_was_written_in(
    app: dict[str, Any], told: str
) -> None:
    world = deployed(**app)
    world.exit("shop/web.1.1", 0)
    world.step()
    assert told in record(world).reason


def test_an_instance_that_was_told_to_end_has_not_failed() -> None:
    world = deployed()
    world.state = replace(world.state, count=0)
    world.run()
    assert not record(world).failed
    assert world.state.failures == ()


def test_an_instance_that_disappears_is_replaced() -> None:
    world = deployed()
    world.instances.clear()
    world.run()
    assert record(world).failed
    assert "disappeared" in record(world).reason
    assert [r.id for r in world.state.live] == ["shop/web.1.2"]


@pytest.mark.parametrize("underway", [False, True])
def test_one_that_leaves_is_not_forgotten_while_its_start_is_under_way(underway: bool) -> None:
    world = World()
    world.deploy(revision("R1"), count=1)
    world.save(world.plan())
    world.state = replace(world.state, count=0)
    busy = frozenset({"shop/web.1.1"} if underway else ())
    for _ in range(4):
        world.save(looked(world, underway=busy))
    assert bool(world.state.live) is underway


def test_one_that_is_told_to_end_keeps_its_ports_until_what_it_started_has_ended() -> None:
    world = deployed()
    world.state = replace(world.state, count=0)
    while record(world).phase is not Phase.STOPPING:
        world.step()
    world.exit("shop/web.1.1", 0)  # its first process: the stop waits for the others
    world.save(looked(world, underway=frozenset({"shop/web.1.1"})))
    assert record(world).phase is Phase.STOPPING
    world.save(looked(world))
    assert record(world).phase is Phase.GONE


@pytest.mark.parametrize(
    ("restart", "code", "completes"),
    [
        (Restart.NEVER, 0, True),
        (Restart.ON_FAILURE, 0, True),
        (Restart.ALWAYS, 0, False),
        (Restart.NEVER, 1, False),
        (Restart.ON_FAILURE, 1, False),
    ],
)
def test_an_instance_completes_when_it_may_end_and_ends_well(
    restart: Restart, code: int, completes: bool
) -> None:
    world = deployed(restart=restart)
    world.exit("shop/web.1.1", code)
    plan = world.step()
    assert has_completed(record(world)) is completes
    assert record(world).failed is not completes
    world.now_ms += 1000
    world.step()
    assert bool(world.state.live) is not completes
    assert plan.state.instances


def test_a_completed_instance_is_remembered_while_its_revision_is_wanted() -> None:
    world = deployed(restart=Restart.NEVER, ports=())
    world.exit("shop/web.1.1", 0)
    world.run()
    extra = [
        replace(record(world), identity=replace(record(world).identity, id=f"x{n}", revision="R0"))
        for n in range(GONE_KEPT + 5)
    ]
    world.state = replace(world.state, instances=(*world.state.instances, *extra))
    world.run()
    assert has_completed(record(world))
    assert len(world.state.instances) == GONE_KEPT + 1


def test_what_has_ended_is_removed_from_the_engine() -> None:
    world = deployed()
    world.exit("shop/web.1.1", 1)
    plan = world.step()
    assert RemoveInstance(instance_id="shop/web.1.1") in plan.actions


def test_only_so_many_records_of_what_is_gone_are_kept() -> None:
    world = deployed()
    for _ in range(GONE_KEPT + 10):
        world.exit(world.state.live[-1].id, 1)
        world.run()
    assert len(world.state.instances) == GONE_KEPT + 1


def test_a_created_instance_whose_start_failed_is_treated_as_one_that_is_not_there() -> None:
    world = World()
    world.deploy(revision("R1"), count=1)
    world.step()
    seen = world.instances["shop/web.1.1"]
    world.instances[seen.id] = replace(seen, state=EngineState.CREATED)
    hopeless = StartFailure(at_ms=world.now_ms, reason="no such command")
    plan = looked(world, start_failures={seen.id: hopeless})
    (gone,) = plan.state.instances
    assert (gone.phase, gone.reason) == (Phase.GONE, "no such command")
    assert plan.state.deployment is not None
    assert plan.state.deployment.status is DeploymentStatus.FAILED


def test_a_created_instance_without_a_failure_is_waited_for() -> None:
    world = World()
    world.deploy(revision("R1"), count=1)
    world.step()
    seen = world.instances["shop/web.1.1"]
    world.instances[seen.id] = replace(seen, state=EngineState.CREATED)
    assert looked(world).state.live


def test_an_instance_that_is_not_whole_yet_says_which_container_waits_for_which() -> None:
    world = World()
    wait = ContainerDependency(name="db", condition=ContainerCondition.HEALTHY)
    db = Container(name="db", image="db")
    world.deploy(revision("R1", containers=(db,), container_depends_on=(wait,)), count=1)
    world.step()
    seen = world.instances["shop/web.1.1"]
    halves = (
        ObservedContainer(name="web", state=EngineState.CREATED),
        ObservedContainer(name="db", state=EngineState.RUNNING, started_at_ms=1),
    )
    world.instances[seen.id] = replace(seen, state=EngineState.CREATED, containers=halves)
    (blocked,) = looked(world).blocked
    assert blocked.reason == "web.1.1 is not whole yet: web waits for db to become healthy"


def test_a_created_instance_that_leaves_is_gone_with_its_failed_start() -> None:
    world = World()
    world.deploy(revision("R1"), count=1)
    world.step()
    seen = world.instances["shop/web.1.1"]
    world.instances[seen.id] = replace(seen, state=EngineState.CREATED)
    world.state = replace(world.state, count=0)
    world.save(looked(world))
    world.save(looked(world))
    failed = StartFailure(at_ms=world.now_ms, reason="busy", retry_at_ms=world.now_ms + 5)
    plan = looked(world, start_failures={seen.id: failed})
    assert plan.state.live == ()
    assert not plan.state.instances[0].failed


def test_a_fixed_port_the_engine_finds_taken_is_waited_for_not_moved() -> None:
    from portway.core.app import PortSpec

    world = World()
    port = PortSpec(name="80", container_port=80, service_ports=(80,), host_port=9000)
    world.deploy(revision("R1", ports=(port,)), count=1)
    world.save(world.plan())
    taken = StartFailure(
        at_ms=world.now_ms, reason="9000 is taken", port_taken=True, retry_at_ms=world.now_ms + 5
    )
    plan = looked(world, start_failures={"shop/web.1.1": taken})
    assert [r.phase for r in plan.state.live] == [Phase.PLANNED]
    assert [b.reason for b in plan.blocked] == ["web.1.1 cannot start yet: 9000 is taken"]


def test_an_instance_of_another_app_is_not_adopted_nor_is_a_one_off() -> None:
    world = deployed()
    seen = world.instances["shop/web.1.1"]
    other = replace(seen, identity=replace(seen.identity, id="shop/api.1.9", app_id="shop/api"))
    one_off = replace(seen, identity=replace(seen.identity, id="shop/web.0.9", slot=0))
    plan = looked(world, instances={**world.instances, other.id: other, one_off.id: one_off})
    assert [r.id for r in plan.state.instances] == ["shop/web.1.1"]


def test_the_way_of_an_instance_is_told_in_sentences() -> None:
    world = deployed()
    world.deploy(revision("R2"), count=1)
    world.run()
    told = [line for line in world.log if line.startswith("web.1.1 ")]
    assert told == [
        "web.1.1 is healthy",
        "web.1.1 is draining: release R2 takes its place",
        "web.1.1 is stopping",
        "web.1.1 is gone",
    ]


def test_what_was_gone_by_mistake_and_still_serves_leaves_the_routes_before_it_is_removed() -> None:
    world = World()
    world.deploy(revision("R1"), count=2)
    world.run()
    record = world.state.live[0]
    gone = replace(record, phase=Phase.GONE)
    world.state = replace(world.state, instances=(gone, *world.state.instances[1:]))
    plan = world.plan()
    assert not [a for a in plan.actions if isinstance(a, RemoveInstance)]
    world.routes = ()
    assert [a for a in world.plan().actions if isinstance(a, RemoveInstance)]
