"""What there has been of service deployments, as it is followed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.core.ecs.past import KEPT, PastDeployment, follow_deployments
from portway.core.instance import Phase
from portway.core.state import AppState, DeploymentStatus
from tests.core.ecs.made import NAMES, deployment, record, state

Known = tuple[PastDeployment, ...]
RUNNING, DONE = DeploymentStatus.RUNNING, DeploymentStatus.DONE


def look(known: Known, of: AppState, *, now_ms: int = 9000) -> Known:
    after = follow_deployments(known, of, NAMES, now_ms=now_ms)
    assert follow_deployments(after, of, NAMES, now_ms=now_ms + 1) is after, "looking again"
    return after


def second(status: DeploymentStatus, *, target: str = "R2", **fields: Any) -> AppState:
    """A service that is, or was, on its way from R1 to R2."""
    moving = deployment("R2", status, start="R1", **fields)
    old, new = record(1, Phase.READY), record(2, Phase.STARTED, revision="R2")
    return state(old, new, target=target, deployment=moving)


def begun() -> Known:
    first = state(record(1, Phase.READY), deployment=deployment("R1", DONE, ended_at_ms=1500))
    known = look((), first)
    assert [(one.revision, one.status, one.ended_at_ms) for one in known] == [("R1", "SUCCESSFUL", 1500)]  # fmt: skip
    return look(known, second(RUNNING))


def test_a_deployment_that_ended_stays_beside_the_newer_one() -> None:
    known = begun()
    assert [(one.revision, one.status, one.before) for one in known] == [
        ("R2", "IN_PROGRESS", "R1"),
        ("R1", "SUCCESSFUL", ""),
    ]
    known = look(known, second(DONE, ended_at_ms=4000))
    assert (known[0].status, known[0].ended_at_ms) == ("SUCCESSFUL", 4000)


def test_one_that_failed_is_rolled_back_once_the_old_revision_runs_alone() -> None:
    failed = deployment("R2", DeploymentStatus.FAILED, start="R1", ended_at_ms=4000)
    old, new = record(1, Phase.READY), record(2, Phase.STARTED, revision="R2")
    known = look(begun(), state(old, new, deployment=failed))
    assert (known[0].status, known[0].back_to, known[0].back_at_ms) == ("ROLLBACK_IN_PROGRESS", "R1", 4000)  # fmt: skip
    assert known[0].is_tripped
    known = look(known, state(old, deployment=failed), now_ms=5000)
    assert (known[0].status, known[0].ended_at_ms) == ("ROLLBACK_SUCCESSFUL", 5000)


def test_one_that_failed_and_goes_back_nowhere_is_stopped() -> None:
    known = look(begun(), second(DeploymentStatus.FAILED, ended_at_ms=4000))
    assert (known[0].status, known[0].ended_at_ms) == ("STOPPED", 4000)


def test_one_that_somebody_ended_says_so() -> None:
    known = look(begun(), second(DeploymentStatus.CANCELLED, target="R1", ended_at_ms=4000))
    assert known[0].status == "ROLLBACK_IN_PROGRESS"
    assert known[0].reason.startswith("StopServiceDeployment: rolling back")
    assert not known[0].is_tripped


def test_one_that_a_newer_one_took_over_is_stopped() -> None:
    third = deployment("R3", RUNNING, start="R1")
    known = look(begun(), state(record(1, Phase.READY), target="R3", deployment=third))
    assert [one.status for one in known] == ["IN_PROGRESS", "STOPPED", "SUCCESSFUL"]
    assert known[1].reason.startswith("A newer deployment")


def test_of_a_deleted_service_nothing_goes_on() -> None:
    gone = state(record(1, Phase.DRAINING), target=None)
    assert [one.reason for one in look(begun(), gone)][:1] == ["The service was deleted."]


def test_another_count_is_no_deployment_and_one_that_ended_unseen_has_ended() -> None:
    scaled = deployment("R2", RUNNING, start="R2")
    known = look(begun(), state(record(2, Phase.READY, revision="R2"), target="R2", deployment=scaled))  # fmt: skip
    assert [one.status for one in known] == ["SUCCESSFUL", "SUCCESSFUL"]


def test_the_newest_are_kept() -> None:
    [one] = begun()[1:]
    many = tuple(replace(one, revision=f"X{n}") for n in range(KEPT))
    known = look(many, second(RUNNING))
    assert (len(known), known[0].revision) == (KEPT, "R2")
