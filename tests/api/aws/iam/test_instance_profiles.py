"""IAM instance profiles, with boto3."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace

ROLE = {"RoleName": "r", "AssumeRolePolicyDocument": '{"Statement": []}'}
PROFILE = {"InstanceProfileName": "p"}


async def test_a_profile_holds_one_role(face: ServedFace) -> None:
    await face.ask("iam", "create_role", **ROLE)
    made = await face.ask("iam", "create_instance_profile", **PROFILE)
    assert made["InstanceProfile"]["Roles"] == []
    await face.ask("iam", "add_role_to_instance_profile", **PROFILE, RoleName="r")
    found = (await face.ask("iam", "get_instance_profile", **PROFILE))["InstanceProfile"]
    assert [role["RoleName"] for role in found["Roles"]] == ["r"]
    of_role = await face.ask("iam", "list_instance_profiles_for_role", RoleName="r")
    everyone = await face.ask("iam", "list_instance_profiles")
    assert of_role["InstanceProfiles"] == everyone["InstanceProfiles"] == [found]
    with pytest.raises(ClientError, match="Cannot exceed quota"):
        await face.ask("iam", "add_role_to_instance_profile", **PROFILE, RoleName="r")


async def test_neither_a_profile_with_a_role_nor_that_role_is_deleted(face: ServedFace) -> None:
    await face.ask("iam", "create_role", **ROLE)
    await face.ask("iam", "create_instance_profile", **PROFILE)
    await face.ask("iam", "add_role_to_instance_profile", **PROFILE, RoleName="r")
    for operation, given in (("delete_role", {"RoleName": "r"}), ("delete_instance_profile", PROFILE)):  # fmt: skip
        with pytest.raises(ClientError, match="must remove roles from instance profile first"):
            await face.ask("iam", operation, **given)
    await face.ask("iam", "remove_role_from_instance_profile", **PROFILE, RoleName="r")
    await face.ask("iam", "delete_instance_profile", **PROFILE)
    with pytest.raises(ClientError, match="instance profile with name p cannot be found"):
        await face.ask("iam", "get_instance_profile", **PROFILE)
