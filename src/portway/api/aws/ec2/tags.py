"""Tags of EC2's objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from portway.api.aws.ec2.common import (
    Fields,
    change,
    check_tags,
    ec2,
    find,
    listing,
    matching,
)
from portway.api.aws.ec2.instances import change_instance
from portway.api.aws.ec2.security_group_rules import group_of_rule
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import Body, Tags, merged_tags
from portway.api.aws.operation import Request
from portway.core.network.defaults import ACL, GATEWAY, GROUP, INSTANCE, ROUTE_TABLE, SUBNET, VPC

KINDS = {
    "vpc": (VPC, "vpc"),
    "subnet": (SUBNET, "subnet"),
    "sg": (GROUP, "security-group"),
    "acl": (ACL, "network-acl"),
    "igw": (GATEWAY, "internet-gateway"),
    "rtb": (ROUTE_TABLE, "route-table"),
    "i": (INSTANCE, "instance"),
}
_RULE = "sgr"
_RULE_TYPE = "security-group-rule"


@ec2("CreateTags")
async def create_tags(face: Face, request: Request) -> dict[str, Any]:
    """Tag objects of any kind."""

    def by(body: Body) -> Body:
        tags = merged_tags(body.get("Tags", []), request["Tags"])
        check_tags(tags)
        return {**body, "Tags": tags}

    for key in request["Resources"]:
        await _check_there(face, key)
    for key in request["Resources"]:
        await _change(face, key, by)
    return {}


@ec2("DeleteTags")
async def delete_tags(face: Face, request: Request) -> dict[str, Any]:
    """Remove tags: a key with a value only where it has that value; no tags given: all of them."""
    given = request.get("Tags")

    def goes(tag: Mapping[str, str]) -> bool:
        if given is None:
            return True
        return any(
            each.get("Key") == tag["Key"] and each.get("Value") in (None, tag["Value"])
            for each in given
        )

    def by(body: Body) -> Body:
        return {**body, "Tags": [tag for tag in body.get("Tags", []) if not goes(tag)]}

    for key in request["Resources"]:
        await _check_there(face, key)
    for key in request["Resources"]:
        await _change(face, key, by)
    return {}


@ec2("DescribeTags")
async def describe_tags(face: Face, request: Request) -> dict[str, Any]:
    """Every tag of every object, by filter."""
    tags = [
        {"ResourceId": key, "ResourceType": type_, **tag, "Order": f"{key} {tag['Key']}"}
        for key, type_, own in await tagged(face)
        for tag in own
    ]
    found = matching(request, tags, _fields)

    def shown(tag: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: value for name, value in tag.items() if name != "Order"}

    return listing(request, "Tags", found, "Order", shown)


async def tagged(face: Face) -> list[tuple[str, str, Tags]]:
    """Id, type and tags of every object of EC2's."""
    found: list[tuple[str, str, Tags]] = []
    for kind, type_ in KINDS.values():
        for document in await face.documents.list(kind):
            found.append((document.key, type_, document.body.get("Tags", [])))
            rules = document.body["Rules"] if kind == GROUP else ()
            found += [(r["SecurityGroupRuleId"], _RULE_TYPE, r.get("Tags", [])) for r in rules]
    return found


def _fields(tag: Mapping[str, Any]) -> Fields:
    return {
        "resource-id": (tag["ResourceId"],),
        "resource-type": (tag["ResourceType"],),
        "key": (tag["Key"],),
        "value": (tag["Value"],),
    }


async def _check_there(face: Face, key: str) -> None:
    prefix = key.partition("-")[0]
    if prefix == _RULE:
        await group_of_rule(face, key)
    elif prefix not in KINDS:
        raise AwsError("InvalidID", f"The ID '{key}' is not valid", 400)
    elif prefix != "i":
        await find(face, KINDS[prefix][0], key)


async def _change(face: Face, key: str, by: Callable[[Body], Body]) -> None:
    prefix = key.partition("-")[0]
    if prefix == "i":
        await change_instance(face, key, by)
    elif prefix == _RULE:
        group = await group_of_rule(face, key)
        await change(face, GROUP, group, lambda body: _with_rule(body, key, by))
    else:
        await change(face, KINDS[prefix][0], key, by)


def _with_rule(body: Body, key: str, by: Callable[[Body], Body]) -> Body:
    rules = [by(rule) if rule["SecurityGroupRuleId"] == key else rule for rule in body["Rules"]]
    return {**body, "Rules": rules}
