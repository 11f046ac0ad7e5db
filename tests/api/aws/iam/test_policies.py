"""Inline policies of roles, with boto3."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "é+ %"}]}


async def test_an_inline_policy_is_given_back_as_it_was_put(face: ServedFace) -> None:
    text = json.dumps(POLICY)
    await face.ask("iam", "create_role", RoleName="r", AssumeRolePolicyDocument=text)
    await face.ask("iam", "put_role_policy", RoleName="r", PolicyName="p", PolicyDocument=text)
    listed = await face.ask("iam", "list_role_policies", RoleName="r")
    assert listed["PolicyNames"] == ["p"]
    found = await face.ask("iam", "get_role_policy", RoleName="r", PolicyName="p")
    assert found["PolicyDocument"] == POLICY
    await face.ask("iam", "delete_role_policy", RoleName="r", PolicyName="p")
    for operation in ("get_role_policy", "delete_role_policy"):
        with pytest.raises(ClientError, match="The role policy with name p cannot be found"):
            await face.ask("iam", operation, RoleName="r", PolicyName="p")


async def test_what_is_no_policy_is_not_attached(face: ServedFace) -> None:
    text = json.dumps(POLICY)
    await face.ask("iam", "create_role", RoleName="r", AssumeRolePolicyDocument=text)
    with pytest.raises(ClientError, match="is not valid"):
        await face.ask("iam", "attach_role_policy", RoleName="r", PolicyArn="a" * 20)
    with pytest.raises(ClientError, match="was not found"):
        arn = "arn:aws:iam::aws:policy/x"
        await face.ask("iam", "detach_role_policy", RoleName="r", PolicyArn=arn)
