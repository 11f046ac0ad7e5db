"""Task definitions over the AWS API, with boto3."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace

WEB: dict[str, Any] = {"name": "web", "image": "nginx:alpine", "memory": 64}
ARN = "arn:aws:ecs:us-east-1:000000000000:task-definition/"


async def register(face: ServedFace, family: str = "web", **changes: Any) -> Any:
    definitions = [{**WEB, **changes}]
    answer = await face.ask(
        "ecs", "register_task_definition", family=family, containerDefinitions=definitions
    )
    return answer["taskDefinition"]


async def refused(face: ServedFace, operation: str, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        await face.ask("ecs", operation, **members)
    told = error.value.response["Error"]
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return told["Code"], told["Message"]


async def test_a_registered_definition_is_shown_with_its_defaults(face: ServedFace) -> None:
    shown = await register(face, portMappings=[{"containerPort": 80}])
    (container,) = shown["containerDefinitions"]
    assert container["portMappings"] == [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}]
    assert (container["cpu"], container["essential"]) == (0, True)
    assert [container[k] for k in ("environment", "mountPoints", "volumesFrom")] == [[], [], []]
    assert (shown["revision"], shown["status"]) == (1, "ACTIVE")
    assert shown["taskDefinitionArn"] == f"{ARN}web:1"
    assert shown["compatibilities"] == ["EXTERNAL", "EC2"]
    assert shown["registeredBy"].startswith("arn:aws:iam::000000000000:")
    found = await face.ask("ecs", "describe_task_definition", taskDefinition="web")
    assert found["taskDefinition"] == shown


@pytest.mark.parametrize("name", ["web", "web:2", f"{ARN}web:2", f"{ARN}web"])
async def test_a_definition_is_found_by_family_revision_or_arn(face: ServedFace, name: str) -> None:
    await register(face)
    await register(face, image="nginx:2")
    found = await face.ask("ecs", "describe_task_definition", taskDefinition=name)
    assert found["taskDefinition"]["revision"] == 2


@pytest.mark.parametrize("name", ["we", "web:2", "web:x", "web:1:1", ARN.replace("east", "west") + "web:1"])  # fmt: skip
async def test_what_there_is_not_is_told_in_the_words_of_aws(face: ServedFace, name: str) -> None:
    await register(face)
    told = await refused(face, "describe_task_definition", taskDefinition=name)
    assert told == ("ClientException", "Unable to describe task definition.")


async def test_revisions_made_at_once_have_numbers_of_their_own(face: ServedFace) -> None:
    made = await asyncio.gather(*(register(face, cpu=n) for n in range(6)))
    assert sorted(each["revision"] for each in made) == [1, 2, 3, 4, 5, 6]


async def test_a_number_is_never_used_again(face: ServedFace) -> None:
    await register(face)
    await face.ask("ecs", "deregister_task_definition", taskDefinition="web:1")
    await face.ask("ecs", "delete_task_definitions", taskDefinitions=["web:1"])
    assert (await register(face))["revision"] == 2


async def test_a_deregistered_definition_is_inactive_but_described(face: ServedFace) -> None:
    await register(face)
    told = await refused(face, "deregister_task_definition", taskDefinition="web")
    assert told == ("ClientException", "Revision is missing.")
    gone = await face.ask("ecs", "deregister_task_definition", taskDefinition="web:1")
    assert gone["taskDefinition"]["status"] == "INACTIVE"
    assert "deregisteredAt" in gone["taskDefinition"]
    again = await face.ask("ecs", "describe_task_definition", taskDefinition="web:1")
    assert again["taskDefinition"]["status"] == "INACTIVE"
    await refused(face, "describe_task_definition", taskDefinition="web")


async def test_only_what_is_inactive_can_be_deleted(face: ServedFace) -> None:
    for _ in range(2):
        await register(face)
    await face.ask("ecs", "deregister_task_definition", taskDefinition="web:1")
    names = ["web:1", "web:2", "web:9"]
    answer = await face.ask("ecs", "delete_task_definitions", taskDefinitions=names)
    (deleted,) = answer["taskDefinitions"]
    assert (deleted["revision"], deleted["status"]) == (1, "DELETE_IN_PROGRESS")
    assert [failure["arn"] for failure in answer["failures"]] == [f"{ARN}web:2", "web:9"]
    assert "ACTIVE" in answer["failures"][0]["reason"]


async def test_listings_filter_sort_and_page(face: ServedFace) -> None:
    for family, count in (("web", 3), ("web-2", 1), ("db", 1)):
        for _ in range(count):
            await register(face, family)
    await face.ask("ecs", "deregister_task_definition", taskDefinition="db:1")

    async def names(**members: Any) -> list[str]:
        listed = await face.ask("ecs", "list_task_definitions", **members)
        return [arn.removeprefix(ARN) for arn in listed["taskDefinitionArns"]]

    assert await names() == ["web:1", "web:2", "web:3", "web-2:1"]
    assert await names(sort="DESC") == ["web-2:1", "web:3", "web:2", "web:1"]
    assert await names(familyPrefix="web") == ["web:1", "web:2", "web:3"]
    assert await names(status="INACTIVE") == ["db:1"]
    first = await face.ask("ecs", "list_task_definitions", maxResults=3, sort="DESC")
    token = first["nextToken"]
    assert await names(maxResults=3, sort="DESC", nextToken=token) == ["web:1"]
    code, _ = await refused(face, "list_task_definitions", nextToken=token)
    assert code == "InvalidParameterException"

    async def families(**members: Any) -> list[str]:
        return (await face.ask("ecs", "list_task_definition_families", **members))["families"]

    assert await families() == ["db", "web", "web-2"]
    assert await families(status="ACTIVE", familyPrefix="web") == ["web", "web-2"]
    assert await families(status="INACTIVE") == ["db"]


async def test_tags_are_shown_when_they_are_asked_for(face: ServedFace) -> None:
    tags = [{"key": "team", "value": "a"}]
    made = await face.ask(
        "ecs", "register_task_definition", family="t", containerDefinitions=[WEB], tags=tags
    )
    assert made["tags"] == tags
    plain = await face.ask("ecs", "describe_task_definition", taskDefinition="t")
    assert "tags" not in plain
    full = await face.ask("ecs", "describe_task_definition", taskDefinition="t", include=["TAGS"])
    assert full["tags"] == tags


async def test_what_cannot_be_had_is_refused_with_the_reason(face: ServedFace) -> None:
    for member, value in (("pidMode", "host"), ("proxyConfiguration", {"containerName": "x"})):
        given = {"family": "x", "containerDefinitions": [WEB], member: value}
        code, message = await refused(face, "register_task_definition", **given)
        assert code == "ClientException"
        assert member in message


async def test_a_definition_of_more_than_64_kib_is_refused(face: ServedFace) -> None:
    long = {**WEB, "environment": [{"name": "A", "value": "x" * 70_000}]}
    given = {"family": "web", "containerDefinitions": [long]}
    code, message = await refused(face, "register_task_definition", **given)
    assert code == "ClientException"
    assert re.fullmatch(r"Actual length: '70\d\d\d'. Max allowed length is '65536' bytes.", message)
    made = await register(face, environment=[{"name": "A", "value": "x" * 65_000}])
    assert made["revision"] == 1
