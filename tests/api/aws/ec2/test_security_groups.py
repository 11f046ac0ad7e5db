"""Security groups and their rules, with boto3."""

from __future__ import annotations

from typing import Any

from portway.controller.network.reading import read_network
from tests.api.aws.conftest import ServedFace
from tests.api.aws.ec2.asking import ask, by, refused


async def made(face: ServedFace, name: str, **more: Any) -> str:
    given = {"GroupName": name, "Description": "d", **more}
    return (await ask(face, "create_security_group", **given))["GroupId"]


def tcp(first: int, last: int, **peers: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, **peers}


async def test_a_group_lets_everything_out_and_nothing_in(face: ServedFace) -> None:
    group_id = await made(face, "lb")
    found = await ask(face, "describe_security_groups", GroupIds=[group_id])
    (group,) = found["SecurityGroups"]
    assert group["IpPermissions"] == []
    (out,) = group["IpPermissionsEgress"]
    assert (out["IpProtocol"], out["IpRanges"]) == ("-1", [{"CidrIp": "0.0.0.0/0"}])
    assert "FromPort" not in out
    named = await ask(face, "describe_security_groups", GroupNames=["lb"])
    assert named["SecurityGroups"] == found["SecurityGroups"]


async def test_what_is_wrong_with_a_group_is_said_in_awss_words(face: ServedFace) -> None:
    group_id = await made(face, "g")
    vpc = (await ask(face, "describe_vpcs"))["Vpcs"][0]["VpcId"]
    given = {"GroupName": "g", "Description": "d"}
    assert await refused(face, "create_security_group", **given) == ("InvalidGroup.Duplicate", f"The security group 'g' already exists for VPC '{vpc}'")  # fmt: skip
    assert (await refused(face, "create_security_group", GroupName="default", Description="d"))[0] == "InvalidParameterValue"  # fmt: skip
    assert await refused(face, "describe_security_groups", GroupIds=["sg-1"]) == ("InvalidGroup.NotFound", "The security group 'sg-1' does not exist")  # fmt: skip
    default = (await ask(face, "describe_security_groups", GroupNames=["default"]))["SecurityGroups"][0]  # fmt: skip
    assert (await refused(face, "delete_security_group", GroupId=default["GroupId"]))[0] == "CannotDelete"  # fmt: skip
    await ask(face, "delete_security_group", GroupId=group_id)
    assert (await refused(face, "delete_security_group", GroupId=group_id))[0] == "InvalidGroup.NotFound"  # fmt: skip


async def test_permissions_are_kept_as_single_rules_and_shown_together(face: ServedFace) -> None:
    lb, group_id = await made(face, "lb"), await made(face, "i")
    permission = tcp(
        32768,
        65535,
        UserIdGroupPairs=[{"GroupId": lb, "Description": "balanced"}],
        IpRanges=[{"CidrIp": "10.0.0.9/8"}],
        Ipv6Ranges=[{"CidrIpv6": "::/0"}],
    )
    tags = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "k", "Value": "v"}]}]
    given = {"GroupId": group_id, "IpPermissions": [permission]}
    answer = await ask(face, "authorize_security_group_ingress", **given, TagSpecifications=tags)
    assert answer["Return"] is True
    assert len(answer["SecurityGroupRules"]) == 3
    assert all(rule["Tags"] == tags[0]["Tags"] for rule in answer["SecurityGroupRules"])
    found = await ask(face, "describe_security_groups", Filters=by("ip-permission.group-id", lb))
    (shown,) = found["SecurityGroups"][0]["IpPermissions"]
    assert shown["UserIdGroupPairs"] == [{"GroupId": lb, "UserId": "000000000000", "Description": "balanced"}]  # fmt: skip
    assert shown["IpRanges"] == [{"CidrIp": "10.0.0.0/8"}]
    assert (await refused(face, "delete_security_group", GroupId=lb))[0] == "DependencyViolation"
    code, told = await refused(face, "authorize_security_group_ingress", **given)
    assert code == "InvalidPermission.Duplicate"
    assert "from port: 32768, to port: 65535, ALLOW" in told
    rules = (await ask(face, "describe_security_group_rules", Filters=by("group-id", group_id)))["SecurityGroupRules"]  # fmt: skip
    assert sum(rule["IsEgress"] for rule in rules) == 1
    assert {rule.get("CidrIpv6") for rule in rules} == {None, "::/0"}


async def test_rules_are_revoked_by_what_they_say_or_by_id(face: ServedFace) -> None:
    group_id = await made(face, "g")
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    given = {"GroupId": group_id, "IpPermissions": [everything]}
    gone = await ask(face, "revoke_security_group_egress", **given)
    assert len(gone["RevokedSecurityGroupRules"]) == 1
    told = await refused(face, "revoke_security_group_egress", **given)
    assert told == ("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")  # fmt: skip
    flat = {"GroupId": group_id, "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "CidrIp": "0.0.0.0/0"}  # fmt: skip
    made_ = await ask(face, "authorize_security_group_ingress", **flat)
    ids = [rule["SecurityGroupRuleId"] for rule in made_["SecurityGroupRules"]]
    await ask(face, "revoke_security_group_ingress", GroupId=group_id, SecurityGroupRuleIds=ids)
    code, _ = await refused(face, "revoke_security_group_ingress", GroupId=group_id, SecurityGroupRuleIds=ids)  # fmt: skip
    assert code == "InvalidSecurityGroupRuleId.NotFound"
    found = await ask(face, "describe_security_groups", GroupIds=[group_id])
    assert found["SecurityGroups"][0]["IpPermissions"] == []
    assert found["SecurityGroups"][0]["IpPermissionsEgress"] == []


async def test_permissions_that_say_nothing_are_refused(face: ServedFace) -> None:
    group_id = await made(face, "g")
    anywhere = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    for permission, code in (
        (tcp(80, 80), "MissingParameter"),
        (tcp(81, 80, **anywhere), "InvalidParameterValue"),
        (tcp(80, 80, IpRanges=[{"CidrIp": "10.0.0.0"}]), "InvalidParameterValue"),
        ({"IpProtocol": "tcp", **anywhere}, "MissingParameter"),
        ({"IpProtocol": "smoke", **anywhere}, "InvalidPermission.Malformed"),
        (tcp(80, 80, UserIdGroupPairs=[{"GroupId": "sg-1"}]), "InvalidGroup.NotFound"),
    ):
        given = {"GroupId": group_id, "IpPermissions": [permission]}
        assert (await refused(face, "authorize_security_group_ingress", **given))[0] == code
    assert (await refused(face, "authorize_security_group_ingress", GroupId=group_id))[0] == "MissingParameter"  # fmt: skip


async def test_rules_are_changed_by_id(face: ServedFace) -> None:
    group_id = await made(face, "g")
    given = {"GroupId": group_id, "IpPermissions": [tcp(80, 80, IpRanges=[{"CidrIp": "0.0.0.0/0"}])]}  # fmt: skip
    rule = (await ask(face, "authorize_security_group_ingress", **given))["SecurityGroupRules"][0]
    rule_id = rule["SecurityGroupRuleId"]
    update = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIpv4": "10.0.0.0/8"}
    asked = {"SecurityGroupRuleId": rule_id, "SecurityGroupRule": update}
    await ask(face, "modify_security_group_rules", GroupId=group_id, SecurityGroupRules=[asked])
    described = {"SecurityGroupRuleId": rule_id, "Description": "inside"}
    await ask(face, "update_security_group_rule_descriptions_ingress", GroupId=group_id, SecurityGroupRuleDescriptions=[described])  # fmt: skip
    found = await ask(face, "describe_security_group_rules", SecurityGroupRuleIds=[rule_id])
    (shown,) = found["SecurityGroupRules"]
    assert (shown["FromPort"], shown["CidrIpv4"], shown["Description"]) == (443, "10.0.0.0/8", "inside")  # fmt: skip
    both = {**asked, "SecurityGroupRule": {**update, "CidrIpv6": "::/0"}}
    code, _ = await refused(face, "modify_security_group_rules", GroupId=group_id, SecurityGroupRules=[both])  # fmt: skip
    assert code == "InvalidParameterCombination"


async def test_instances_in_a_group_are_reached_once_it_has_the_rule(face: ServedFace) -> None:
    """The story of seed 001: the group of the instances must admit the load balancer on the ephemeral range."""
    lb, group_id = await made(face, "lb"), await made(face, "i")
    instance = (await ask(face, "describe_instances"))["Reservations"][0]["Instances"][0]
    key, subnet = instance["InstanceId"], instance["SubnetId"]

    async def missing() -> str | None:
        network = await read_network(face.documents, home_id="", region="us-east-1")
        return network.missing_rule(groups=[lb], subnets=[subnet], instance_id=key, number=32768)

    assert await missing() is None
    await ask(face, "modify_instance_attribute", InstanceId=key, Groups=[group_id])
    assert f"{group_id} of the instances does not admit tcp 32768 from {lb}" in (
        await missing() or ""
    )
    permission = tcp(32768, 65535, UserIdGroupPairs=[{"GroupId": lb}])
    await ask(face, "authorize_security_group_ingress", GroupId=group_id, IpPermissions=[permission])  # fmt: skip
    assert await missing() is None
    assert (await refused(face, "delete_security_group", GroupId=group_id))[0] == "DependencyViolation"  # fmt: skip
