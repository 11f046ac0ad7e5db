"""Network ACLs: what may cross the edge of a subnet. Target health is checked by them; no packet is."""

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
    in_use,
    listing,
    matching,
    new_id,
    only,
)
from portway.api.aws.ec2.permissions import block
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import Body
from portway.api.aws.operation import Request
from portway.core.network.defaults import ACL, LAST_ENTRY, SUBNET, VPC, network_acl
from portway.core.network.model import NUMBER_MAX, protocol_name

_ENTRIES_MAX = 20  # in one direction, but for the last
_NUMBERS = {"tcp": "6", "udp": "17", "icmp": "1", "icmpv6": "58"}


@ec2("CreateNetworkAcl", ignores=("ClientToken",))
async def create_network_acl(face: Face, request: Request) -> dict[str, Any]:
    """Make an ACL that allows nothing until it has entries."""
    await find(face, VPC, request["VpcId"])
    tags = asked_tags(request, "network-acl")
    kind, key, body = network_acl(new_id(face, "acl"), request["VpcId"])
    made = await face.documents.put(kind, key, {**body, "Tags": tags}, 0)
    return {"NetworkAcl": await _shown(face, made.body)}


@ec2("DescribeNetworkAcls")
async def describe_network_acls(face: Face, request: Request) -> dict[str, Any]:
    """ACLs with their entries and subnets, by id and filter."""
    named = only(request, ACL, "NetworkAclIds", "NetworkAclId", await bodies(face, ACL))
    shown = [await _shown(face, body) for body in named]
    found = matching(request, shown, _fields)
    return listing(request, "NetworkAcls", found, "NetworkAclId", lambda body: body)


@ec2("DeleteNetworkAcl")
async def delete_network_acl(face: Face, request: Request) -> dict[str, Any]:
    """Forget an ACL that no subnet is behind; a VPC's own stays."""
    key = request["NetworkAclId"]
    body = await find(face, ACL, key)
    if body["IsDefault"]:
        told = f"cannot delete default network ACL {key}"
        raise AwsError("InvalidParameterValue", told, 400)
    if await bodies(face, SUBNET, AclId=key):
        raise in_use("networkAcl", key)
    await face.documents.delete(ACL, key)
    return {}


@ec2("CreateNetworkAclEntry")
async def create_network_acl_entry(face: Face, request: Request) -> dict[str, Any]:
    """Add an entry; its number says when it is looked at."""
    made = _entry(request)

    def by(body: Body) -> Body:
        if any(_is(entry, request) for entry in body["Entries"]):
            told = f"The network acl entry identified by {request['RuleNumber']} already exists."
            raise AwsError("NetworkAclEntryAlreadyExists", told, 400)
        if sum(entry["Egress"] is made["Egress"] for entry in body["Entries"]) > _ENTRIES_MAX:
            told = "The maximum number of network acl entries has been reached."
            raise AwsError("NetworkAclEntryLimitExceeded", told, 400)
        entries = sorted([*body["Entries"], made], key=lambda e: (not e["Egress"], e["RuleNumber"]))
        return {**body, "Entries": entries}

    await change(face, ACL, request["NetworkAclId"], by)
    return {}


@ec2("ReplaceNetworkAclEntry")
async def replace_network_acl_entry(face: Face, request: Request) -> dict[str, Any]:
    """Have an entry say something else."""
    made = _entry(request)

    def by(body: Body) -> Body:
        _check_there(body, request)
        entries = [made if _is(entry, request) else entry for entry in body["Entries"]]
        return {**body, "Entries": entries}

    await change(face, ACL, request["NetworkAclId"], by)
    return {}


@ec2("DeleteNetworkAclEntry")
async def delete_network_acl_entry(face: Face, request: Request) -> dict[str, Any]:
    """Remove an entry."""

    def by(body: Body) -> Body:
        _check_there(body, request)
        entries = [entry for entry in body["Entries"] if not _is(entry, request)]
        return {**body, "Entries": entries}

    _check_number(request)
    await change(face, ACL, request["NetworkAclId"], by)
    return {}


@ec2("ReplaceNetworkAclAssociation")
async def replace_network_acl_association(face: Face, request: Request) -> dict[str, Any]:
    """Put a subnet behind another ACL of its VPC."""
    association, key = request["AssociationId"], request["NetworkAclId"]
    acl = await find(face, ACL, key)
    found = await bodies(face, SUBNET, AclAssociationId=association)
    if not found:
        told = f"The association ID '{association}' does not exist"
        raise AwsError("InvalidAssociationID.NotFound", told, 400)
    if found[0]["VpcId"] != acl["VpcId"]:
        told = f"The network ACL '{key}' and the subnet '{found[0]['SubnetId']}' belong to different networks."
        raise AwsError("InvalidParameterValue", told, 400)
    made = new_id(face, "aclassoc")

    def by(body: Body) -> Body:
        return {**body, "AclId": key, "AclAssociationId": made}

    await change(face, SUBNET, found[0]["SubnetId"], by)
    return {"NewAssociationId": made}


def _is(entry: Mapping[str, Any], request: Request) -> bool:
    return (entry["Egress"], entry["RuleNumber"]) == (request["Egress"], request["RuleNumber"])


def _check_there(body: Body, request: Request) -> None:
    if not any(_is(entry, request) for entry in body["Entries"]):
        told = f"The network acl entry identified by {request['RuleNumber']} does not exist"
        raise AwsError("InvalidNetworkAclEntry.NotFound", told, 400)


def _check_number(request: Request) -> None:
    if not 1 <= request["RuleNumber"] < LAST_ENTRY:
        told = f"Value ({request['RuleNumber']}) for parameter ruleNumber is invalid. It must be from 1 to 32766."
        raise AwsError("InvalidParameterValue", told, 400)


def _entry(request: Request) -> Body:
    _check_number(request)
    protocol = protocol_name(request["Protocol"])
    entry: Body = {
        "RuleNumber": request["RuleNumber"],
        "Egress": request["Egress"],
        "RuleAction": request["RuleAction"],
        "Protocol": _NUMBERS.get(protocol, protocol),
    }
    cidr, cidr6 = request.get("CidrBlock"), request.get("Ipv6CidrBlock")
    if bool(cidr) is bool(cidr6):
        told = "Specify either cidrBlock or ipv6CidrBlock."
        raise AwsError("MissingParameter" if not cidr else "InvalidParameterCombination", told, 400)
    member = "CidrBlock" if cidr else "Ipv6CidrBlock"
    entry[member] = block(cidr or cidr6, 4 if cidr else 6)
    if protocol in ("tcp", "udp"):
        entry["PortRange"] = _span(request)
    if request.get("IcmpTypeCode"):
        entry["IcmpTypeCode"] = dict(request["IcmpTypeCode"])
    return entry


def _span(request: Request) -> dict[str, int]:
    given = request.get("PortRange") or {}
    first, last = given.get("From"), given.get("To")
    if first is None or last is None:
        told = "The parameter PortRange.From and PortRange.To must be specified for TCP and UDP"
        raise AwsError("MissingParameter", told, 400)
    if not 0 <= first <= last <= NUMBER_MAX:
        raise AwsError("InvalidParameterValue", f"Invalid TCP/UDP port range ({first}:{last})", 400)
    return {"From": first, "To": last}


def _fields(body: Mapping[str, Any]) -> Fields:
    associations = body["Associations"]
    return {
        "network-acl-id": (body["NetworkAclId"],),
        "vpc-id": (body["VpcId"],),
        "default": flag(body["IsDefault"]),
        "owner-id": (body["OwnerId"],),
        "association.subnet-id": [each["SubnetId"] for each in associations],
        "association.network-acl-id": [each["NetworkAclId"] for each in associations],
        "association.association-id": [each["NetworkAclAssociationId"] for each in associations],
        "entry.cidr": [each["CidrBlock"] for each in body["Entries"] if each.get("CidrBlock")],
        "entry.rule-action": [each["RuleAction"] for each in body["Entries"]],
    }


async def _shown(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    key = body["NetworkAclId"]
    associations = [
        {
            "NetworkAclAssociationId": subnet["AclAssociationId"],
            "NetworkAclId": key,
            "SubnetId": subnet["SubnetId"],
        }
        for subnet in await bodies(face, SUBNET, AclId=key)
    ]
    return {
        "NetworkAclId": key,
        "VpcId": body["VpcId"],
        "IsDefault": body["IsDefault"],
        "OwnerId": face.account_id,
        "Entries": body["Entries"],
        "Associations": associations,
        "Tags": body["Tags"],
    }
