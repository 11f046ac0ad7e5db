"""The rules of security groups: authorised, revoked, changed, described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portway.api.aws.ec2.common import (
    Fields,
    asked_tags,
    bodies,
    change,
    ec2,
    find,
    flag,
    listing,
    matching,
    new_id,
)
from portway.api.aws.ec2.permissions import Rule, block, collapse, expand, identity, span, words
from portway.api.aws.ec2.security_groups import find_group, named_group
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import Body
from portway.api.aws.operation import Request
from portway.core.network.defaults import GROUP

RULES_MAX = 60  # in one direction
_OWNER = ("SourceSecurityGroupOwnerId",)
_FLAT = ("IpProtocol", "FromPort", "ToPort", "CidrIp")


@ec2("AuthorizeSecurityGroupIngress", ignores=_OWNER)
async def authorize_ingress(face: Face, request: Request) -> dict[str, Any]:
    """Let in what the permissions say."""
    return await _authorize(face, request, is_egress=False)


@ec2("AuthorizeSecurityGroupEgress", ignores=_OWNER)
async def authorize_egress(face: Face, request: Request) -> dict[str, Any]:
    """Let out what the permissions say."""
    return await _authorize(face, request, is_egress=True)


@ec2("RevokeSecurityGroupIngress", ignores=_OWNER)
async def revoke_ingress(face: Face, request: Request) -> dict[str, Any]:
    """Let in no more what the permissions, or the rules of the ids, said."""
    return await _revoke(face, request, is_egress=False)


@ec2("RevokeSecurityGroupEgress", ignores=_OWNER)
async def revoke_egress(face: Face, request: Request) -> dict[str, Any]:
    """Let out no more what the permissions, or the rules of the ids, said."""
    return await _revoke(face, request, is_egress=True)


async def _authorize(face: Face, request: Request, *, is_egress: bool) -> dict[str, Any]:
    group = await find_group(face, request)
    asked = await _asked(face, request, group, is_egress=is_egress)
    if not asked:
        told = "The request must contain the parameter ipPermissions"
        raise AwsError("MissingParameter", told, 400)
    tags = asked_tags(request, "security-group-rule")
    made = [{"SecurityGroupRuleId": new_id(face, "sgr"), **rule, "Tags": tags} for rule in asked]

    def add(body: Body) -> Body:
        rules = [*body["Rules"]]
        for rule in made:
            if identity(rule) in {identity(other) for other in rules}:
                told = f'the specified rule "{words(rule)}" already exists'
                raise AwsError("InvalidPermission.Duplicate", told, 400)
            rules.append(rule)
        if sum(rule["IsEgress"] is is_egress for rule in rules) > RULES_MAX:
            told = "The maximum number of rules per security group has been reached."
            raise AwsError("RulesPerSecurityGroupLimitExceeded", told, 400)
        return {**body, "Rules": rules}

    await change(face, GROUP, group["GroupId"], add)
    shown = [shown_rule(face, group["GroupId"], rule) for rule in made]
    return {"Return": True, "SecurityGroupRules": shown}


async def _revoke(face: Face, request: Request, *, is_egress: bool) -> dict[str, Any]:
    group = await find_group(face, request)
    ids = set(request.get("SecurityGroupRuleIds") or ())
    asked = await _asked(face, request, group, is_egress=is_egress)
    wanted = {identity(rule) for rule in asked}
    revoked: list[Rule] = []

    def remove(body: Body) -> Body:
        own = [rule for rule in body["Rules"] if rule["IsEgress"] is is_egress]
        missing = ids - {rule["SecurityGroupRuleId"] for rule in own}
        if missing:
            raise _no_rule(min(missing))
        gone = [r for r in own if r["SecurityGroupRuleId"] in ids or identity(r) in wanted]
        if wanted and not {identity(rule) for rule in gone} & wanted:
            told = "The specified rule does not exist in this security group."
            raise AwsError("InvalidPermission.NotFound", told, 400)
        revoked[:] = gone
        return {**body, "Rules": [rule for rule in body["Rules"] if rule not in gone]}

    await change(face, GROUP, group["GroupId"], remove)
    done = {identity(rule) for rule in revoked}
    unknown = [rule for rule in asked if identity(rule) not in done]
    return {
        "Return": True,
        "UnknownIpPermissions": collapse(unknown, face.account_id),
        "RevokedSecurityGroupRules": [_revoked(group["GroupId"], rule) for rule in revoked],
    }


async def _asked(
    face: Face, request: Request, group: Mapping[str, Any], *, is_egress: bool
) -> list[Rule]:
    """The rules of IpPermissions, or of the members beside it that say one."""
    groups = await bodies(face, GROUP)
    names = {body["GroupName"]: body["GroupId"] for body in groups if body["VpcId"] == group["VpcId"]}  # fmt: skip
    known = {body["GroupId"] for body in groups}

    def group_id(named: str) -> str:
        found = named if named in known else names.get(named)
        if found is None:
            told = f"You have specified two resources that belong to different networks, or the security group '{named}' does not exist"
            raise AwsError("InvalidGroup.NotFound", told, 400)
        return found

    permissions = [*(request.get("IpPermissions") or ())]
    source = request.get("SourceSecurityGroupName")
    if source:
        found = await named_group(face, source, group["VpcId"])
        pair = {"GroupId": found["GroupId"]}
        whole = {"IpProtocol": "-1", "UserIdGroupPairs": [pair]}
        permissions.append({**whole, **{m: request[m] for m in _FLAT[:3] if request.get(m) is not None}})  # fmt: skip
    elif request.get("CidrIp") or request.get("IpProtocol"):
        flat = {member: request.get(member) for member in _FLAT}
        ranges = [{"CidrIp": flat["CidrIp"]}] if flat["CidrIp"] else []
        permissions.append({**flat, "IpRanges": ranges})
    return expand(permissions, is_egress=is_egress, group_id=group_id)


@ec2("ModifySecurityGroupRules")
async def modify_security_group_rules(face: Face, request: Request) -> dict[str, Any]:
    """Replace rules by id; each keeps its direction."""
    updates = {each["SecurityGroupRuleId"]: each.get("SecurityGroupRule") or {} for each in request["SecurityGroupRules"]}  # fmt: skip

    def by(body: Body) -> Body:
        missing = updates.keys() - {rule["SecurityGroupRuleId"] for rule in body["Rules"]}
        if missing:
            raise _no_rule(min(missing))
        rules = [_modified(rule, updates.get(rule["SecurityGroupRuleId"])) for rule in body["Rules"]]  # fmt: skip
        if len({identity(rule) for rule in rules}) < len(rules):
            raise AwsError("InvalidPermission.Duplicate", "The rules would be the same.", 400)
        return {**body, "Rules": rules}

    await change(face, GROUP, request["GroupId"], by)
    return {"Return": True}


def _modified(rule: Rule, update: Mapping[str, Any] | None) -> Rule:
    if update is None:
        return rule
    peers = {
        "CidrIpv4": block(update["CidrIpv4"], 4) if update.get("CidrIpv4") else "",
        "CidrIpv6": block(update["CidrIpv6"], 6) if update.get("CidrIpv6") else "",
        "PrefixListId": update.get("PrefixListId") or "",
        "ReferencedGroupId": update.get("ReferencedGroupId") or "",
    }
    if sum(bool(peer) for peer in peers.values()) != 1:
        told = "Specify exactly one of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupId."
        raise AwsError("InvalidParameterCombination", told, 400)
    return {**rule, **span(update), **peers, "Description": update.get("Description") or ""}


@ec2("UpdateSecurityGroupRuleDescriptionsIngress")
async def update_ingress_descriptions(face: Face, request: Request) -> dict[str, Any]:
    """Describe rules anew."""
    return await _describe_anew(face, request, is_egress=False)


@ec2("UpdateSecurityGroupRuleDescriptionsEgress")
async def update_egress_descriptions(face: Face, request: Request) -> dict[str, Any]:
    """Describe rules anew."""
    return await _describe_anew(face, request, is_egress=True)


async def _describe_anew(face: Face, request: Request, *, is_egress: bool) -> dict[str, Any]:
    group = await find_group(face, request)
    asked = await _asked(face, request, group, is_egress=is_egress)
    by_rule = {identity(rule): rule["Description"] for rule in asked}
    given = request.get("SecurityGroupRuleDescriptions") or ()
    by_id = {each.get("SecurityGroupRuleId"): each.get("Description") or "" for each in given}

    def by(body: Body) -> Body:
        known = {identity(rule) for rule in body["Rules"]}
        if by_rule.keys() - known:
            told = "The specified rule does not exist in this security group."
            raise AwsError("InvalidPermission.NotFound", told, 400)
        rules = [
            {
                **rule,
                "Description": by_id.get(
                    rule["SecurityGroupRuleId"],
                    by_rule.get(identity(rule), rule.get("Description", "")),
                ),
            }
            for rule in body["Rules"]
        ]
        return {**body, "Rules": rules}

    await change(face, GROUP, group["GroupId"], by)
    return {"Return": True}


@ec2("DescribeSecurityGroupRules")
async def describe_security_group_rules(face: Face, request: Request) -> dict[str, Any]:
    """Single rules, by id and filter."""
    rules = [
        {**rule, "GroupId": body["GroupId"]}
        for body in await bodies(face, GROUP)
        for rule in body["Rules"]
    ]
    wanted = set(request.get("SecurityGroupRuleIds") or ())
    missing = wanted - {rule["SecurityGroupRuleId"] for rule in rules}
    if missing:
        raise _no_rule(min(missing))
    named = [rule for rule in rules if not wanted or rule["SecurityGroupRuleId"] in wanted]
    found = matching(request, named, _fields)
    return listing(
        request,
        "SecurityGroupRules",
        found,
        "SecurityGroupRuleId",
        lambda rule: shown_rule(face, rule["GroupId"], rule),
    )


async def group_of_rule(face: Face, rule_id: str) -> str:
    """The group that has a rule."""
    for body in await bodies(face, GROUP):
        if any(rule["SecurityGroupRuleId"] == rule_id for rule in body["Rules"]):
            return (await find(face, GROUP, body["GroupId"]))["GroupId"]
    raise _no_rule(rule_id)


def _no_rule(rule_id: str) -> AwsError:
    told = f"The security group rule ID '{rule_id}' does not exist"
    return AwsError("InvalidSecurityGroupRuleId.NotFound", told, 400)


def _fields(rule: Mapping[str, Any]) -> Fields:
    return {
        "group-id": (rule["GroupId"],),
        "security-group-rule-id": (rule["SecurityGroupRuleId"],),
        "is-egress": flag(rule["IsEgress"]),
    }


def shown_rule(face: Face, group_id: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as an answer has it."""
    referenced = rule.get("ReferencedGroupId")
    rule_id = rule["SecurityGroupRuleId"]
    return {
        "SecurityGroupRuleId": rule_id,
        "GroupId": group_id,
        "GroupOwnerId": face.account_id,
        "IsEgress": rule["IsEgress"],
        "IpProtocol": rule["IpProtocol"],
        "FromPort": rule["FromPort"],
        "ToPort": rule["ToPort"],
        "CidrIpv4": rule.get("CidrIpv4") or None,
        "CidrIpv6": rule.get("CidrIpv6") or None,
        "PrefixListId": rule.get("PrefixListId") or None,
        "ReferencedGroupInfo": {"GroupId": referenced, "UserId": face.account_id} if referenced else None,
        "Description": rule.get("Description") or None,
        "Tags": rule.get("Tags", []),
        "SecurityGroupRuleArn": face.arn("ec2", f"security-group-rule/{rule_id}"),
    }  # fmt: skip


def _revoked(group_id: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    members = ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId", "Description")
    return {
        **{name: rule[name] for name in ("SecurityGroupRuleId", "IsEgress", "IpProtocol", "FromPort", "ToPort")},
        **{name: rule.get(name) or None for name in members},
        "GroupId": group_id,
    }  # fmt: skip
