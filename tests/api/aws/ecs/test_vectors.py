"""The vectors about services, tasks and clusters, each asked with boto3 of a portway in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from portway.api.aws.ecs.service_checks import TARGET_GROUP_KIND
from portway.engines.memory import Fault, FaultKind
from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.ecs.test_running import run, until
from tests.api.aws.ecs.test_services import GROUP, create, described, register, settled
from tests.core.balancing.classics import CLASSIC

VECTORS = Path(__file__).parents[3] / "vectors/ecs-services.jsonl"
NOT_HERE = {
    "ecs-039": "a portway has at least one machine; without any the planner's own words are tested in test_running",
    "ecs-040": "portway is its own agent; a machine that is away is tested with the planner",
}
LINES = [json.loads(line) for line in VECTORS.read_text().splitlines()]

Prepare = Callable[[Ecs], Awaitable[object]]


async def _running(ecs: Ecs) -> None:
    [task] = (await run(ecs))["tasks"]
    await until(ecs, task["taskArn"], "RUNNING")


async def _steady(ecs: Ecs) -> None:
    await create(ecs)
    await settled(ecs)


async def _draining(ecs: Ecs) -> None:
    await _steady(ecs)
    ecs.portway.engine.inject(Fault(operation="stop", kind=FaultKind.HANG, times=0))
    await ecs("delete_service", cluster="c", service="web", force=True)


def _group(**fields: Any) -> Prepare:
    async def prepare(ecs: Ecs) -> None:
        body = {"target_type": "instance", **fields}
        await ecs.face.documents.put(TARGET_GROUP_KIND, GROUP, body)

    return prepare


async def _classic(ecs: Ecs) -> None:
    await ecs.portway.controller.balancing.registry.put(CLASSIC)


PREPARED: dict[str, Prepare] = {
    "ecs-043": _running,
    "ecs-046": _classic,
    "ecs-047": _group(check={"number_text": "8081"}),
    "ecs-048": _group(),
    "ecs-050": _group(),
    "ecs-052": _group(target_type="ip"),
    "ecs-054": _steady,
    "ecs-055": _draining,
    "ecs-083": _steady,
    "ecs-084": _steady,
    "ecs-094": _steady,
}
STATIC = {"ecs-037": 8080, "ecs-046": 3245}


def filled(value: Any, ids: dict[str, str]) -> Any:
    """The input with its placeholders: the target group, and what was prepared."""
    text = json.dumps(value).replace("<tg-arn>", GROUP)
    for placeholder, meant in ids.items():
        text = text.replace(placeholder, meant)
    return json.loads(text)


def has(answer: Any, expected: Any) -> bool:
    """Whether the answer has what is expected; a placeholder stands for anything."""
    if isinstance(expected, dict):
        return isinstance(answer, dict) and all(has(answer.get(k), v) for k, v in expected.items())
    if isinstance(expected, list):
        return isinstance(answer, list) and len(answer) == len(expected) and all(map(has, answer, expected))  # fmt: skip
    return (isinstance(expected, str) and expected.startswith("<")) or answer == expected


@pytest.mark.parametrize("vector", [v for v in LINES if v["id"] not in NOT_HERE], ids=lambda v: v["id"])  # fmt: skip
async def test_a_vector_passes(ecs: Ecs, vector: dict[str, Any]) -> None:
    await ecs("create_cluster", clusterName="c")
    await register(ecs, host_port=STATIC.get(vector["id"], 0))
    if vector["id"] in PREPARED:
        await PREPARED[vector["id"]](ecs)
    tasks = (await ecs("list_tasks", cluster="c"))["taskArns"]
    given = filled(vector["input"], {"<id>": tasks[0]} if tasks else {})
    if vector["id"] == "ecs-032":
        given["containerInstances"] = (await ecs("list_container_instances", cluster="c"))["containerInstanceArns"]  # fmt: skip
    expected = filled(vector["expect"], {})
    operation = xform_name(vector["operation"])
    if "error" in expected:
        code, told = await ecs.refusal(operation, **given)
        assert code == expected["error"]
        assert told == expected.get("message", told)
        return
    answer = await ecs(operation, **given)
    assert has(answer, expected.get("response", {})), answer
    await asyncio.gather(*(check(ecs, answer) for check in BEHAVIOURS.get(vector["id"], ())))


async def _one_task(ecs: Ecs, answer: dict[str, Any]) -> None:
    assert len(answer["tasks"]) == 1


async def _two_tasks(ecs: Ecs, answer: dict[str, Any]) -> None:
    assert len(answer["tasks"]) == 2


async def _no_rollout(ecs: Ecs, answer: dict[str, Any]) -> None:
    assert "rolloutState" not in answer["service"]["deployments"][0]


async def _rebalances(ecs: Ecs, answer: dict[str, Any]) -> None:
    assert answer["service"]["availabilityZoneRebalancing"] == "ENABLED"


async def _replaces(ecs: Ecs, answer: dict[str, Any]) -> None:
    assert [d["status"] for d in answer["service"]["deployments"]] == ["PRIMARY", "ACTIVE"]


async def _scales_in(ecs: Ecs, answer: dict[str, Any]) -> None:
    await ecs.portway.settled("c")
    newest = (await described(ecs))["deployments"][0]["id"]
    async with asyncio.timeout(30):
        while not (arns := (await ecs("list_tasks", cluster="c", desiredStatus="STOPPED"))["taskArns"]):  # fmt: skip
            await ecs.portway.idle(0.01)
    [task] = (await ecs("describe_tasks", cluster="c", tasks=arns))["tasks"]
    assert task["stoppedReason"] == f"Scaling activity initiated by (deployment {newest})"


BEHAVIOURS: dict[str, tuple[Callable[[Ecs, dict[str, Any]], Awaitable[None]], ...]] = {
    "ecs-037": (_one_task,),
    "ecs-038": (_two_tasks,),
    "ecs-046": (_no_rollout,),
    "ecs-060": (_rebalances,),
    "ecs-083": (_replaces,),
    "ecs-084": (_scales_in,),
}


def test_what_is_left_out_is_among_the_vectors() -> None:
    assert NOT_HERE.keys() <= {vector["id"] for vector in LINES}
