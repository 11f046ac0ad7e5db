"""The deployments[] of a service."""

from __future__ import annotations

from portway.core.ecs.deployments import TaskCounts, deployments_of, is_steady, service_counts
from portway.core.instance import Phase
from portway.core.state import DeploymentStatus, Failure
from tests.core.ecs.made import APP_ID, NAMES, deployment, record, state

OLD, NEW = (NAMES.deployment_id(APP_ID, r) for r in ("R1", "R2"))
RUNNING, DONE, FAILED = DeploymentStatus.RUNNING, DeploymentStatus.DONE, DeploymentStatus.FAILED


def test_a_service_that_is_done_has_one_deployment() -> None:
    done = state(record(1, Phase.READY), deployment=deployment("R1", DONE, ended_at_ms=900))
    [only] = deployments_of(done, NAMES)
    assert (only.id, only.status, only.rollout_state) == (OLD, "PRIMARY", "COMPLETED")
    assert only.rollout_reason == f"ECS deployment {OLD} completed."
    assert only.counts == TaskCounts(desired=1, running=1)
    assert (only.created_at_ms, only.updated_at_ms) == (500, 900)
    assert only.task_definition == NAMES.task_definition_arn("web", 1)
    assert is_steady(done)


def test_an_older_revision_is_active_until_its_last_task_is_gone() -> None:
    moving = state(
        record(1, Phase.READY),
        record(2, Phase.DRAINING),
        record(3, Phase.PLANNED, revision="R2"),
        count=2,
        target="R2",
        deployment=deployment("R2", RUNNING, start="R1"),
    )
    new, old = deployments_of(moving, NAMES)
    assert (new.id, new.status, new.rollout_state) == (NEW, "PRIMARY", "IN_PROGRESS")
    assert new.rollout_reason == f"ECS deployment {NEW} in progress."
    assert new.counts == TaskCounts(desired=2, pending=1)
    assert (old.id, old.status, old.rollout_state) == (OLD, "ACTIVE", "COMPLETED")
    assert old.counts == TaskCounts(desired=1, running=1)
    assert service_counts(moving) == TaskCounts(desired=2, running=1, pending=1)
    assert not is_steady(moving)


def test_a_change_of_the_count_is_no_deployment() -> None:
    scaling = state(
        record(1, Phase.READY),
        count=2,
        deployment=deployment("R1", RUNNING, start="R1", started_at_ms=9000),
    )
    [only] = deployments_of(scaling, NAMES)
    assert only.rollout_state == "COMPLETED"
    assert only.created_at_ms == 1000


def test_a_failed_deployment_is_rolled_back_to_the_one_before() -> None:
    failed = state(
        record(1, Phase.READY),
        record(2, Phase.DRAINING, revision="R2"),
        deployment=deployment("R2", FAILED, start="R1"),
    )
    back, bad = deployments_of(failed, NAMES)
    assert (back.id, back.status, back.rollout_state) == (OLD, "PRIMARY", "IN_PROGRESS")
    assert back.rollout_reason == f"ECS deployment circuit breaker: rolling back to deploymentId {OLD}."  # fmt: skip
    assert (bad.status, bad.rollout_state) == ("ACTIVE", "FAILED")
    assert bad.rollout_reason == "ECS deployment circuit breaker: tasks failed to start."
    after = state(record(1, Phase.READY), deployment=deployment("R2", FAILED, start="R1"))
    assert [d.rollout_state for d in deployments_of(after, NAMES)] == ["COMPLETED"]


def test_failed_tasks_are_counted_until_one_comes_up_well() -> None:
    failures = tuple(
        Failure(at_ms=at_ms, instance_id="x", revision="R1", reason="r")
        for at_ms in (900, 1500, 1600)
    )
    never = state(failures=failures, deployment=deployment("R1", RUNNING))
    assert deployments_of(never, NAMES)[0].failed_tasks == 3
    well = state(record(1, Phase.READY), failures=failures)
    assert deployments_of(well, NAMES)[0].failed_tasks == 2


def test_a_deleted_service_has_none_and_is_not_steady() -> None:
    gone = state(record(1, Phase.DRAINING), target=None)
    assert deployments_of(gone, NAMES) == ()
    assert service_counts(gone).desired == 0
    assert not is_steady(gone)
