"""IAM roles as stored objects, with boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace

TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}


async def made(face: ServedFace, name: str, **members: Any) -> dict[str, Any]:
    given = {"RoleName": name, "AssumeRolePolicyDocument": json.dumps(TRUST), **members}
    return (await face.ask("iam", "create_role", **given))["Role"]


async def code_of(face: ServedFace, operation: str, **members: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        await face.ask("iam", operation, **members)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


async def test_a_role_is_given_back_as_it_was_made(face: ServedFace) -> None:
    role = await made(face, "r", Path="/a/", Description="d", Tags=[{"Key": "k", "Value": ""}])
    assert role["Arn"] == "arn:aws:iam::000000000000:role/a/r"
    assert role["AssumeRolePolicyDocument"] == TRUST
    assert role["RoleId"].startswith("AROA")
    assert (await face.ask("iam", "get_role", RoleName="r"))["Role"] == role
    assert await code_of(face, "get_role", RoleName="none") == ("NoSuchEntity", 404)


async def test_a_role_is_made_once_and_of_a_policy_that_is_one(face: ServedFace) -> None:
    await made(face, "r")
    given = {"RoleName": "r", "AssumeRolePolicyDocument": json.dumps(TRUST)}
    assert await code_of(face, "create_role", **given) == ("EntityAlreadyExists", 409)
    given = {"RoleName": "s", "AssumeRolePolicyDocument": "{"}
    assert await code_of(face, "create_role", **given) == ("MalformedPolicyDocument", 400)


async def test_a_name_the_model_does_not_allow_is_a_validation_error(face: ServedFace) -> None:
    given = {"RoleName": "r/s", "AssumeRolePolicyDocument": "{}"}
    assert await code_of(face, "create_role", **given) == ("ValidationError", 400)


async def test_roles_are_listed_under_a_path_and_in_pages(face: ServedFace) -> None:
    for name in ("c", "a", "b"):
        await made(face, name, Path="/x/")
    await made(face, "d")
    first = await face.ask("iam", "list_roles", PathPrefix="/x/", MaxItems=2)
    assert [role["RoleName"] for role in first["Roles"]] == ["a", "b"]
    assert first["IsTruncated"] is True
    marker = first["Marker"]
    rest = await face.ask("iam", "list_roles", PathPrefix="/x/", MaxItems=2, Marker=marker)
    assert [role["RoleName"] for role in rest["Roles"]] == ["c"]
    assert rest["IsTruncated"] is False
    assert await code_of(face, "list_roles", Marker=marker) == ("ValidationError", 400)


async def test_a_role_with_policies_is_not_deleted(face: ServedFace) -> None:
    await made(face, "r")
    arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
    await face.ask("iam", "attach_role_policy", RoleName="r", PolicyArn=arn)
    attached = await face.ask("iam", "list_attached_role_policies", RoleName="r")
    assert attached["AttachedPolicies"] == [
        {"PolicyName": "AmazonECSTaskExecutionRolePolicy", "PolicyArn": arn}
    ]
    assert await code_of(face, "delete_role", RoleName="r") == ("DeleteConflict", 409)
    await face.ask("iam", "detach_role_policy", RoleName="r", PolicyArn=arn)
    await face.ask("iam", "delete_role", RoleName="r")
    assert await code_of(face, "delete_role", RoleName="r") == ("NoSuchEntity", 404)


async def test_what_a_role_trusts_and_its_tags_can_be_changed(face: ServedFace) -> None:
    await made(face, "r", Tags=[{"Key": "a", "Value": "1"}])
    other = {**TRUST, "Statement": []}
    await face.ask(
        "iam", "update_assume_role_policy", RoleName="r", PolicyDocument=json.dumps(other)
    )
    await face.ask("iam", "update_role", RoleName="r", Description="new", MaxSessionDuration=7200)
    await face.ask("iam", "tag_role", RoleName="r", Tags=[{"Key": "b", "Value": "2"}])
    await face.ask("iam", "untag_role", RoleName="r", TagKeys=["a"])
    role = (await face.ask("iam", "get_role", RoleName="r"))["Role"]
    assert role["AssumeRolePolicyDocument"] == other
    assert (role["Description"], role["MaxSessionDuration"]) == ("new", 7200)
    assert role["Tags"] == [{"Key": "b", "Value": "2"}]
    assert (await face.ask("iam", "list_role_tags", RoleName="r"))["Tags"] == role["Tags"]


async def test_a_service_linked_role_is_made_once(face: ServedFace) -> None:
    given = {"AWSServiceName": "ecs.amazonaws.com"}
    role = (await face.ask("iam", "create_service_linked_role", **given))["Role"]
    assert role["RoleName"] == "AWSServiceRoleForECS"
    assert await code_of(face, "create_service_linked_role", **given) == ("InvalidInput", 400)
