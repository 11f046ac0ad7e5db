"""A task as it is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from portway.core.app import App
from portway.core.ecs.labels import TASK, Origin
from portway.core.ecs.tasks import StopCause, TaskFacts, last_status, shown_task, stop_cause
from portway.core.instance import EngineState, InstanceRecord, ObservedInstance, Phase
from tests.core.ecs.made import APP_ID, GROUP, NAMES, app, origin, record

OLD, NEW = (NAMES.deployment_id(APP_ID, r) for r in ("R1", "R2"))


def facts(of: InstanceRecord, *, runs: App | None = None, **fields: Any) -> TaskFacts:
    given: dict[str, Any] = {
        "app": runs or app(),
        "origin": origin(),
        "deployment": OLD,
        "newest": NEW,
        **fields,
    }
    return TaskFacts(record=of, **given)


def cause(of: InstanceRecord, **fields: Any) -> tuple[str, str]:
    found = stop_cause(facts(of, **fields))
    assert found is not None
    return found.code, found.reason


@pytest.mark.parametrize(
    ("phase", "has_targets", "expected"),
    [
        (Phase.PLANNED, True, "PROVISIONING"),
        (Phase.STARTED, True, "RUNNING"),
        (Phase.READY, False, "RUNNING"),
        (Phase.DRAINING, True, "DEACTIVATING"),
        (Phase.DRAINING, False, "STOPPING"),
        (Phase.STOPPING, True, "STOPPING"),
        (Phase.GONE, True, "STOPPED"),
    ],
)
def test_the_status_follows_the_phase(phase: Phase, has_targets: bool, expected: str) -> None:
    assert last_status(record(1, phase), None, has_targets=has_targets) == expected


def test_what_the_engine_has_is_pending_and_what_has_ended_is_being_cleared_away() -> None:
    waiting, leaving = record(1, Phase.PLANNED), record(1, Phase.STOPPING)
    made = ObservedInstance(identity=waiting.identity, state=EngineState.CREATED)
    ended = replace(made, state=EngineState.EXITED)
    assert last_status(waiting, made, has_targets=False) == "PENDING"
    assert last_status(leaving, ended, has_targets=False) == "DEPROVISIONING"


def test_a_task_that_left_for_a_newer_deployment_names_it() -> None:
    assert cause(record(1, Phase.DRAINING)) == (
        "ServiceSchedulerInitiated",
        f"Scaling activity initiated by (deployment {NEW})",
    )


def test_a_task_that_was_unhealthy_says_where() -> None:
    failed = record(1, Phase.DRAINING, failed=True)
    balancer = f"Task failed ELB health checks in (target-group {GROUP})"
    assert cause(failed, runs=app(GROUP)) == ("ServiceSchedulerInitiated", balancer)
    assert cause(failed, unhealthy_in="httpd")[1] == "Task failed ELB health checks in (elb httpd)"
    assert cause(failed)[1] == "Task failed container health checks"


def test_a_task_that_ended_by_itself_says_so() -> None:
    gone: dict[str, Any] = {"draining_at_ms": None, "stopping_at_ms": None, "failed": True}
    exited = record(1, Phase.GONE, exit_code=1, **gone)
    assert cause(exited) == ("EssentialContainerExited", "Essential container in task exited")
    unseen = record(1, Phase.GONE, exit_code=1, started_at_ms=None, **gone)
    assert cause(unseen)[0] == "EssentialContainerExited"
    never = record(1, Phase.GONE, started_at_ms=None, reason="no such image\n  log", **gone)
    assert cause(never) == ("TaskFailedToStart", "Task failed to start: no such image")


def test_who_asked_for_the_end_is_told() -> None:
    asked = StopCause(reason="bye")
    assert cause(record(1, Phase.DRAINING), asked=asked) == ("UserInitiated", "bye")
    alone = Origin(kind=TASK, cluster="c", task_definition="arn:x/job:1")
    assert cause(record(1, Phase.DRAINING), origin=alone) == ("UserInitiated", "Task stopped by user")  # fmt: skip


def test_a_running_task_is_shown_with_all_that_is_known() -> None:
    shown = shown_task(facts(record(1, Phase.READY), zone="us-east-1a"), NAMES)
    assert shown["taskArn"].startswith(NAMES.task_arn("c", ""))
    assert shown["taskDefinitionArn"] == NAMES.task_definition_arn("web", 1)
    assert (shown["group"], shown["startedBy"]) == ("service:web", OLD)
    assert (shown["lastStatus"], shown["desiredStatus"]) == ("RUNNING", "RUNNING")
    assert (shown["createdAt"], shown["startedAt"]) == (1000, 1010)
    assert shown["containerInstanceArn"] == NAMES.container_instance_arn("c", "local")
    assert not {"stopCode", "stoppedAt", "stoppedReason"} & shown.keys()
    assert [c["name"] for c in shown["containers"]] == ["web"]


def test_a_stopped_task_is_shown_with_its_end() -> None:
    shown = shown_task(facts(record(1, Phase.GONE)), NAMES)
    assert (shown["lastStatus"], shown["desiredStatus"]) == ("STOPPED", "STOPPED")
    assert (shown["stoppingAt"], shown["stoppedAt"]) == (1030, 1050)
    assert shown["stopCode"] == "ServiceSchedulerInitiated"


def test_a_task_that_nobody_named_was_started_by_nobody() -> None:
    alone = Origin(kind=TASK, cluster="c", task_definition="arn:x/job:1")
    assert "startedBy" not in shown_task(facts(record(1, Phase.READY), origin=alone), NAMES)
