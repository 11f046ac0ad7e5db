"""The scribe at work on a portway in memory, where hours pass in a moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from portway.controller.ecs.histories import STOPPED_KEPT_MS, history_of, stopped_tasks
from portway.core.app import (
    App,
    Breaker,
    CheckKind,
    Exposure,
    HealthCheck,
    PortSpec,
    Restart,
    Rollout,
)
from portway.core.aws_names import AwsNames
from portway.core.ecs.labels import SERVICE, TASK, Origin, labels_of
from tests.controller.inprocess import Portway

VIRTUAL_TIME = True

ORIGIN = Origin(kind=SERVICE, cluster="c", service="web", task_definition="arn:x/web:1")
CHECK = HealthCheck(kind=CheckKind.COMMAND, command=("true",), interval_s=1, unhealthy_threshold=2)
WEB = App(id="c/web", image="web", labels=labels_of(ORIGIN), health=CHECK)
PATIENT = Rollout(progress_deadline_s=0.0, breaker=Breaker(enabled=False, rollback=False))


def names_of(portway: Portway) -> AwsNames:
    scribe = portway.controller.scribe
    return AwsNames(
        region=scribe.region, account_id=scribe.account_id, home_id=portway.world.home_id
    )


async def put(portway: Portway, app: App, **given: Any) -> None:
    await portway.operations.put_app("c", app, **given)
    await portway.settled("c")
    await portway.idle(1)


async def told(portway: Portway) -> list[str]:
    """The events of the service, oldest first, without its name and ids."""
    arn = names_of(portway).service_arn("c", "web")
    events = (await history_of(portway.store.documents, arn)).events
    return [e.message.removeprefix("(service web) ").partition(" (")[0] for e in reversed(events)]


async def test_what_happens_to_a_service_is_told_once(portway: Portway) -> None:
    await put(portway, WEB, count=1)
    begun = await told(portway)
    assert [line.partition(":")[0] for line in begun] == [
        "has started 1 tasks",
        "(deployment ecs-svc/" + begun[1].partition("ecs-svc/")[2],
        "has reached a steady state.",
    ]
    await portway.idle(300)
    assert await told(portway) == begun


async def test_a_crash_loses_and_doubles_no_event(portway: Portway) -> None:
    await put(portway, WEB, count=1)
    before = await told(portway)
    await portway.operations.scale("c", {"web": 2})
    after = await portway.successor()
    try:
        await after.settled("c")
        await after.idle(1)
        lines = await told(after)
        assert lines[: len(before)] == before
        assert [line.partition(":")[0] for line in lines[len(before) :]] == [
            "has started 1 tasks",
            "has reached a steady state.",
        ]
    finally:
        await after.crash()


async def test_an_unhealthy_task_is_told_of_and_what_replaces_it_says_so(portway: Portway) -> None:
    await put(portway, WEB, count=1)
    [sick] = portway.live("c/web")
    portway.engine.set_health(sick, passed=False, detail="exit 1")
    await portway.until(lambda: sick not in portway.live("c/web"))
    await portway.settled("c")
    await portway.idle(1)
    arn = names_of(portway).service_arn("c", "web")
    events = [e.message for e in (await history_of(portway.store.documents, arn)).events]
    assert any(m.endswith("failed container health checks.") for m in events)
    assert any(
        m.endswith("Amazon ECS replaced 1 tasks due to an unhealthy status.") for m in events
    )
    [stopped] = await stopped_tasks(portway.store.documents)
    assert stopped["stoppedReason"] == "Task failed container health checks"
    assert stopped["stopCode"] == "ServiceSchedulerInitiated"


async def test_a_stopped_task_is_kept_for_an_hour(portway: Portway) -> None:
    await put(portway, WEB, count=2)
    await portway.operations.scale("c", {"web": 1})
    await portway.settled("c")
    await portway.idle(1)
    [stopped] = await stopped_tasks(portway.store.documents)
    assert (stopped["lastStatus"], stopped["stopCode"]) == ("STOPPED", "ServiceSchedulerInitiated")
    await portway.idle(STOPPED_KEPT_MS / 1000 + 60)
    assert await stopped_tasks(portway.store.documents) == []


async def test_the_app_of_a_task_that_ended_goes_and_says_how(portway: Portway) -> None:
    origin = replace(ORIGIN, kind=TASK, service="", task_id="ab")
    job = replace(WEB, id="c/job", labels=labels_of(origin), restart=Restart.NEVER, rollout=PATIENT)
    await portway.operations.put_app("c", job, count=1)
    await portway.until(lambda: "c/job.1.1" in portway.running())
    portway.engine.kill("c/job.1.1", exit_code=3)
    await portway.until(lambda: "c/job" not in portway.world.apps)
    [stopped] = await stopped_tasks(portway.store.documents)
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["containers"][0]["exitCode"] == 3
    assert stopped["taskArn"].endswith("/ab")


async def test_a_service_whose_app_was_taken_away_is_kept_as_deleted(portway: Portway) -> None:
    documents = portway.store.documents

    async def status(name: str, of: Portway = portway) -> str:
        found = await of.store.documents.get("ecs.service", name)
        assert found is not None
        return found.body["status"]

    made = {"cluster": "c", "status": "ACTIVE", "created_at_ms": portway.clock.now_ms()}
    await documents.put("ecs.service", "web", {**made, "name": "web"})
    await documents.put("ecs.service", "other", {**made, "name": "other"})
    await put(portway, WEB, count=1)
    await portway.operations.delete_stack("c")
    await portway.until(lambda: "c" not in portway.world.stacks)
    await portway.idle(1)
    assert (await status("web"), await status("other")) == ("DRAINING", "ACTIVE")
    # One that a crash kept from being told is found when the next server begins; a younger one is left alone.
    later = portway.clock.now_ms() + 60_000
    await documents.put("ecs.service", "new", {**made, "name": "new", "created_at_ms": later})
    after = await portway.successor()
    try:
        await after.idle(1)
        assert (await status("other", after), await status("new", after)) == ("DRAINING", "ACTIVE")
    finally:
        await after.crash()


async def test_of_apps_made_otherwise_nothing_is_written(portway: Portway) -> None:
    await put(portway, replace(WEB, labels={}), count=1)
    assert await portway.store.documents.list("ecs.history") == ()


async def test_a_task_that_stopped_just_before_a_crash_keeps_how_it_ended(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = PortSpec(name="80", container_port=80, exposure=Exposure.HOST)
    await put(portway, replace(WEB, ports=(spec,)), count=1)
    [first] = portway.live("c/web")
    host_port = portway.app("c/web").live[0].identity.leases[0].host_port

    async def too_late() -> None:
        """It never gets to it."""

    monkeypatch.setattr(portway.controller.scribe, "write", too_late)
    portway.engine.kill(first, oom_killed=True)
    await portway.until(lambda: first not in portway.live("c/web"))
    await portway.until(lambda: first not in portway.engine.world.instances)
    after = await portway.successor()
    try:
        await after.settled("c")
        await after.idle(1)
        [stopped] = await stopped_tasks(after.store.documents)
        [container] = stopped["containers"]
        assert container["exitCode"] == 137
        assert container["reason"].startswith("OutOfMemoryError")
        assert [b["hostPort"] for b in container["networkBindings"]] == [host_port]
    finally:
        await after.crash()
