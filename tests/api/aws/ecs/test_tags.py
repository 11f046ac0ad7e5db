"""Tags of ECS's objects, with boto3, over a portway in memory."""

from __future__ import annotations

from typing import Any

from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.ecs.test_running import run
from tests.api.aws.ecs.test_services import create, described, register


async def test_every_object_is_tagged_and_untagged_by_its_arn(ecs: Ecs) -> None:
    cluster = (await ecs("create_cluster", clusterName="c"))["cluster"]["clusterArn"]
    definition = await register(ecs)
    service = (await create(ecs, desiredCount=0))["serviceArn"]
    [task] = (await run(ecs))["tasks"]
    for arn in (cluster, definition, service, task["taskArn"]):
        await tagged(ecs, arn)
    assert (await described(ecs, include=["TAGS"]))["tags"] == [{"key": "b", "value": "2"}]


async def tagged(ecs: Ecs, arn: str) -> None:
    async def tags() -> list[dict[str, Any]]:
        return (await ecs("list_tags_for_resource", resourceArn=arn))["tags"]

    assert await tags() == []
    two = [{"key": "a", "value": "1"}, {"key": "b", "value": "1"}]
    await ecs("tag_resource", resourceArn=arn, tags=two)
    await ecs("tag_resource", resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    assert await tags() == [two[0], {"key": "b", "value": "2"}]
    await ecs("untag_resource", resourceArn=arn, tagKeys=["a"])
    assert await tags() == [{"key": "b", "value": "2"}]


async def test_what_is_not_there_has_no_tags(ecs: Ecs) -> None:
    arn = "arn:aws:ecs:us-east-1:000000000000:cluster/nope"
    code, _ = await ecs.refusal("list_tags_for_resource", resourceArn=arn)
    assert code == "ResourceNotFoundException"
    code, _ = await ecs.refusal("list_tags_for_resource", resourceArn="arn:aws:sns:r:a:b")
    assert code == "InvalidParameterException"
