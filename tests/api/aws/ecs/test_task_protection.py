"""Tasks that are protected, with boto3, over a portway in memory."""

from __future__ import annotations

import asyncio

from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.ecs.test_services import create, described, register, settled


async def test_a_protected_task_stays_when_its_service_shrinks_and_it_is_told(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    await create(ecs)
    await settled(ecs)
    arns = (await ecs("list_tasks", cluster="c"))["taskArns"]
    answer = await ecs("update_task_protection", cluster="c", tasks=arns, protectionEnabled=True)
    assert [one["protectionEnabled"] for one in answer["protectedTasks"]] == [True, True]
    assert answer["protectedTasks"][0]["expirationDate"]
    await ecs("update_service", cluster="c", service="web", desiredCount=1)
    async with asyncio.timeout(30):
        while "was unable to scale in" not in str((await described(ecs))["events"]):
            await asyncio.sleep(0.01)
    assert len((await ecs("list_tasks", cluster="c"))["taskArns"]) == 2
    ended = await ecs("update_task_protection", cluster="c", tasks=arns[:1], protectionEnabled=False)  # fmt: skip
    assert ended["protectedTasks"] == [{"taskArn": arns[0], "protectionEnabled": False}]
    await ecs.portway.settled("c")
    assert (await ecs("list_tasks", cluster="c"))["taskArns"] == arns[1:]
    shown = await ecs("get_task_protection", cluster="c")
    assert [one["taskArn"] for one in shown["protectedTasks"]] == arns[1:]
    assert shown["protectedTasks"][0]["protectionEnabled"]


async def test_only_a_running_task_of_a_service_can_be_protected(ecs: Ecs) -> None:
    await register(ecs)
    [task] = (await ecs("run_task", taskDefinition="web"))["tasks"]
    nobody = task["taskArn"][:-4] + "none"
    asked = {"cluster": "default", "tasks": [task["taskArn"], nobody], "protectionEnabled": True}
    answer = await ecs("update_task_protection", **asked)
    assert answer["protectedTasks"] == []
    assert [f["reason"] for f in answer["failures"]] == ["TASK_NOT_VALID", "MISSING"]
    assert (await ecs("get_task_protection", cluster="default"))["protectedTasks"] == []
    code, _ = await ecs.refusal("update_task_protection", **asked, expiresInMinutes=9999)
    assert code == "InvalidParameterException"
    code, _ = await ecs.refusal(
        "update_task_protection", cluster="default", tasks=[], protectionEnabled=True
    )
    assert code == "InvalidParameterException"
