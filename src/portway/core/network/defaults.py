"""What an account has before anybody made anything: a VPC with two subnets, and what belongs to it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

VPC, SUBNET, GROUP, ACL = "ec2.vpc", "ec2.subnet", "ec2.security-group", "ec2.network-acl"
GATEWAY, ROUTE_TABLE, INSTANCE = "ec2.internet-gateway", "ec2.route-table", "ec2.instance"
DEFAULT_CIDR = "172.31.0.0/16"
ZONES = ("a", "b")
ANYWHERE = "0.0.0.0/0"
LAST_ENTRY = 32767  # denies what no entry allowed; nobody can change it
LAPTOP_RULE = (
    "portway: whoever balances may reach this machine. Revoke it to have AWS's own default"
)

Body = dict[str, Any]
Made = tuple[str, str, Body]  # kind, key, body

_ID_LENGTH = 17
_WORDS = ("north", "south", "east", "west", "central")


def object_id(prefix: str, of: str) -> str:
    """vpc-0123456789abcdef0, always the same of the same."""
    return f"{prefix}-{hashlib.sha256(f'{prefix}{of}'.encode()).hexdigest()[:_ID_LENGTH]}"


def default_vpc_id(home_id: str) -> str:
    """The VPC that the nodes are in."""
    return object_id("vpc", f"{home_id}default")


def default_group_id(vpc_id: str) -> str:
    """The group "default" of a VPC."""
    return object_id("sg", f"{vpc_id}default")


def default_subnet_id(home_id: str, zone: str) -> str:
    """The subnet of the default VPC in a zone, "a" or "b"."""
    return object_id("subnet", f"{home_id}{zone}")


def zone_id(region: str, zone: str) -> str:
    """use1-az1 of us-east-1 and "a"."""
    area, *middle, number = region.split("-")
    letters = "".join(word[0] for text in middle for word in _words(text))
    return f"{area}{letters}{number}-az{ord(zone[-1]) - ord('a') + 1}"


def _words(text: str) -> Iterator[str]:
    """ "southeast" is two words."""
    while text:
        word = next((word for word in _WORDS if text.startswith(word)), text)
        yield word
        text = text[len(word) :]


def default_network(*, home_id: str, region: str) -> tuple[Made, ...]:
    """Everything of the default VPC. The nodes are in its first subnet and its group "default"."""
    vpc_id = default_vpc_id(home_id)
    gateway_id = object_id("igw", home_id)
    gateway = {"InternetGatewayId": gateway_id, "VpcId": vpc_id, "Tags": []}
    blocks = IPv4Network(DEFAULT_CIDR).subnets(new_prefix=20)
    subnets = [
        subnet(
            subnet_id=default_subnet_id(home_id, zone),
            vpc_id=vpc_id,
            cidr=str(block),
            zone=f"{region}{zone}",
            is_default=True,
        )
        for zone, block in zip(ZONES, blocks, strict=False)
    ]
    return (
        *new_vpc(vpc_id=vpc_id, cidr=DEFAULT_CIDR, is_default=True, gateway_id=gateway_id),
        *subnets,
        (GATEWAY, gateway_id, gateway),
    )


def new_vpc(
    *, vpc_id: str, cidr: str, is_default: bool = False, gateway_id: str = ""
) -> tuple[Made, ...]:
    """A VPC with its group "default", its ACL and its route table, as each comes with them."""
    vpc = {
        "VpcId": vpc_id,
        "CidrBlock": cidr,
        "IsDefault": is_default,
        "DnsSupport": True,
        "DnsHostnames": is_default,
        "AddressMetrics": False,
        "Tags": [],
    }
    group_id = default_group_id(vpc_id)
    ingress = [rule(group_id, is_egress=False, group=group_id)]
    if is_default:
        ingress.append(
            rule(
                group_id,
                is_egress=False,
                protocol="tcp",
                first=0,
                last=65535,
                cidr=ANYWHERE,
                description=LAPTOP_RULE,
            )
        )
    table_id = object_id("rtb", vpc_id)
    routes = [{"DestinationCidrBlock": cidr, "GatewayId": "local", "Origin": "CreateRouteTable"}]
    if gateway_id:
        routes.append(
            {"DestinationCidrBlock": ANYWHERE, "GatewayId": gateway_id, "Origin": "CreateRoute"}
        )
    return (
        (VPC, vpc_id, vpc),
        security_group(
            group_id, vpc_id, name="default", description="default VPC security group", rules=ingress
        ),
        network_acl(object_id("acl", vpc_id), vpc_id, is_default=True),
        route_table(table_id, vpc_id, routes, is_main=True),
    )  # fmt: skip


def subnet(*, subnet_id: str, vpc_id: str, cidr: str, zone: str, is_default: bool = False) -> Made:
    """A subnet, behind the ACL of its VPC."""
    body = {
        "SubnetId": subnet_id,
        "VpcId": vpc_id,
        "CidrBlock": cidr,
        "AvailabilityZone": zone,
        "DefaultForAz": is_default,
        "MapPublicIpOnLaunch": is_default,
        "AclId": object_id("acl", vpc_id),
        "AclAssociationId": object_id("aclassoc", subnet_id),
        "Tags": [],
    }
    return SUBNET, subnet_id, body


def security_group(
    group_id: str, vpc_id: str, *, name: str, description: str, rules: list[Body]
) -> Made:
    """A group that lets everything out, and in what `rules` say."""
    body = {
        "GroupId": group_id,
        "GroupName": name,
        "Description": description,
        "VpcId": vpc_id,
        "Rules": [*rules, rule(group_id, is_egress=True, cidr=ANYWHERE)],
        "Tags": [],
    }
    return GROUP, group_id, body


def rule(
    group_id: str,
    *,
    is_egress: bool,
    protocol: str = "-1",
    first: int = -1,
    last: int = -1,
    cidr: str = "",
    group: str = "",
    description: str = "",
) -> Body:
    """One rule of a group, to or from a block or another group."""
    what = f"{group_id}{is_egress}{protocol}{first}{last}{cidr}{group}"
    return {
        "SecurityGroupRuleId": object_id("sgr", what),
        "IsEgress": is_egress,
        "IpProtocol": protocol,
        "FromPort": first,
        "ToPort": last,
        "CidrIpv4": cidr,
        "ReferencedGroupId": group,
        "Description": description,
        "Tags": [],
    }


def network_acl(acl_id: str, vpc_id: str, *, is_default: bool = False) -> Made:
    """An ACL: a VPC's own allows everything, another one nothing until it has entries."""
    last = [entry(LAST_ENTRY, is_egress=side, allows=False) for side in (True, False)]
    first = [entry(100, is_egress=side, allows=True) for side in (True, False)]
    body = {
        "NetworkAclId": acl_id,
        "VpcId": vpc_id,
        "IsDefault": is_default,
        "Entries": [*(first if is_default else []), *last],
        "Tags": [],
    }
    return ACL, acl_id, body


def entry(number: int, *, is_egress: bool, allows: bool) -> Body:
    """An entry about everything."""
    return {
        "RuleNumber": number,
        "Egress": is_egress,
        "RuleAction": "allow" if allows else "deny",
        "Protocol": "-1",
        "CidrBlock": ANYWHERE,
    }


def route_table(
    table_id: str, vpc_id: str, routes: list[dict[str, str]], *, is_main: bool = False
) -> Made:
    """A route table; the main one is everyone's who has no other."""
    associations: list[Body] = []
    if is_main:
        associations.append({"RouteTableAssociationId": object_id("rtbassoc", table_id), "Main": True})  # fmt: skip
    body = {
        "RouteTableId": table_id,
        "VpcId": vpc_id,
        "Routes": routes,
        "Associations": associations,
        "Tags": [],
    }
    return ROUTE_TABLE, table_id, body
