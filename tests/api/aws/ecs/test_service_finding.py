"""One model: services deployed as files are services of ECS, and what is done to a service outside of the AWS face shows."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from portway.api.aws.ecs.service_finding import as_it_runs
from portway.api.aws.ecs.service_store import Service
from portway.core.app import App, TargetBinding
from portway.core.state import AppState, Revision
from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.ecs.test_services import ARNS, create, described, register, settled

TASKS = {
    "family": "web",
    "revision": 7,
    "containerDefinitions": [
        {"name": "web", "image": "web", "memory": 64, "portMappings": [{"containerPort": 80}]}
    ],
}
SERVICE = {"serviceName": "front", "taskDefinition": "web", "desiredCount": 2}


@pytest.fixture
async def of_files(ecs: Ecs) -> Ecs:
    await ecs.portway.deploy(
        "c", json.dumps(TASKS), manifest_name="task.json", files={"s.json": json.dumps(SERVICE)}
    )
    return ecs


async def until_status(ecs: Ecs, status: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while (service := await described(ecs))["status"] != status:
            await ecs.portway.settled("c")
    return service


async def test_a_service_deployed_as_files_is_one_of_a_cluster_called_like_its_stack(
    of_files: Ecs,
) -> None:
    ecs = of_files
    assert (await ecs("list_clusters"))["clusterArns"] == [f"{ARNS}cluster/c"]
    [cluster] = (await ecs("describe_clusters", clusters=["c"]))["clusters"]
    assert (cluster["activeServicesCount"], cluster["runningTasksCount"]) == (1, 2)
    assert (await ecs("list_services", cluster="c"))["serviceArns"] == [f"{ARNS}service/c/front"]
    service = await settled(ecs, "front")
    assert [service[n] for n in ("status", "desiredCount", "runningCount")] == ["ACTIVE", 2, 2]
    assert service["taskDefinition"] == f"{ARNS}task-definition/web:7"
    assert [d["status"] for d in service["deployments"]] == ["PRIMARY"]
    assert service["deploymentConfiguration"]["maximumPercent"] == 200
    tasks = (await ecs("list_tasks", cluster="c", serviceName="front"))["taskArns"]
    [task, _] = (await ecs("describe_tasks", cluster="c", tasks=tasks))["tasks"]
    assert (task["group"], task["taskDefinitionArn"]) == (
        "service:front",
        service["taskDefinition"],
    )


async def test_of_a_service_of_files_the_count_is_changed_and_its_tasks_replaced(
    of_files: Ecs,
) -> None:
    ecs, asked = of_files, {"cluster": "c", "service": "front"}
    before = (await described(ecs, "front"))["deployments"][0]["id"]
    made = await ecs("update_service", **asked, desiredCount=3)
    assert made["service"]["desiredCount"] == 3
    assert (await settled(ecs, "front"))["runningCount"] == 3
    await ecs("update_service", **asked, forceNewDeployment=True)
    assert (await settled(ecs, "front"))["deployments"][0]["id"] != before


async def test_the_rest_of_a_service_of_files_is_in_its_files(of_files: Ecs) -> None:
    ecs, asked = of_files, {"cluster": "c", "service": "front"}
    for refusal in (
        await ecs.refusal("update_service", **asked, taskDefinition="web:8"),
        await ecs.refusal("delete_service", **asked, force=True),
        await ecs.refusal("create_service", cluster="c", serviceName="front", taskDefinition="web"),
    ):
        assert refusal[0] == "InvalidParameterException"
        assert "`portway deploy -a c`" in refusal[1]


async def test_a_task_definition_that_is_only_in_files_is_said_to_be_there(of_files: Ecs) -> None:
    for name in ("web", "web:7", f"{ARNS}task-definition/web:7"):
        told = await of_files.refusal("describe_task_definition", taskDefinition=name)
        assert told[1] == "Unable to describe task definition. web:7 was deployed as files with the stack c, not registered."  # fmt: skip
    told = await of_files.refusal("describe_task_definition", taskDefinition="web:8")
    assert told[1] == "Unable to describe task definition."


async def test_what_scale_and_restart_do_to_a_service_shows(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    await create(ecs)
    before = (await settled(ecs))["deployments"][0]["id"]
    await ecs.portway.operations.scale("c", {"web": 3})
    assert (await settled(ecs))["desiredCount"] == 3
    await ecs.portway.operations.restart("c")
    after = await settled(ecs)
    assert after["deployments"][0]["id"] != before
    updated = await ecs("update_service", cluster="c", service="web", forceNewDeployment=True)
    assert updated["service"]["desiredCount"] == 3


async def test_a_service_whose_stack_is_deleted_is_inactive(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    await create(ecs)
    await settled(ecs)
    await ecs.portway.operations.delete_stack("c")
    gone = await until_status(ecs, "INACTIVE")
    assert (gone["desiredCount"], gone["deployments"]) == (0, [])
    assert (await ecs("list_services", cluster="c"))["serviceArns"] == []
    code, _ = await ecs.refusal("update_service", cluster="c", service="web", desiredCount=1)
    assert code in ("ServiceNotActiveException", "ServiceNotFoundException")


def test_the_target_groups_that_a_service_really_has_are_shown_and_kept() -> None:
    said = {"loadBalancers": [{"targetGroupArn": "new"}]}
    service = Service(
        cluster="c", name="web", arn="", status="ACTIVE", created_at_ms=0, task_definition="", spec=said
    )  # fmt: skip
    app = App(
        id="c/web", targets=(TargetBinding(group="arn:was", container="w", container_port=8),)
    )
    state = AppState(app_id="c/web", target=Revision(id="R", release="R", app=app), count=4)
    shown = as_it_runs(service, state).spec
    assert shown["desiredCount"] == 4
    was = {"targetGroupArn": "arn:was", "containerName": "w", "containerPort": 8}
    assert shown["loadBalancers"] == [was]
    assert as_it_runs(service, replace(state, target=None)) is service
