"""Security groups: who may connect to whom. Target health is checked by them; no packet is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portway.api.aws.ec2.common import (
    Fields,
    asked_tags,
    bodies,
    ec2,
    find,
    listing,
    matching,
    new_id,
    not_found,
    origins_in_use,
)
from portway.api.aws.ec2.permissions import collapse
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request
from portway.core.network.defaults import (
    GROUP,
    INSTANCE,
    VPC,
    default_vpc_id,
    security_group,
)

_DEFAULT = "default"
_BALANCERS = ("elbv2.load-balancer", "elb.load-balancer")


@ec2("CreateSecurityGroup")
async def create_security_group(face: Face, request: Request) -> dict[str, Any]:
    """Make a group that lets everything out and nothing in."""
    name = request["GroupName"]
    vpc_id = request.get("VpcId") or default_vpc_id(face.home_id)
    await find(face, VPC, vpc_id)
    if name == _DEFAULT or name.startswith("sg-"):
        told = f"Invalid value '{name}' for groupName. Group names may not be default or begin with sg-."
        raise AwsError("InvalidParameterValue", told, 400)
    if any(body["GroupName"] == name for body in await bodies(face, GROUP, VpcId=vpc_id)):
        told = f"The security group '{name}' already exists for VPC '{vpc_id}'"
        raise AwsError("InvalidGroup.Duplicate", told, 400)
    tags = asked_tags(request, "security-group")
    kind, key, body = security_group(
        new_id(face, "sg"), vpc_id, name=name, description=request["Description"], rules=[]
    )
    await face.documents.put(kind, key, {**body, "Tags": tags}, 0)
    arn = face.arn("ec2", f"security-group/{key}")
    return {"GroupId": key, "Tags": tags, "SecurityGroupArn": arn}


@ec2("DescribeSecurityGroups")
async def describe_security_groups(face: Face, request: Request) -> dict[str, Any]:
    """Groups, by id, name (of the default VPC) and filter."""
    groups = await bodies(face, GROUP)
    ids, names = set(request.get("GroupIds") or ()), set(request.get("GroupNames") or ())
    if ids or names:
        known = {body["GroupId"] for body in groups}
        default = default_vpc_id(face.home_id)
        known_names = {body["GroupName"] for body in groups if body["VpcId"] == default}
        missing = sorted(ids - known) + sorted(names - known_names)
        if missing:
            raise not_found(GROUP, missing[0])
        groups = [
            body
            for body in groups
            if body["GroupId"] in ids or (body["GroupName"] in names and body["VpcId"] == default)
        ]
    found = matching(request, groups, lambda body: _fields(face, body))
    return listing(request, "SecurityGroups", found, "GroupId", lambda body: _shown(face, body))


@ec2("DeleteSecurityGroup")
async def delete_security_group(face: Face, request: Request) -> dict[str, Any]:
    """Forget a group that nothing is in and no other group names."""
    body = await find_group(face, request)
    group_id = body["GroupId"]
    if body["GroupName"] == _DEFAULT:
        told = f'the specified group: "{group_id}" name: "default" cannot be deleted by a user'
        raise AwsError("CannotDelete", told, 400)
    if await _is_used(face, group_id):
        raise AwsError("DependencyViolation", f"resource {group_id} has a dependent object", 400)
    await face.documents.delete(GROUP, group_id)
    return {"Return": True, "GroupId": group_id}


async def _is_used(face: Face, group_id: str) -> bool:
    for body in await bodies(face, GROUP):
        named = {rule.get("ReferencedGroupId") for rule in body["Rules"]}
        if body["GroupId"] != group_id and group_id in named:
            return True
    if any(group_id in body.get("Groups", ()) for body in await bodies(face, INSTANCE)):
        return True
    if any(group_id in origin.security_groups for origin in await origins_in_use(face)):
        return True
    for kind in _BALANCERS:
        for document in await face.documents.list(kind):
            if group_id in document.body.get("security_groups", ()):
                return True
    return False


async def find_group(face: Face, request: Request) -> Mapping[str, Any]:
    """The group a request names, by id or by name in the default VPC."""
    group_id, name = request.get("GroupId"), request.get("GroupName")
    if group_id:
        return await find(face, GROUP, group_id)
    if not name:
        told = "The request must contain the parameter groupName or groupId"
        raise AwsError("MissingParameter", told, 400)
    return await named_group(face, name, default_vpc_id(face.home_id))


async def named_group(face: Face, name: str, vpc_id: str) -> Mapping[str, Any]:
    """The group of a name in a VPC; the refusal when there is none."""
    for body in await bodies(face, GROUP, VpcId=vpc_id):
        if body["GroupName"] == name:
            return body
    told = f"The security group '{name}' does not exist in default VPC '{vpc_id}'"
    raise AwsError("InvalidGroup.NotFound", told, 400)


def _fields(face: Face, body: Mapping[str, Any]) -> Fields:
    fields: dict[str, Any] = {
        "group-id": (body["GroupId"],),
        "group-name": (body["GroupName"],),
        "description": (body["Description"],),
        "vpc-id": (body["VpcId"],),
        "owner-id": (face.account_id,),
    }
    for prefix, is_egress in (("ip-permission", False), ("egress.ip-permission", True)):
        rules = [rule for rule in body["Rules"] if rule["IsEgress"] is is_egress]
        fields[f"{prefix}.cidr"] = [rule["CidrIpv4"] for rule in rules if rule.get("CidrIpv4")]
        fields[f"{prefix}.from-port"] = [str(rule["FromPort"]) for rule in rules]
        fields[f"{prefix}.to-port"] = [str(rule["ToPort"]) for rule in rules]
        fields[f"{prefix}.protocol"] = [rule["IpProtocol"] for rule in rules]
        fields[f"{prefix}.group-id"] = [
            rule["ReferencedGroupId"] for rule in rules if rule.get("ReferencedGroupId")
        ]
    return fields


def _shown(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    directions = {
        is_egress: [rule for rule in body["Rules"] if rule["IsEgress"] is is_egress]
        for is_egress in (True, False)
    }
    return {
        "GroupId": body["GroupId"],
        "GroupName": body["GroupName"],
        "Description": body["Description"],
        "VpcId": body["VpcId"],
        "OwnerId": face.account_id,
        "SecurityGroupArn": face.arn("ec2", f"security-group/{body['GroupId']}"),
        "IpPermissions": collapse(directions[False], face.account_id),
        "IpPermissionsEgress": collapse(directions[True], face.account_id),
        "Tags": body["Tags"],
    }
