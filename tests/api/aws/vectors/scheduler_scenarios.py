"""What the scheduler of services does and says, over hours that pass in a moment; its arithmetic, asked of the functions."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

from portway.core.app import Rollout
from portway.core.balancing.targets import CODES
from portway.core.capacity import capacity, failure_threshold
from portway.engines.memory import ImageBehaviour
from tests.api.aws.vectors.cases import Case, Ground, fits, scenario, sentence_pattern
from tests.api.aws.vectors.ecs_steps import (
    balanced,
    begin,
    create,
    messages,
    register,
    service,
    steady,
    stopped,
    tasks,
    told,
    used_group,
)

MINUTE_MS = 60_000
STEADY = "(service web) has reached a steady state."


@scenario("ecs-063")
async def bounds(case: Case, ground: Ground) -> None:
    given = case.input
    rollout = Rollout(
        minimum_percent=given["min"], maximum_percent=given["max"], strict_bounds=True
    )
    found = capacity(given["desired"], rollout)
    shown = {"lower": found.minimum_healthy, "upper": found.maximum_live}
    assert shown == case.expect["response"]


@scenario("ecs-075", "ecs-076", "ecs-079")
async def threshold(case: Case, ground: Ground) -> None:
    assert failure_threshold(case.input["desired"]) == case.expect["response"]["threshold"]


@scenario("ecs-068")
async def too_little_memory(case: Case, ground: Ground) -> None:
    nodes = ground.portway.engine.world.nodes
    nodes["local"] = replace(nodes["local"], memory_bytes=32 * 1024 * 1024)
    await ground.portway.until(lambda: ground.portway.world.nodes[0].memory_bytes)
    await begin(ground)
    await create(ground, desiredCount=case.input["desired"])
    said = await told(ground, "was unable to place a task")
    [instance] = (await ground.ecs("ListContainerInstances"))["containerInstanceArns"]
    wanted = case.expect["message"].replace("<id>", instance.rpartition("/")[2])
    assert said == wanted.replace("(service S)", "(service web)")
    assert (await service(ground))["runningCount"] == 0


@scenario("ecs-069")
async def replacement(case: Case, ground: Ground) -> None:
    await begin(ground)
    arn = await used_group(ground)
    await create(ground, desiredCount=case.input["desired"], loadBalancers=balanced(arn))
    old = (await steady(ground))["deployments"][0]["id"]
    [old_task] = await tasks(ground)
    before = len(await messages(ground))
    await ground.ecs("UpdateService", service="web", forceNewDeployment=True)
    new = (await steady(ground))["deployments"][0]["id"]
    [new_task] = await tasks(ground)
    found = case.told_in_order((await messages(ground))[before:])
    ids = list(found.groupdict().values())
    for one in (new_task["taskArn"], old_task["taskArn"]):
        assert one.rpartition("/")[2] in ids
    for one in (old, new):
        assert one.removeprefix("ecs-svc/") in ids


@scenario("ecs-071")
async def unhealthy(case: Case, ground: Ground) -> None:
    await begin(ground)
    arn = await used_group(ground)
    await create(ground, desiredCount=case.input["desired"], loadBalancers=balanced(arn))
    await steady(ground)
    ill = ground.portway.live("c/web")[0]
    ground.portway.engine.set_health(ill, passed=False, detail=f"{CODES}[503]")
    said = await told(ground, "is unhealthy in")
    pattern = sentence_pattern(case.expect["message"], {})
    assert re.fullmatch(pattern, said), said
    assert ground.node_id in said
    assert arn in said
    [gone] = await stopped(ground)
    assert gone["stopCode"] == "ServiceSchedulerInitiated"
    assert gone["stoppedReason"] == f"Task failed ELB health checks in (target-group {arn})"
    [binding] = gone["containers"][0]["networkBindings"] or [None]
    assert binding is None or f"(port {binding['hostPort']})" in said
    await steady(ground)
    assert len(await tasks(ground)) == case.input["desired"]


@scenario("ecs-072")
async def grace(case: Case, ground: Ground) -> None:
    await begin(ground)
    arn = await used_group(ground, HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2)
    given = {"healthCheckGracePeriodSeconds": case.input["healthCheckGracePeriodSeconds"]}
    await create(ground, desiredCount=case.input["desired"], loadBalancers=balanced(arn), **given)
    [first] = await ground.until(lambda: _running(ground))
    [instance] = ground.portway.live("c/web")
    ground.portway.engine.set_health(instance, passed=False)
    await asyncio.sleep(30)
    ground.portway.engine.set_health(instance, passed=True)
    await steady(ground)
    assert [task["taskArn"] for task in await tasks(ground)] == [first["taskArn"]]
    assert await tasks(ground, "STOPPED") == []


async def _running(ground: Ground) -> list[dict[str, Any]]:
    return [task for task in await tasks(ground) if task["lastStatus"] == "RUNNING"]


@scenario("ecs-073")
async def never_pulled(case: Case, ground: Ground) -> None:
    await begin(ground, image="missing")
    await create(ground, desiredCount=case.input["desired"])
    said = case.expect["message"].replace("(service S)", "(service web)")
    assert await told(ground, "consistently") == said
    seen: dict[str, int] = {}

    async def is_slow() -> bool:
        for task in await tasks(ground, "STOPPED"):
            seen[task["taskArn"]] = int(task["createdAt"].timestamp() * 1000)
        return len(seen) >= 14

    await ground.until(is_slow, step_s=300)
    at_ms = sorted(seen.values())
    waits_ms = [after - before for before, after in zip(at_ms, at_ms[1:], strict=False)]
    assert waits_ms == sorted(waits_ms)
    assert 26 * MINUTE_MS < waits_ms[-1] < 28 * MINUTE_MS
    await register(ground)
    await ground.ecs("UpdateService", service="web", taskDefinition="web")
    before_ms = ground.portway.clock.now_ms()
    await steady(ground)
    assert ground.portway.clock.now_ms() - before_ms < 2 * MINUTE_MS


@scenario("ecs-074")
async def crashes(case: Case, ground: Ground) -> None:
    await begin(ground, image="crash")
    await create(ground, desiredCount=case.input["desired"])
    for gone in await stopped(ground, count=5):
        assert gone["stoppedReason"] == "Essential container in task exited"
        assert gone["stopCode"] == "EssentialContainerExited"
        assert gone["containers"][0]["exitCode"] == 1
    assert not [m for m in await messages(ground) if "consistently" in m]


@scenario("ecs-080")
async def rolled_back(case: Case, ground: Ground) -> None:
    """The old task leaves first, and its successor takes its time: so there is something to see on the way back."""
    engine = ground.portway.engine
    await begin(ground)
    arn = await used_group(ground)
    given = {
        "deploymentCircuitBreaker": {"enable": True, "rollback": case.input["rollback"]},
        "minimumHealthyPercent": 0,
        "maximumPercent": 100,
    }
    await create(ground, desiredCount=case.input["desired"], loadBalancers=balanced(arn), deploymentConfiguration=given, availabilityZoneRebalancing="DISABLED")  # fmt: skip
    first = (await steady(ground))["deployments"][0]["id"]
    await register(ground, image="missing")
    updated = await ground.ecs("UpdateService", service="web", taskDefinition="web")
    second = updated["service"]["deployments"][0]["id"]
    engine.behave("web", ImageBehaviour(healthy=False))

    async def goes_back() -> Any:
        found = (await service(ground))["deployments"]
        return found if found[0]["id"] == first else None

    primary, *others = await ground.until(goes_back, step_s=0.005)
    expected = [{**case.expect["response"]["deployments"][0], "rolloutStateReason": f"ECS deployment circuit breaker: rolling back to deploymentId {first}."}]  # fmt: skip
    fits([primary], expected)
    reasons = {one["id"]: (one["rolloutState"], one["rolloutStateReason"]) for one in others}
    assert reasons == {second: ("FAILED", "ECS deployment circuit breaker: tasks failed to start.")}
    await ground.portway.until(lambda: _runs(ground))
    for instance in ground.portway.running():
        engine.set_health(instance, passed=True)
    await steady(ground)
    said = [m for m in await messages(ground) if "deployment failed" in m or "rolling back" in m]
    assert said == [_named(line, second, first) for line in case.expect["sequence"]]


def _runs(ground: Ground) -> bool:
    return set(ground.portway.running()) >= set(ground.portway.live("c/web")) > set()


def _named(line: str, second: str, first: str) -> str:
    said = line.replace("(service S)", "(service web)")
    return said.replace("ecs-svc/<2>", second).replace("ecs-svc/<1>", first)


@scenario("ecs-081")
async def failed_for_good(case: Case, ground: Ground) -> None:
    await begin(ground)
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": case.input["rollback"]}}
    await create(ground, desiredCount=case.input["desired"], deploymentConfiguration=breaker)
    await steady(ground)
    before = {task["taskArn"] for task in await tasks(ground)}
    await register(ground, image="missing")
    await ground.ecs("UpdateService", service="web", taskDefinition="web")
    await told(ground, "deployment failed")
    failed = await service(ground)
    newest, oldest = failed["deployments"]
    assert newest["rolloutState"] == "FAILED"
    assert newest["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert oldest["runningCount"] == case.input["desired"]
    started = len(await tasks(ground, "STOPPED"))
    await asyncio.sleep(1800)
    assert len(await tasks(ground, "STOPPED")) == started
    assert {task["taskArn"] for task in await tasks(ground)} == before
    assert STEADY not in (await messages(ground))[-1:]
