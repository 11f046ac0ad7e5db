"""Tags of EC2's objects, with boto3."""

from __future__ import annotations

from tests.api.aws.conftest import ServedFace
from tests.api.aws.ec2.asking import ask, by, default_vpc, refused


async def test_tags_come_and_go_and_are_found(face: ServedFace) -> None:
    vpc_id = await default_vpc(face)
    (group,) = (await ask(face, "describe_security_groups"))["SecurityGroups"]
    rule = (await ask(face, "describe_security_group_rules"))["SecurityGroupRules"][0]
    keys = [vpc_id, group["GroupId"], rule["SecurityGroupRuleId"]]
    await ask(face, "create_tags", Resources=keys, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])  # fmt: skip
    found = (await ask(face, "describe_tags", Filters=by("key", "a")))["Tags"]
    assert {tag["ResourceId"]: tag["ResourceType"] for tag in found} == dict(
        zip(keys, ["vpc", "security-group", "security-group-rule"], strict=True)
    )
    await ask(face, "delete_tags", Resources=[vpc_id], Tags=[{"Key": "a", "Value": "other"}, {"Key": "b"}])  # fmt: skip
    left = (await ask(face, "describe_tags", Filters=by("resource-id", vpc_id)))["Tags"]
    assert [tag["Key"] for tag in left] == ["a"]
    await ask(face, "delete_tags", Resources=keys)
    assert (await ask(face, "describe_tags"))["Tags"] == []


async def test_what_is_not_there_or_not_ours_cannot_be_tagged(face: ServedFace) -> None:
    tags = [{"Key": "a", "Value": "1"}]
    assert (await refused(face, "create_tags", Resources=["vpc-1"], Tags=tags))[0] == "InvalidVpcID.NotFound"  # fmt: skip
    assert (await refused(face, "create_tags", Resources=["lt-1"], Tags=tags))[0] == "InvalidID"
    vpc_id = await default_vpc(face)
    aws = [{"Key": "aws:x", "Value": "1"}]
    assert (await refused(face, "create_tags", Resources=[vpc_id], Tags=aws))[0] == "InvalidParameterValue"  # fmt: skip
