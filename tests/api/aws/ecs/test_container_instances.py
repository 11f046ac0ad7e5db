"""ECS container instances and their attributes, with boto3, over a portway in memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.ecs.test_running import run, until
from tests.api.aws.ecs.test_services import register


@pytest.fixture
async def arn(ecs: Ecs) -> str:
    await ecs("create_cluster", clusterName="c")
    [only] = (await ecs("list_container_instances", cluster="c"))["containerInstanceArns"]
    return only


async def described(ecs: Ecs, arn: str) -> dict[str, Any]:
    found = await ecs("describe_container_instances", cluster="c", containerInstances=[arn])
    [shown] = found["containerInstances"]
    return shown


def ports(shown: dict[str, Any], which: str) -> list[str]:
    return next(r["stringSetValue"] for r in shown[which] if r["name"] == "PORTS")


async def test_a_machine_is_an_instance_of_every_cluster(ecs: Ecs, arn: str) -> None:
    shown = await described(ecs, arn)
    assert shown["containerInstanceArn"] == arn
    assert (shown["status"], shown["agentConnected"]) == ("ACTIVE", True)
    assert shown["ec2InstanceId"].startswith("i-")
    assert ports(shown, "registeredResources") == ["22", "2375", "2376", "51678", "51679"]
    [other] = (await ecs("list_container_instances"))["containerInstanceArns"]
    assert other.replace("/default/", "/c/") == arn
    missing = await ecs("describe_container_instances", cluster="c", containerInstances=["x"])
    assert [f["reason"] for f in missing["failures"]] == ["MISSING"]


async def test_only_static_ports_are_taken_from_what_remains(ecs: Ecs, arn: str) -> None:
    await register(ecs, "web")
    await register(ecs, "static", host_port=3245)
    for family in ("web", "static"):
        [task] = (await run(ecs, taskDefinition=family))["tasks"]
        await until(ecs, task["taskArn"], "RUNNING")
    shown = await described(ecs, arn)
    assert ports(shown, "remainingResources") == [*ports(shown, "registeredResources"), "3245"]
    assert shown["runningTasksCount"] == 2


async def test_attributes_are_put_listed_and_asked_for(ecs: Ecs, arn: str) -> None:
    stack = {"name": "stack", "value": "prod", "targetId": arn}
    assert (await ecs("put_attributes", cluster="c", attributes=[stack]))["attributes"] == [stack]
    given = {"cluster": "c", "targetType": "container-instance", "attributeName": "stack"}
    [found] = (await ecs("list_attributes", **given))["attributes"]
    assert found == {**stack, "targetType": "container-instance"}
    for text, count in (("attribute:stack == prod", 1), ("attribute:stack == test", 0)):
        listed = await ecs("list_container_instances", cluster="c", filter=text)
        assert len(listed["containerInstanceArns"]) == count
    await ecs("delete_attributes", cluster="c", attributes=[{"name": "stack", "targetId": arn}])
    assert (await ecs("list_attributes", **given))["attributes"] == []
    other = {"cluster": "c", "attributes": [{"name": "n", "targetId": "nobody"}]}
    assert (await ecs.refusal("put_attributes", **other))[0] == "TargetNotFoundException"
    code, _ = await ecs.refusal("list_container_instances", cluster="c", filter="attribute:")
    assert code == "InvalidParameterException"


async def test_a_machine_is_drained_and_takes_tasks_again(ecs: Ecs, arn: str) -> None:
    given = {"cluster": "c", "containerInstances": [arn]}
    drained = await ecs("update_container_instances_state", **given, status="DRAINING")
    assert [i["status"] for i in drained["containerInstances"]] == ["DRAINING"]
    assert (await ecs("list_container_instances", cluster="c", status="ACTIVE"))["containerInstanceArns"] == []  # fmt: skip
    await register(ecs)
    assert [f["reason"] for f in (await run(ecs))["failures"]] == ["AGENT"]
    await ecs("update_container_instances_state", **given, status="ACTIVE")
    assert (await described(ecs, arn))["status"] == "ACTIVE"
    code, told = await ecs.refusal("deregister_container_instance", cluster="c", containerInstance=arn)  # fmt: skip
    assert code == "ClientException"
    assert "every cluster" in told
