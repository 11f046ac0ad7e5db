"""Subnets: parts of a VPC's block, each in a zone and behind a network ACL."""

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
    origins_in_use,
)
from portway.api.aws.ec2.vpcs import check_block
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request
from portway.core.network.defaults import (
    ROUTE_TABLE,
    SUBNET,
    VPC,
    ZONES,
    default_subnet_id,
    subnet,
    zone_id,
)
from portway.core.network.model import lies_in

_RESERVED_ADDRESSES = 5
_NO_IPV6 = "its networks are IPv4"
_NO_EFFECT = (
    "EnableDns64", "PrivateDnsHostnameTypeOnLaunch", "EnableResourceNameDnsARecordOnLaunch",
    "EnableResourceNameDnsAAAARecordOnLaunch", "MapCustomerOwnedIpOnLaunch", "CustomerOwnedIpv4Pool",
    "EnableLniAtDeviceIndex", "DisableLniAtDeviceIndex", "AssignIpv6AddressOnCreation",
)  # fmt: skip


@ec2(
    "CreateSubnet",
    refuses={
        "Ipv6CidrBlock": _NO_IPV6,
        "Ipv6IpamPoolId": _NO_IPV6,
        "Ipv6NetmaskLength": _NO_IPV6,
        "OutpostArn": "it has no Outposts",
        "Ipv4IpamPoolId": "it has no IPAM; give CidrBlock",
        "Ipv4NetmaskLength": "it has no IPAM; give CidrBlock",
    },
    ignores=("Ipv6Native",),
)
async def create_subnet(face: Face, request: Request) -> dict[str, Any]:
    """Make a subnet within its VPC's block, and clear of the others there."""
    vpc = await find(face, VPC, request["VpcId"])
    cidr = request.get("CidrBlock")
    if not cidr:
        raise AwsError("MissingParameter", "The request must contain the parameter CidrBlock", 400)
    check_block(cidr, "InvalidSubnet.Range")
    if not lies_in(cidr, vpc["CidrBlock"]):
        raise AwsError("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.", 400)
    others = await bodies(face, SUBNET, VpcId=vpc["VpcId"])
    if any(ip_network(cidr).overlaps(ip_network(body["CidrBlock"])) for body in others):
        raise AwsError("InvalidSubnet.Conflict", f"The CIDR '{cidr}' conflicts with another subnet", 400)  # fmt: skip
    tags = asked_tags(request, "subnet")
    zone = _zone(face, request)
    kind, key, body = subnet(subnet_id=new_id(face, "subnet"), vpc_id=vpc["VpcId"], cidr=cidr, zone=zone)  # fmt: skip
    made = await face.documents.put(kind, key, {**body, "Tags": tags}, 0)
    return {"Subnet": _shown(face, made.body)}


def _zone(face: Face, request: Request) -> str:
    names = {zone_id(face.region, zone): f"{face.region}{zone}" for zone in ZONES}
    wanted = request.get("AvailabilityZone") or names.get(request.get("AvailabilityZoneId", ""))
    if wanted is None:
        wanted = request.get("AvailabilityZoneId") or f"{face.region}{ZONES[0]}"
    if wanted not in names.values():
        listed = ", ".join(sorted(names.values()))
        told = (
            f"Value ({wanted}) for parameter availabilityZone is invalid. "
            f"Subnets can currently only be created in the following availability zones: {listed}."
        )
        raise AwsError("InvalidParameterValue", told, 400)
    return wanted


@ec2("DescribeSubnets")
async def describe_subnets(face: Face, request: Request) -> dict[str, Any]:
    """Subnets, by id and filter."""
    named = only(request, SUBNET, "SubnetIds", "SubnetId", await bodies(face, SUBNET))
    found = matching(request, named, _fields)
    return listing(request, "Subnets", found, "SubnetId", lambda body: _shown(face, body))


@ec2("ModifySubnetAttribute", ignores=_NO_EFFECT)
async def modify_subnet_attribute(face: Face, request: Request) -> dict[str, Any]:
    """Keep whether instances of a subnet get public addresses; nothing gives them any."""
    given = (request.get("MapPublicIpOnLaunch") or {}).get("Value")

    def by(body: dict[str, Any]) -> dict[str, Any]:
        return body if given is None else {**body, "MapPublicIpOnLaunch": given}

    await change(face, SUBNET, request["SubnetId"], by)
    return {}


@ec2("DeleteSubnet")
async def delete_subnet(face: Face, request: Request) -> dict[str, Any]:
    """Forget a subnet that no load balancer, no node and no task is in."""
    subnet_id = request["SubnetId"]
    await find(face, SUBNET, subnet_id)
    if subnet_id == default_subnet_id(face.home_id, ZONES[0]):
        raise in_use("subnet", subnet_id)  # the nodes are in it
    for kind in ("elbv2.load-balancer", "elb.load-balancer"):
        for document in await face.documents.list(kind):
            if any(subnet_id in zone for zone in document.body.get("zones", ())):
                raise in_use("subnet", subnet_id)
    for table in await bodies(face, ROUTE_TABLE):
        if any(each.get("SubnetId") == subnet_id for each in table["Associations"]):
            raise in_use("subnet", subnet_id)
    if any(origin.subnet == subnet_id for origin in await origins_in_use(face)):
        raise in_use("subnet", subnet_id)
    await face.documents.delete(SUBNET, subnet_id)
    return {}


def _fields(body: Mapping[str, Any]) -> Fields:
    return {
        "subnet-id": (body["SubnetId"],),
        "vpc-id": (body["VpcId"],),
        "cidr-block": (body["CidrBlock"],),
        "cidrBlock": (body["CidrBlock"],),
        "cidr": (body["CidrBlock"],),
        "availability-zone": (body["AvailabilityZone"],),
        "availabilityZone": (body["AvailabilityZone"],),
        "availability-zone-id": (_zone_id(body),),
        "default-for-az": flag(body["DefaultForAz"]),
        "defaultForAz": flag(body["DefaultForAz"]),
        "map-public-ip-on-launch": flag(body["MapPublicIpOnLaunch"]),
        "state": ("available",),
    }


def _zone_id(body: Mapping[str, Any]) -> str:
    zone = body["AvailabilityZone"]
    return zone_id(zone[:-1], zone[-1])


def _shown(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    size = ip_network(body["CidrBlock"]).num_addresses
    return {
        "SubnetId": body["SubnetId"],
        "SubnetArn": face.arn("ec2", f"subnet/{body['SubnetId']}"),
        "VpcId": body["VpcId"],
        "State": "available",
        "CidrBlock": body["CidrBlock"],
        "AvailabilityZone": body["AvailabilityZone"],
        "AvailabilityZoneId": _zone_id(body),
        "AvailableIpAddressCount": max(0, size - _RESERVED_ADDRESSES),
        "DefaultForAz": body["DefaultForAz"],
        "MapPublicIpOnLaunch": body["MapPublicIpOnLaunch"],
        "AssignIpv6AddressOnCreation": False,
        "Ipv6CidrBlockAssociationSet": [],
        "Ipv6Native": False,
        "EnableDns64": False,
        "OwnerId": face.account_id,
        "Tags": body["Tags"],
    }
