"""The events of a service, in their order, once each."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from portway.core.ecs.history import EVENTS_MAX, History, ServiceFacts, event_id, follow
from portway.core.ecs.tasks import task_id_of
from portway.core.instance import InstanceRecord, Phase
from portway.core.state import AppState, DeploymentStatus
from tests.core.ecs.made import APP_ID, GROUP, NAMES, app, deployment, record, state

OLD, NEW = (NAMES.deployment_id(APP_ID, r) for r in ("R1", "R2"))
SIX_HOURS_MS = 6 * 3600 * 1000
WEB = app(GROUP)


def task(of: InstanceRecord) -> str:
    return task_id_of(of, NAMES)


def look(history: History, of: AppState, *, now_ms: int = 9000, **fields: Any) -> History:
    facts = ServiceFacts(service="S", state=of, names=NAMES, **fields)
    after = follow(history, facts, now_ms=now_ms)
    assert follow(after, facts, now_ms=now_ms) is after, "looking again tells nothing"
    return after


def said(history: History) -> list[str]:
    """Oldest first, without the service."""
    return [e.message.removeprefix("(service S) ") for e in reversed(history.events)]


def test_a_replacement_is_told_in_its_order() -> None:
    first, second = record(1, Phase.READY), record(2, Phase.READY, revision="R2")
    done = deployment("R1", DeploymentStatus.DONE, ended_at_ms=1500)
    history = look(History(), state(first, of=WEB, deployment=done), now_ms=1500)
    before = len(history.events)
    moving = deployment("R2", DeploymentStatus.RUNNING, start="R1")
    rolling: dict[str, Any] = {"of": WEB, "target": "R2", "deployment": moving}
    for phase in (Phase.PLANNED, Phase.STARTED, Phase.READY):
        new = record(2, phase, revision="R2")
        history = look(history, state(first, new, **rolling))
    old = record(1, Phase.DRAINING, draining_at_ms=3000)
    history = look(history, state(old, second, **rolling))
    ended = replace(moving, status=DeploymentStatus.DONE, ended_at_ms=4000)
    gone = record(1, Phase.GONE, draining_at_ms=3000)
    rolling["deployment"] = ended
    history = look(history, state(gone, second, **rolling), now_ms=4000)
    assert said(history)[before:] == [
        f"has started 1 tasks: (task {task(second)}).",
        f"registered 1 targets in (target-group {GROUP})",
        f"has stopped 1 running tasks: (task {task(first)}).",
        f"deregistered 1 targets in (target-group {GROUP})",
        f"(service S, taskSet {OLD}) has begun draining connections on 1 tasks.",
        f"(deployment {NEW}) deployment completed.",
        "has reached a steady state.",
    ]


def test_all_of_it_is_told_in_that_order_by_one_that_comes_late() -> None:
    """A crash before anything was told loses nothing."""
    old, new = record(1, Phase.GONE, draining_at_ms=2500), record(2, Phase.READY, revision="R2")
    done = deployment("R2", DeploymentStatus.DONE, start="R1", ended_at_ms=4000)
    history = look(History(), state(old, new, of=WEB, target="R2", deployment=done), now_ms=4000)
    assert [re.sub(r"\(task \w+\)", "T", line) for line in said(history)] == [
        "has started 1 tasks: T.",
        f"registered 1 targets in (target-group {GROUP})",
        "has started 1 tasks: T.",
        f"registered 1 targets in (target-group {GROUP})",
        "has stopped 1 running tasks: T.",
        f"deregistered 1 targets in (target-group {GROUP})",
        f"(service S, taskSet {OLD}) has begun draining connections on 1 tasks.",
        f"(deployment {NEW}) deployment completed.",
        "has reached a steady state.",
    ]


def test_behind_a_classic_load_balancer_instances_are_spoken_of_and_no_rollout() -> None:
    first = record(1, Phase.READY)
    done = deployment("R1", DeploymentStatus.DONE, ended_at_ms=1500)
    history = look(History(), state(first, of=app("httpd"), deployment=done))
    assert said(history) == [
        "deregistered 1 instances in (elb httpd)",
        f"has started 1 tasks: (task {task(first)}).",
        "registered 1 instances in (elb httpd)",
        "has reached a steady state.",
    ]
    assert history.events[-1].at_ms == history.events[-2].at_ms == 1000


def test_tasks_started_together_are_one_sentence() -> None:
    two = (record(1, Phase.PLANNED), record(2, Phase.PLANNED, planned_at_ms=1000))
    assert said(look(History(), state(*two, count=2))) == [
        f"has started 2 tasks: (task {task(two[0])}) (task {task(two[1])})."
    ]


def test_however_late_anybody_looks_a_task_is_unhealthy_before_it_is_replaced() -> None:
    sick, fresh = record(1, Phase.READY), record(2, Phase.PLANNED)
    history = look(History(), state(sick))
    before = len(history.events)
    history = look(history, state(sick, fresh), unhealthy={sick.id: "unhealthy"}, now_ms=99_000)
    assert [line.partition(":")[0] for line in said(history)[before:]] == [
        "unhealthy",
        "has started 1 tasks",
    ]


def test_what_replaces_an_unhealthy_task_says_so() -> None:
    sick = record(1, Phase.READY)
    trouble = (
        "(service S) (instance i-1) (port 5) is unhealthy in (target-group t) due to (reason r)"
    )
    history = look(History(), state(sick))
    history = look(history, state(sick), unhealthy={sick.id: trouble})
    fresh = record(2, Phase.PLANNED)
    history = look(history, state(sick, fresh), unhealthy={sick.id: trouble})
    third = record(3, Phase.PLANNED)
    history = look(history, state(sick, fresh, third), unhealthy={sick.id: trouble})
    assert said(history)[-3:] == [
        "(instance i-1) (port 5) is unhealthy in (target-group t) due to (reason r)",
        f"has started 1 tasks: (task {task(fresh)}).  Amazon ECS replaced 1 tasks due to an unhealthy status.",
        f"has started 1 tasks: (task {task(third)}).",
    ]


def test_a_task_that_ended_by_itself_was_not_stopped() -> None:
    ended = record(
        1, Phase.GONE, draining_at_ms=None, stopping_at_ms=None, failed=True, exit_code=1
    )
    lines = said(look(History(), state(ended, of=WEB)))
    assert not [line for line in lines if "stopped" in line or "draining" in line]
    assert lines[-1] == f"deregistered 1 targets in (target-group {GROUP})"


def test_pending_tasks_that_are_let_go_are_counted() -> None:
    pending = record(1, Phase.DRAINING, started_at_ms=None, ready_at_ms=None)
    assert said(look(History(), state(pending)))[-1] == "stopped 1 pending tasks."


def test_a_failed_deployment_and_its_rollback_are_told_once() -> None:
    failed = deployment("R2", DeploymentStatus.FAILED, start="R1", ended_at_ms=4000)
    history = look(History(), state(record(1, Phase.READY), deployment=failed))
    assert said(history)[-3:] == [
        f"(deployment {NEW}) deployment failed: tasks failed to start.",
        f"rolling back to deployment {OLD}.",
        "has reached a steady state.",
    ]


def test_what_lasts_is_told_again_after_six_hours_or_once_it_has_cleared() -> None:
    def after(history: History, now_ms: int, *troubles: str) -> History:
        return look(history, state(count=2), now_ms=now_ms, troubles=troubles)

    history = after(History(), 0, "stuck")
    history = after(history, SIX_HOURS_MS - 1, "stuck")
    assert said(history) == ["stuck"]
    history = after(history, SIX_HOURS_MS, "stuck")
    assert said(history) == ["stuck"] * 2
    history = after(after(history, SIX_HOURS_MS + 1), SIX_HOURS_MS + 2, "stuck")
    assert said(history) == ["stuck"] * 3


def test_scaling_is_steady_again_without_a_deployment() -> None:
    one, two = record(1, Phase.READY), record(2, Phase.READY)
    history = look(History(), state(one))
    grown = deployment("R1", DeploymentStatus.DONE, start="R1", ended_at_ms=2100)
    history = look(history, state(one, count=2, deployment=replace(grown, status=DeploymentStatus.RUNNING)))  # fmt: skip
    history = look(history, state(one, two, count=2, deployment=grown))
    assert [line[:11] for line in said(history)] == ["has started", "has reached"] * 2


def test_the_newest_hundred_are_kept_each_with_an_id_of_its_own() -> None:
    history = History()
    for now_ms in range(150):
        history = look(history, state(), now_ms=now_ms, troubles=(f"trouble {now_ms}",))
    assert len(history.events) == EVENTS_MAX
    assert history.events[0].message == "trouble 149"
    ids = {event_id(APP_ID, event) for event in history.events}
    assert len(ids) == EVENTS_MAX
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}", i) for i in ids)  # fmt: skip


def test_what_is_known_of_instances_that_are_forgotten_is_forgotten() -> None:
    history = look(look(History(), state(record(1, Phase.READY))), state(record(2, Phase.READY)))
    assert [*history.told] == [record(2, Phase.READY).id]
