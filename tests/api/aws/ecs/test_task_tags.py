"""What tasks are tagged with, with boto3, over a portway in memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.ecs.test_services import create, settled

OF_SERVICE = [{"key": "of", "value": "service"}]
OF_DEFINITION = [{"key": "of", "value": "definition"}]
CLUSTER = {"key": "aws:ecs:clusterName", "value": "c"}
SERVICE = {"key": "aws:ecs:serviceName", "value": "web"}


async def made(ecs: Ecs, **given: Any) -> str:
    """The ARN of the only task of a service whose task definition has tags."""
    await ecs("create_cluster", clusterName="c")
    container = {"name": "web", "image": "web", "memory": 64}
    await ecs("register_task_definition", family="web", containerDefinitions=[container], tags=OF_DEFINITION)  # fmt: skip
    await create(ecs, desiredCount=1, tags=OF_SERVICE, **given)
    await settled(ecs)
    [arn] = (await ecs("list_tasks", cluster="c"))["taskArns"]
    return arn


async def tags(ecs: Ecs, arn: str) -> list[dict[str, str]]:
    [task] = (await ecs("describe_tasks", cluster="c", tasks=[arn], include=["TAGS"]))["tasks"]
    assert (await ecs("list_tags_for_resource", resourceArn=arn))["tags"] == task["tags"]
    [plain] = (await ecs("describe_tasks", cluster="c", tasks=[arn]))["tasks"]
    assert plain["tags"] == []
    return task["tags"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"propagateTags": "SERVICE"}, OF_SERVICE),
        ({"propagateTags": "TASK_DEFINITION", "enableECSManagedTags": True}, [*OF_DEFINITION, CLUSTER, SERVICE]),
        ({}, []),
    ],
)  # fmt: skip
async def test_a_service_hands_tags_down_as_it_says(
    ecs: Ecs, given: dict[str, Any], expected: list[dict[str, str]]
) -> None:
    assert await tags(ecs, await made(ecs, **given)) == expected


async def test_a_task_may_have_more_of_its_own_and_lose_what_was_handed_down(ecs: Ecs) -> None:
    arn = await made(ecs, propagateTags="SERVICE")
    await ecs("tag_resource", resourceArn=arn, tags=[{"key": "own", "value": "1"}])
    assert await tags(ecs, arn) == [*OF_SERVICE, {"key": "own", "value": "1"}]
    await ecs("untag_resource", resourceArn=arn, tagKeys=["of"])
    assert await tags(ecs, arn) == [{"key": "own", "value": "1"}]


async def test_a_task_of_run_task_is_managed_where_it_is_asked_for(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    container = {"name": "web", "image": "web", "memory": 64}
    await ecs("register_task_definition", family="web", containerDefinitions=[container], tags=OF_DEFINITION)  # fmt: skip
    asked = {"cluster": "c", "taskDefinition": "web", "propagateTags": "TASK_DEFINITION"}
    [task] = (await ecs("run_task", enableECSManagedTags=True, **asked))["tasks"]
    assert task["tags"] == [*OF_DEFINITION, CLUSTER]
