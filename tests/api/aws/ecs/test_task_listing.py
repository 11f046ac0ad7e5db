"""ListTasks, over what is seen of Apps."""

from __future__ import annotations

from typing import Any

import pytest

from portway.api.aws.ecs.task_listing import list_tasks
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.controller.ecs.histories import SERVICE_KIND, keep_stopped
from portway.core.instance import Phase
from tests.api.aws.ecs.test_task_store import asked_for
from tests.api.aws.ecs.test_tasks import arns, clustered
from tests.api.aws.faces import ARNS, asked
from tests.core.ecs.made import record, state


async def stopped(face: Face, task_id: str, **members: Any) -> str:
    """Keep a task that has stopped."""
    task = {
        "taskArn": f"{ARNS}task/c/{task_id}",
        "desiredStatus": "STOPPED",
        "taskDefinitionArn": f"{ARNS}task-definition/web:1",
        "containerInstanceArn": f"{ARNS}container-instance/c/nope",
        "group": "service:web",
        "launchType": "EC2",
        "stoppedAt": 1,
        **members,
    }
    await keep_stopped(face.documents, task, "c/web")
    return task["taskArn"]


async def with_service(face: Face) -> Face:
    """Where the service that its tasks say they are of is kept."""
    arn = f"{ARNS}service/c/web"
    await face.documents.put(SERVICE_KIND, arn, {"cluster": "c", "name": "web", "arn": arn})
    return face


async def paged(face: Face, size: int, **members: Any) -> list[list[str]]:
    """Every page of a listing."""
    pages: list[list[str]] = []
    token: dict[str, str] = {}
    while len(pages) < 20:
        given = {"cluster": "c", "maxResults": size, **members, **token}
        answer = await list_tasks(face, asked("ListTasks", **given))
        pages.append(answer["taskArns"])
        if not answer.get("nextToken"):
            break
        token = {"nextToken": answer["nextToken"]}
    return pages


async def test_the_running_are_listed_unless_the_stopped_are_asked_for() -> None:
    face = await clustered(state(record(1, Phase.READY), record(2, Phase.DRAINING)))
    await stopped(face, "1")
    assert len(await arns(face)) == 1
    assert len(await arns(face, desiredStatus="STOPPED")) == 2


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"family": "web"}, 1),
        ({"family": "we"}, 0),
        ({"launchType": "EC2"}, 1),
        ({"launchType": "FARGATE"}, 0),
        ({"startedBy": "me"}, 0),
        ({"containerInstance": "nope"}, 0),
    ],
)
async def test_tasks_are_listed_by_what_they_belong_to(given: dict[str, str], count: int) -> None:
    face = await clustered(state(record(1, Phase.READY)))
    assert len(await arns(face, **given)) == count


async def test_of_a_service_that_is_not_there_nothing_is_listed() -> None:
    face = await clustered()
    with pytest.raises(AwsError) as caught:
        await arns(face, serviceName="nope")
    assert caught.value.code == "ServiceNotFoundException"


async def test_pages_hold_every_task_once_whoever_comes_and_goes() -> None:
    records = (record(n, Phase.READY) for n in range(1, 8))
    face = await with_service(await clustered(state(*records)))
    every = await arns(face)
    pages = await paged(face, 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [arn for page in pages for arn in page] == every == sorted(every)
    assert await paged(face, 3, serviceName="web") == pages
    first = await list_tasks(face, asked("ListTasks", cluster="c", maxResults=3))
    with pytest.raises(AwsError, match="Invalid token"):
        await arns(face, family="web", nextToken=first["nextToken"])


async def test_stopped_ones_are_paged_with_those_that_are_stopping() -> None:
    records = (record(1, Phase.DRAINING), record(2, Phase.READY))
    face = await with_service(await clustered(state(*records)))
    kept = [await stopped(face, f"{n:032x}") for n in range(3)]
    await stopped(face, "f" * 32, group="family:x")
    pages = await paged(face, 2, desiredStatus="STOPPED")
    assert [len(page) for page in pages] == [2, 2, 1]
    of_service = [arn for page in await paged(face, 2, desiredStatus="STOPPED", serviceName="web") for arn in page]  # fmt: skip
    assert len(of_service) == 4
    assert set(kept) < set(of_service)


async def test_a_task_that_ended_without_a_beginning_is_not_running() -> None:
    face = await clustered(asked_for())
    [arn] = await arns(face)
    await stopped(face, arn.rpartition("/")[2])
    assert await arns(face) == []
    assert await arns(face, desiredStatus="STOPPED") == [arn]


async def test_no_task_is_wanted_to_be_pending() -> None:
    assert await arns(await clustered(asked_for()), desiredStatus="PENDING") == []
