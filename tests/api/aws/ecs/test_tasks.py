"""DescribeTasks and StopTask, over what is seen of Apps."""

from __future__ import annotations

from typing import Any

import pytest

from portway.api.aws.ecs.common import CLUSTER_KIND, fresh_cluster
from portway.api.aws.ecs.task_listing import list_tasks
from portway.api.aws.ecs.tasks import describe_tasks, stop_task, with_extra
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.controller.ecs.histories import EXTRA_KIND
from portway.core.ecs.tasks import BY_THE_USER
from portway.core.instance import Phase
from portway.core.state import AppState
from tests.api.aws.ecs.test_task_store import asked_for, face_of
from tests.api.aws.faces import ARNS, NOW_MS, asked
from tests.core.ecs.made import record, state


async def clustered(*states: AppState) -> Face:
    face = face_of(*states)
    await face.documents.put(CLUSTER_KIND, f"{ARNS}cluster/c", fresh_cluster("c", NOW_MS))
    return face


async def arns(face: Face, **members: Any) -> list[str]:
    return (await list_tasks(face, asked("ListTasks", cluster="c", **members)))["taskArns"]


async def test_each_task_is_described_once_and_the_missing_are_failures() -> None:
    face = await clustered(state(record(1, Phase.READY)))
    [arn] = await arns(face)
    told = await describe_tasks(face, asked("DescribeTasks", cluster="c", tasks=[arn, arn, "x"]))
    assert [task["taskArn"] for task in told["tasks"]] == [arn]
    assert told["failures"] == [{"arn": f"{ARNS}task/c/x", "reason": "MISSING"}]


@pytest.mark.parametrize("tasks", [[], ["x"] * 101])
async def test_one_to_a_hundred_are_described(tasks: list[str]) -> None:
    with pytest.raises(AwsError) as caught:
        await describe_tasks(await clustered(), asked("DescribeTasks", cluster="c", tasks=tasks))
    assert caught.value.code == "InvalidParameterException"


async def test_tags_and_overrides_come_from_where_they_are_kept() -> None:
    face = await clustered(state(record(1, Phase.READY)))
    [arn] = await arns(face)
    extra = {"tags": [{"key": "k", "value": "v"}], "overrides": {"cpu": "256"}}
    await face.documents.put(EXTRA_KIND, arn, extra)
    bare = {"taskArn": arn, "overrides": {"containerOverrides": []}, "tags": []}
    assert (await with_extra(face, bare, tags=True))["tags"] == extra["tags"]
    plain = await with_extra(face, bare, tags=False)
    assert (plain["tags"], plain["overrides"]) == ([], {"containerOverrides": [], "cpu": "256"})


async def test_a_task_of_a_service_is_stopped_alone_with_the_callers_reason() -> None:
    face = await clustered(state(record(1, Phase.READY)))
    [arn] = await arns(face)
    stops: list[tuple[str, str, str]] = []

    async def stop_instance(stack: str, instance: str, *, reason: str = "") -> None:
        stops.append((stack, instance, reason))

    face.operations.stop_instance = stop_instance  # type: ignore[method-assign]
    told = (await stop_task(face, asked("StopTask", cluster="c", task=arn, reason="bye")))["task"]
    assert (told["desiredStatus"], told["stopCode"], told["stoppedReason"]) == ("STOPPED", "UserInitiated", "bye")  # fmt: skip
    assert stops == [("c", "web.1.1", f"{BY_THE_USER}: bye")]


async def test_one_that_never_had_an_instance_is_kept_as_stopped() -> None:
    face = await clustered(asked_for())
    [arn] = await arns(face)
    removed: list[str] = []

    async def remove_app(stack: str, app: str, *, reason: str = "") -> None:
        removed.append(app)

    face.operations.remove_app = remove_app  # type: ignore[method-assign]
    await stop_task(face, asked("StopTask", cluster="c", task=arn))
    assert removed == ["web"]
    [task] = (await describe_tasks(face, asked("DescribeTasks", cluster="c", tasks=[arn])))["tasks"]
    assert (task["lastStatus"], task["stoppedReason"], task["stoppedAt"]) == ("STOPPED", "Task stopped by user", NOW_MS)  # fmt: skip


async def test_one_that_is_not_there_is_refused_and_one_that_stops_is_told() -> None:
    face = await clustered(state(record(1, Phase.DRAINING)))
    with pytest.raises(AwsError, match="was not found"):
        await stop_task(face, asked("StopTask", cluster="c", task="nope"))
    [arn] = await arns(face, desiredStatus="STOPPED")
    told = (await stop_task(face, asked("StopTask", cluster="c", task=arn)))["task"]
    assert told["desiredStatus"] == "STOPPED"
