"""Log groups, with boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace


async def ask(face: ServedFace, operation: str, **members: Any) -> dict[str, Any]:
    return await face.ask("logs", operation, **members)


async def refused(face: ServedFace, operation: str, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        await ask(face, operation, **members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


async def test_a_group_is_made_once_found_and_deleted(face: ServedFace) -> None:
    await ask(face, "create_log_group", logGroupName="/ecs/web", tags={"k": "v"})
    again = await refused(face, "create_log_group", logGroupName="/ecs/web")
    assert again == ("ResourceAlreadyExistsException", "The specified log group already exists")
    await ask(face, "create_log_group", logGroupName="/other")
    (group,) = (await ask(face, "describe_log_groups", logGroupNamePrefix="/ecs"))["logGroups"]
    assert group["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/web:*"
    assert (group["storedBytes"], group["metricFilterCount"]) == (0, 0)
    found = await ask(face, "describe_log_groups", logGroupNamePattern="THER")
    assert [each["logGroupName"] for each in found["logGroups"]] == ["/other"]
    await ask(face, "delete_log_group", logGroupName="/ecs/web")
    told = await refused(face, "delete_log_group", logGroupName="/ecs/web")
    assert told == ("ResourceNotFoundException", "The specified log group does not exist.")


async def test_retention_is_one_of_awss_and_can_be_taken_back(face: ServedFace) -> None:
    await ask(face, "create_log_group", logGroupName="g")
    code, _ = await refused(face, "put_retention_policy", logGroupName="g", retentionInDays=2)
    assert code == "InvalidParameterException"
    await ask(face, "put_retention_policy", logGroupName="g", retentionInDays=7)
    assert (await ask(face, "describe_log_groups"))["logGroups"][0]["retentionInDays"] == 7
    await ask(face, "delete_retention_policy", logGroupName="g")
    assert "retentionInDays" not in (await ask(face, "describe_log_groups"))["logGroups"][0]
    code, _ = await refused(face, "put_retention_policy", logGroupName="h", retentionInDays=7)
    assert code == "ResourceNotFoundException"


async def test_tags_of_a_group_are_kept_by_arn_and_by_name(face: ServedFace) -> None:
    await ask(face, "create_log_group", logGroupName="g", tags={"a": "1"})
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:g"
    await ask(face, "tag_resource", resourceArn=arn, tags={"b": "2"})
    await ask(face, "tag_log_group", logGroupName="g", tags={"c": "3"})
    await ask(face, "untag_resource", resourceArn=arn, tagKeys=["a"])
    await ask(face, "untag_log_group", logGroupName="g", tags=["c"])
    assert (await ask(face, "list_tags_for_resource", resourceArn=arn))["tags"] == {"b": "2"}
    assert (await ask(face, "list_tags_log_group", logGroupName="g"))["tags"] == {"b": "2"}
