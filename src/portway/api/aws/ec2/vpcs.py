"""VPCs and zones. A VPC is a name and a block of addresses: instances stay where they are."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
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
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request
from portway.core.network.defaults import (
    ACL,
    GATEWAY,
    GROUP,
    ROUTE_TABLE,
    SUBNET,
    VPC,
    ZONES,
    new_vpc,
    object_id,
    zone_id,
)

_PREFIXES = range(16, 29)
_ATTRIBUTES = {
    "enableDnsSupport": ("EnableDnsSupport", "DnsSupport"),
    "enableDnsHostnames": ("EnableDnsHostnames", "DnsHostnames"),
    "enableNetworkAddressUsageMetrics": ("EnableNetworkAddressUsageMetrics", "AddressMetrics"),
}
_IPV6 = ("Ipv6Pool", "Ipv6CidrBlock", "Ipv6IpamPoolId", "Ipv6NetmaskLength", "Ipv6CidrBlockNetworkBorderGroup")  # fmt: skip
_LIMITS = {
    "supported-platforms": "VPC",
    "max-instances": "1000",
    "vpc-max-security-groups-per-interface": "5",
    "max-elastic-ips": "0",
    "vpc-max-elastic-ips": "0",
}


def check_block(cidr: str, code: str) -> None:
    """The refusal of a block that is none, or not of a size AWS has."""
    try:
        block = ip_network(cidr)
    except ValueError:
        told = f"Value ({cidr}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        raise AwsError("InvalidParameterValue", told, 400) from None
    if block.version != 4 or block.prefixlen not in _PREFIXES:  # noqa: PLR2004  (IPv4)
        raise AwsError(code, f"The CIDR '{cidr}' is invalid.", 400)


@ec2(
    "CreateVpc",
    ignores=("InstanceTenancy", "VpcEncryptionControl"),
    refuses={
        **dict.fromkeys(_IPV6, "its networks are IPv4"),
        "Ipv4IpamPoolId": "it has no IPAM; give CidrBlock",
        "Ipv4NetmaskLength": "it has no IPAM; give CidrBlock",
    },
)
async def create_vpc(face: Face, request: Request) -> dict[str, Any]:
    """Make a VPC with its default group, its ACL and its route table."""
    cidr = request.get("CidrBlock")
    if not cidr:
        raise AwsError("MissingParameter", "Either 'cidrBlock' or 'ipv4IpamPoolId' should be provided.", 400)  # fmt: skip
    if request.get("AmazonProvidedIpv6CidrBlock"):
        raise AwsError("UnsupportedOperation", "portway's networks are IPv4.", 400)
    check_block(cidr, "InvalidVpc.Range")
    tags = asked_tags(request, "vpc")
    vpc_id = new_id(face, "vpc")
    made = {key: (kind, body) for kind, key, body in new_vpc(vpc_id=vpc_id, cidr=cidr)}
    made[vpc_id][1]["Tags"] = tags
    for key, (kind, body) in made.items():
        await face.documents.put(kind, key, body, 0)
    return {"Vpc": _shown(face, made[vpc_id][1])}


@ec2("DescribeVpcs")
async def describe_vpcs(face: Face, request: Request) -> dict[str, Any]:
    """VPCs, by id and filter."""
    named = only(request, VPC, "VpcIds", "VpcId", await bodies(face, VPC))
    found = matching(request, named, _fields)
    return listing(request, "Vpcs", found, "VpcId", lambda body: _shown(face, body))


@ec2("DescribeVpcAttribute")
async def describe_vpc_attribute(face: Face, request: Request) -> dict[str, Any]:
    """One attribute of a VPC."""
    body = await find(face, VPC, request["VpcId"])
    member, name = _ATTRIBUTES[request["Attribute"]]
    return {"VpcId": body["VpcId"], member: {"Value": body[name]}}


@ec2("ModifyVpcAttribute")
async def modify_vpc_attribute(face: Face, request: Request) -> dict[str, Any]:
    """Keep attributes of a VPC. They have no effect: names are resolved by this machine."""
    given = {
        name: value
        for member, name in _ATTRIBUTES.values()
        if (value := (request.get(member) or {}).get("Value")) is not None
    }
    await change(face, VPC, request["VpcId"], lambda body: {**body, **given})
    return {}


@ec2("DeleteVpc")
async def delete_vpc(face: Face, request: Request) -> dict[str, Any]:
    """Forget a VPC and what came with it; everything else in it must be gone before."""
    vpc_id = request["VpcId"]
    await find(face, VPC, vpc_id)
    own = {
        GROUP: object_id("sg", f"{vpc_id}default"),
        ACL: object_id("acl", vpc_id),
        ROUTE_TABLE: object_id("rtb", vpc_id),
    }
    for kind, key in ((SUBNET, "SubnetId"), (GATEWAY, "InternetGatewayId"), (GROUP, "GroupId"), (ACL, "NetworkAclId"), (ROUTE_TABLE, "RouteTableId")):  # fmt: skip
        if any(body[key] != own.get(kind) for body in await bodies(face, kind, VpcId=vpc_id)):
            raise in_use("vpc", vpc_id)
    await face.documents.delete(VPC, vpc_id)
    for kind, key in own.items():
        await face.documents.delete(kind, key)
    return {}


@ec2("DescribeAvailabilityZones", ignores=("AllAvailabilityZones",))
async def describe_availability_zones(face: Face, request: Request) -> dict[str, Any]:
    """The two zones of the region."""
    zones: list[dict[str, Any]] = [
        {
            "ZoneName": f"{face.region}{zone}",
            "ZoneId": zone_id(face.region, zone),
            "RegionName": face.region,
            "State": "available",
            "OptInStatus": "opt-in-not-required",
            "ZoneType": "availability-zone",
            "GroupName": f"{face.region}-zg-1",
            "NetworkBorderGroup": face.region,
            "Messages": [],
        }
        for zone in ZONES
    ]
    for member, key in (("ZoneNames", "ZoneName"), ("ZoneIds", "ZoneId")):
        wanted = request.get(member) or []
        unknown = set(wanted) - {zone[key] for zone in zones}
        if unknown:
            raise AwsError("InvalidParameterValue", f"Invalid availability zone: [{min(unknown)}]", 400)  # fmt: skip
        zones = [zone for zone in zones if not wanted or zone[key] in wanted]
    return {"AvailabilityZones": matching(request, zones, _zone_fields)}


def _zone_fields(zone: Mapping[str, Any]) -> Fields:
    return {
        "zone-name": (zone["ZoneName"],),
        "zone-id": (zone["ZoneId"],),
        "region-name": (zone["RegionName"],),
        "state": (zone["State"],),
        "opt-in-status": (zone["OptInStatus"],),
        "zone-type": (zone["ZoneType"],),
        "group-name": (zone["GroupName"],),
    }


@ec2("DescribeRegions", ignores=("AllRegions",))
async def describe_regions(face: Face, request: Request) -> dict[str, Any]:
    """The one region."""
    region = {
        "RegionName": face.region,
        "Endpoint": f"ec2.{face.region}.amazonaws.com",
        "OptInStatus": "opt-in-not-required",
    }
    if set(request.get("RegionNames") or []) - {face.region}:
        told = f"portway is one region, {face.region}."
        raise AwsError("InvalidParameterValue", told, 400)

    def fields(body: Mapping[str, Any]) -> Fields:
        return {
            "region-name": (body["RegionName"],),
            "endpoint": (body["Endpoint"],),
            "opt-in-status": (body["OptInStatus"],),
        }

    return {"Regions": matching(request, [region], fields)}


@ec2("DescribeAccountAttributes")
async def describe_account_attributes(face: Face, request: Request) -> dict[str, Any]:
    """What the account may have, and its default VPC."""
    default = next((vpc["VpcId"] for vpc in await bodies(face, VPC) if vpc["IsDefault"]), "none")
    values = {**_LIMITS, "default-vpc": default}
    wanted = request.get("AttributeNames") or list(values)
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": values[name]}]}
            for name in wanted
        ]
    }


def _fields(body: Mapping[str, Any]) -> Fields:
    return {
        "vpc-id": (body["VpcId"],),
        "cidr": (body["CidrBlock"],),
        "cidr-block-association.cidr-block": (body["CidrBlock"],),
        "is-default": flag(body["IsDefault"]),
        "isDefault": flag(body["IsDefault"]),
        "state": ("available",),
        "dhcp-options-id": ("default",),
    }


def _shown(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "VpcId": body["VpcId"],
        "State": "available",
        "CidrBlock": body["CidrBlock"],
        "DhcpOptionsId": "default",
        "InstanceTenancy": "default",
        "IsDefault": body["IsDefault"],
        "OwnerId": face.account_id,
        "Ipv6CidrBlockAssociationSet": [],
        "CidrBlockAssociationSet": [
            {
                "AssociationId": object_id("vpc-cidr-assoc", body["VpcId"]),
                "CidrBlock": body["CidrBlock"],
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "Tags": body["Tags"],
    }
