"""Deployments that may take for ever (ECS): what ends them, what slows them down, and what a grace period forgives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import Breaker, Restart, Rollout
from portway.core.health import HealthStatus
from portway.core.instance import Phase
from portway.core.observed import StartFailure
from portway.core.placement import Misfit
from portway.core.state import DeploymentStatus
from tests.simulation.world import World, revision

NO_BREAKER = Breaker(enabled=False)
ECS = Rollout(progress_deadline_s=0.0, strict_bounds=True, breaker=NO_BREAKER)


def tripping(**fields: object) -> Rollout:
    return replace(ECS, breaker=Breaker(**({"reset": True} | fields)))  # type: ignore[arg-type]


def deployed(rollout: Rollout = ECS, *, count: int = 1, **fields: object) -> World:
    world = World()
    world.deploy(revision("R1", rollout=rollout, **fields), count=count)
    world.run()
    return world


def refuse_starts(world: World, reason: str = "the image cannot be pulled") -> None:
    """None of the instances that are to start now can."""
    for record in world.state.live:
        if record.phase is Phase.PLANNED and record.id not in world.instances:
            world.start_failures[record.id] = StartFailure(at_ms=world.now_ms, reason=reason)


def fail_once(world: World) -> int:
    """Let time pass until an instance is decided on, and have it fail before it runs; how long that took."""
    began_ms = world.now_ms
    while not any(r.phase is Phase.PLANNED for r in world.state.live):
        plan = world.plan()
        world.save(plan)
        if not any(r.phase is Phase.PLANNED for r in world.state.live):
            assert plan.wake_at_ms is not None
            world.now_ms = max(world.now_ms + 1, plan.wake_at_ms)
    waited_ms = world.now_ms - began_ms
    refuse_starts(world)
    world.save(world.plan())
    return waited_ms


def test_starts_that_never_run_are_throttled_to_one_in_27_minutes() -> None:
    world = World()
    world.deploy(revision("R1", rollout=ECS), count=1)
    waits = [round(fail_once(world) / 1000) for _ in range(14)]
    assert waits == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1620, 1620]
    assert world.plan().blocked[0].code == Misfit.THROTTLED
    assert world.state.deployment.status is DeploymentStatus.RUNNING


def test_a_new_revision_is_not_throttled_by_the_last_one() -> None:
    world = World()
    world.deploy(revision("R1", rollout=ECS), count=1)
    for _ in range(8):
        fail_once(world)
    world.disturbed = True  # nothing serves that a minimum could be kept of
    world.deploy(revision("R2", rollout=ECS), count=1)
    world.run(until_ms=2000)
    assert len(world.serving()) == 1


def test_a_crash_after_it_ran_is_no_throttle() -> None:
    world = deployed()
    for _ in range(12):
        world.exit(world.state.live[-1].id, 1)
        world.run(until_ms=200_000)
    codes = {b.code for b in world.plan().blocked}
    assert Misfit.THROTTLED not in codes
    assert len(world.serving()) == 1


def test_without_a_breaker_nothing_ends_a_deployment_and_the_old_ones_go_on() -> None:
    world = deployed(count=2)
    world.deploy(revision("R2", rollout=ECS, image="bad"), count=2)
    world.run(until_ms=3_600_000)
    assert world.state.deployment.status is DeploymentStatus.RUNNING
    assert len([i for i in world.serving() if "R1" in str(world.instances[i].identity)]) == 2


def test_the_breaker_counts_starts_that_fail_and_goes_back() -> None:
    world = deployed(tripping())
    world.deploy(revision("R2", rollout=tripping()), count=1)
    for nth in range(3):
        assert world.state.deployment.status is DeploymentStatus.RUNNING, nth
        fail_once(world)
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert "3 instances failed" in world.state.deployment.reason
    assert world.state.target.id == "R1"
    world.run()
    assert len(world.serving()) == 1


def test_a_breaker_that_goes_back_nowhere_starts_nothing_more_and_lets_nothing_go() -> None:
    rollout = replace(tripping(rollback=False), minimum_percent=0, maximum_percent=200)
    world = deployed(rollout, count=2)
    world.deploy(revision("R2", rollout=rollout), count=2)
    for _ in range(2):
        fail_once(world)
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert (world.state.target.id, bool(world.state.halted)) == ("R2", True)
    world.start_failures.clear()
    world.run()
    old = [r for r in world.state.live if r.identity.revision == "R1"]
    assert len(old) == 2
    assert len(world.state.live) == 2


def test_an_app_that_failed_and_is_deleted_goes_all_the_same() -> None:
    rollout = tripping(rollback=False)
    world = deployed(rollout)
    world.deploy(revision("R2", rollout=rollout), count=1)
    for _ in range(3):
        fail_once(world)
    assert world.state.halted
    world.state = replace(world.state, target=None, deployment=None)
    world.run()
    assert world.state.live == ()


def test_a_healthy_instance_resets_the_count_where_that_is_asked_for() -> None:
    world = deployed(tripping(threshold=2))
    world.deploy(revision("R2", rollout=tripping(threshold=2)), count=1)
    fail_once(world)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE


def test_failing_checks_end_nothing_in_the_grace_period() -> None:
    world = World()
    world.deploy(revision("R1", rollout=ECS, health_grace_s=60.0, image="bad"), count=1)
    world.step()
    world.step()
    (record,) = world.state.live
    world.set_health(record.id, HealthStatus.FAILING)
    world.now_ms += 30_000
    plan = world.step()
    assert [r.id for r in world.state.live] == [record.id]
    assert plan.wake_at_ms is not None
    world.now_ms += 31_000
    world.step()
    assert "did not become healthy" in world.state.instances[0].reason


def test_one_that_was_well_is_not_replaced_in_its_grace_period_either() -> None:
    world = deployed(health_grace_s=600.0)
    (record,) = world.state.live
    world.set_health(record.id, HealthStatus.FAILING)
    world.run(until_ms=60_000)
    assert [r.id for r in world.state.live] == [record.id]
    world.now_ms += 600_000
    world.run()
    assert [r.id for r in world.state.live] == ["shop/web.1.2"]


def test_of_the_unhealthy_the_replacement_starts_first_where_the_maximum_allows() -> None:
    world = deployed(count=2)
    world.set_health("shop/web.1.1", HealthStatus.FAILING)
    world.step()
    assert "shop/web.1.3" in [r.id for r in world.state.live]
    assert world.state.instances[0].phase is Phase.READY
    world.run()
    assert len(world.serving()) == 2


def test_where_it_does_not_the_unhealthy_stops_first() -> None:
    world = deployed(replace(ECS, minimum_percent=50, maximum_percent=100), count=2)
    world.set_health("shop/web.1.1", HealthStatus.FAILING)
    world.step()
    assert world.state.instances[0].phase is Phase.DRAINING
    world.run()
    assert [r.id for r in world.state.live] == ["shop/web.2.2", "shop/web.1.3"]


@pytest.mark.parametrize("code", [0, 1])
def test_what_runs_once_is_done_however_it_ends(code: int) -> None:
    world = World()
    world.deploy(revision("R1", rollout=ECS, restart=Restart.NEVER), count=1)
    world.run(until_ms=1000)
    world.exit("shop/web.1.1", code)
    world.run(until_ms=600_000)
    assert [r.id for r in world.state.instances] == ["shop/web.1.1"]
    assert world.state.deployment.status is DeploymentStatus.DONE
