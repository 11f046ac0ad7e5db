"""RunTask and StartTask, with boto3, over a portway in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from portway.core.errors import RequestError
from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.ecs.test_services import register

ARNS = "arn:aws:ecs:us-east-1:000000000000:"


async def run(ecs: Ecs, **given: Any) -> dict[str, Any]:
    return await ecs("run_task", **{"cluster": "c", "taskDefinition": "web", **given})


async def described(ecs: Ecs, arn: str, **given: Any) -> dict[str, Any]:
    [task] = (await ecs("describe_tasks", cluster="c", tasks=[arn], **given))["tasks"]
    return task


async def until(ecs: Ecs, arn: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while (task := await described(ecs, arn))["lastStatus"] != status:
            await ecs.portway.idle(0.01)
    return task


@pytest.fixture
async def with_cluster(ecs: Ecs) -> Ecs:
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    return ecs


async def test_tasks_run_and_are_stopped_with_the_callers_reason(with_cluster: Ecs) -> None:
    ecs = with_cluster
    given = {"startedBy": "me", "tags": [{"key": "k", "value": "v"}]}
    answer = await run(ecs, count=2, **given)
    assert answer["failures"] == []
    first, second = (task["taskArn"] for task in answer["tasks"])
    assert first.startswith(f"{ARNS}task/c/")
    task = await until(ecs, first, "RUNNING")
    assert (task["group"], task["startedBy"]) == ("family:web", "me")
    assert task["containers"][0]["networkBindings"][0]["containerPort"] == 80
    assert (await described(ecs, first, include=["TAGS"]))["tags"] == given["tags"]
    listed = await ecs("list_tasks", cluster="c", family="web", startedBy="me")
    assert sorted(listed["taskArns"]) == sorted([first, second])
    stopping = (await ecs("stop_task", cluster="c", task=first, reason="bye"))["task"]
    assert (stopping["desiredStatus"], stopping["stopCode"]) == ("STOPPED", "UserInitiated")
    assert stopping["stoppedReason"] == "bye"
    stopped = await until(ecs, first, "STOPPED")
    assert stopped["stoppedReason"] == "bye"
    assert stopped["stoppedAt"]
    assert (await ecs("list_tasks", cluster="c"))["taskArns"] == [second]
    assert (await ecs("list_tasks", cluster="c", desiredStatus="STOPPED"))["taskArns"] == [first]
    assert (await ecs("stop_task", cluster="c", task=first))["task"]["stoppedReason"] == "bye"


async def test_the_app_of_a_task_goes_when_it_has_stopped(with_cluster: Ecs) -> None:
    ecs = with_cluster
    [task] = (await run(ecs))["tasks"]
    await until(ecs, task["taskArn"], "RUNNING")
    await ecs("stop_task", cluster="c", task=task["taskArn"])
    await ecs.portway.until(lambda: not ecs.portway.world.of_stack("c"))
    stopped = await described(ecs, task["taskArn"])
    assert (stopped["lastStatus"], stopped["stoppedReason"]) == ("STOPPED", "Task stopped by user")


async def test_a_second_task_of_one_static_port_is_a_failure(with_cluster: Ecs) -> None:
    ecs = with_cluster
    await register(ecs, "static", host_port=8080)
    answer = await run(ecs, taskDefinition="static", count=2)
    assert len(answer["tasks"]) == 1
    [failure] = answer["failures"]
    assert failure["reason"] == "RESOURCE:PORTS"
    assert failure["arn"].startswith(f"{ARNS}container-instance/c/")
    await until(ecs, answer["tasks"][0]["taskArn"], "RUNNING")
    assert [f["reason"] for f in (await run(ecs, taskDefinition="static"))["failures"]] == [
        "RESOURCE:PORTS"
    ]


async def test_of_tasks_asked_for_at_once_one_gets_the_port(with_cluster: Ecs) -> None:
    ecs = with_cluster
    await register(ecs, "static", host_port=8080)
    answers = await asyncio.gather(*(run(ecs, taskDefinition="static") for _ in range(3)))
    assert sorted(len(answer["tasks"]) for answer in answers) == [0, 0, 1]
    reasons = [failure["reason"] for answer in answers for failure in answer["failures"]]
    assert reasons == ["RESOURCE:PORTS", "RESOURCE:PORTS"]


async def test_the_same_token_is_the_same_tasks(with_cluster: Ecs) -> None:
    ecs = with_cluster
    first = (await run(ecs, clientToken="t"))["tasks"]  # noqa: S106
    again = (await run(ecs, clientToken="t"))["tasks"]  # noqa: S106
    assert [t["taskArn"] for t in again] == [t["taskArn"] for t in first]
    given = {"cluster": "c", "taskDefinition": "web", "count": 2, "clientToken": "t"}
    assert (await ecs.refusal("run_task", **given))[0] == "ConflictException"


async def test_one_token_in_several_requests_at_once_is_one_task(with_cluster: Ecs) -> None:
    ecs = with_cluster
    answers = await asyncio.gather(*(run(ecs, clientToken="t") for _ in range(4)))  # noqa: S106
    assert len({task["taskArn"] for answer in answers for task in answer["tasks"]}) == 1


async def test_a_token_for_which_there_was_no_room_can_be_tried_again(with_cluster: Ecs) -> None:
    ecs = with_cluster
    await register(ecs, "static", host_port=8080)
    [first] = (await run(ecs, taskDefinition="static"))["tasks"]
    assert (await run(ecs, taskDefinition="static", clientToken="t"))["failures"]  # noqa: S106
    await until(ecs, first["taskArn"], "RUNNING")
    await ecs("stop_task", cluster="c", task=first["taskArn"])
    await ecs.portway.until(lambda: not ecs.portway.world.of_stack("c"))
    assert (await run(ecs, taskDefinition="static", clientToken="t"))["tasks"]  # noqa: S106


async def test_what_is_done_to_a_cluster_leaves_its_tasks_alone(with_cluster: Ecs) -> None:
    ecs, operations = with_cluster, with_cluster.portway.operations
    [task] = (await run(ecs))["tasks"]
    await until(ecs, task["taskArn"], "RUNNING")
    [state] = ecs.portway.world.of_stack("c")
    name = state.app_id.removeprefix("c/")
    with pytest.raises(RequestError, match="nothing that could be restarted"):
        await operations.restart("c")
    await ecs("create_service", cluster="c", serviceName="s", taskDefinition="web", desiredCount=1)
    await ecs.portway.settled("c")
    await operations.restart("c")
    await ecs.portway.settled("c")
    assert ecs.portway.live("c/s") == ["c/s.1.2"]
    assert ecs.portway.live(state.app_id) == [f"{state.app_id}.1.1"]
    release = state.target.release
    for refused in (
        operations.restart("c", name),
        operations.scale("c", {name: 2}),
        operations.promote("c", release),
    ):
        with pytest.raises(RequestError, match="is a task of RunTask: it runs once"):
            await refused
    assert (await described(ecs, task["taskArn"]))["lastStatus"] == "RUNNING"


async def test_overrides_are_run_and_shown(with_cluster: Ecs) -> None:
    ecs = with_cluster
    override = {"name": "web", "environment": [{"name": "A", "value": "1"}]}
    overrides = {"containerOverrides": [override]}
    [task] = (await run(ecs, overrides=overrides))["tasks"]
    assert task["overrides"]["containerOverrides"] == [override]
    [state] = ecs.portway.world.of_stack("c")
    assert state.target.app.environment["A"] == "1"
    wrong = {"containerOverrides": [{"name": "nobody"}]}
    given = {"cluster": "c", "taskDefinition": "web", "overrides": wrong}
    assert (await ecs.refusal("run_task", **given))[1].startswith("Override for container named")


async def test_a_task_is_started_on_the_instances_that_are_named(with_cluster: Ecs) -> None:
    ecs = with_cluster
    [first] = (await run(ecs))["tasks"]
    given = {"cluster": "c", "taskDefinition": "web"}
    answer = await ecs("start_task", **given, containerInstances=[first["containerInstanceArn"], "x"])  # fmt: skip
    [task] = answer["tasks"]
    assert task["containerInstanceArn"] == first["containerInstanceArn"]
    assert answer["failures"] == [{"arn": "x", "reason": "MISSING"}]


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        ({"cluster": "nope"}, "ClusterNotFoundException", "Cluster not found."),
        ({"count": 11}, "InvalidParameterException", "Task count must be between 1 and 10."),
        ({"taskDefinition": "no"}, "ClientException", "TaskDefinition not found."),
        ({"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "x"}]},
         "InvalidParameterException", "Specify either Launch Type or Capacity Provider Strategy, but not both."),
        ({"group": "service:web"}, "InvalidParameterException", "Invalid namespace for group."),
        ({"startedBy": "x" * 129}, "InvalidParameterException", "startedBy should be 128 characters or less."),
        ({"overrides": {"containerOverrides": [{"name": "web", "environment": [{"value": "1"}]}]}},
         "InvalidParameterException", "containerDefinitions[0].environment[0].name: name should not be null or empty."),
        ({"overrides": {"containerOverrides": [{"name": "web", "cpu": -1}]}},
         "InvalidParameterException", "containerDefinitions[0].cpu: Invalid setting for container 'web'. 'cpu' is less than 0."),
        ({"overrides": {"memory": "abc"}}, "InvalidParameterException", "memory: Invalid 'memory' setting for task: 'abc' is no number of MiB and no number of GB. For instance 512, or 0.5 GB."),
        ({"overrides": {"containerOverrides": [{"name": "web", "command": ["x" * 8192]}]}},
         "InvalidParameterException", "Container Overrides length must be at most 8192"),
    ],
)  # fmt: skip
async def test_what_cannot_be_run_is_refused(
    with_cluster: Ecs, given: dict[str, Any], code: str, told: str
) -> None:
    asked = {"cluster": "c", "taskDefinition": "web", **given}
    assert await with_cluster.refusal("run_task", **asked) == (code, told)


async def test_a_task_that_is_not_there_is_missing(with_cluster: Ecs) -> None:
    found = await with_cluster("describe_tasks", cluster="c", tasks=["nope"])
    assert found["tasks"] == []
    assert [f["reason"] for f in found["failures"]] == ["MISSING"]
    refusal = await with_cluster.refusal("describe_tasks", cluster="c", tasks=[])
    assert refusal == ("InvalidParameterException", "Tasks cannot be empty.")
    code, _ = await with_cluster.refusal("stop_task", cluster="c", task="nope")
    assert code == "InvalidParameterException"
