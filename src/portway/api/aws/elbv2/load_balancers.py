"""Load balancers: made, told, changed, deleted. Each answers on an address of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.api.aws.elbv2.common import (
    check_name,
    chosen,
    given_attributes,
    given_tags,
    invalid,
    listing,
    load_balancer,
    refused,
    registry_of,
    shown_attributes,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.controller.network.reading import ensure_network
from portway.core.balancing import attributes as keys
from portway.core.balancing.attributes import (
    BALANCER_ATTRIBUTES,
    attributes_for,
    balancer_attributes,
)
from portway.core.balancing.model import Kind, LoadBalancer
from portway.core.network.defaults import GROUP, SUBNET, default_group_id

_ZONE_ID = "Z35SXDOTRQ7X7K"
_IPV6 = "portway's load balancers have an IPv4 address."
_LOCAL = "the load balancer's address is one of this machine's."

Zones = tuple[tuple[str, str], ...]


@operation(
    "elbv2",
    "CreateLoadBalancer",
    ignores=("SubnetMappings", "EnablePrefixForIpv6SourceNat"),
    refuses={"CustomerOwnedIpv4Pool": _LOCAL, "IpamPools": _LOCAL},
)
async def create_load_balancer(face: Face, request: Request) -> dict[str, Any]:
    """Make one; the same settings again give the same one."""
    name, kind = request["Name"], _kind(request.get("Type", "application"))
    check_name(name, "Load balancer")
    _check_ip_type(request.get("IpAddressType", "ipv4"))
    await ensure_network(face.documents, home_id=face.home_id, region=face.region)
    zones, vpc_id = await _zones(face, _subnets(request), kind)
    groups = await _security_groups(face, request.get("SecurityGroups"), vpc_id, kind)
    registry = registry_of(face)
    async with registry.lock:
        wanted = LoadBalancer(
            arn=_arn(face, kind, name),
            name=name,
            kind=kind,
            scheme=request.get("Scheme", "internet-facing"),
            vpc_id=vpc_id,
            zones=zones,
            security_groups=groups,
            created_at_ms=face.now_ms(),
            tags=given_tags(request.get("Tags", [])),
        )
        known = next((b for b in registry.load_balancers.values() if b.name == name), None)
        if known is not None:
            if _settings(known) != _settings(wanted):
                raise refused("DuplicateLoadBalancerName", f"A load balancer with the same name '{name}' exists, but with different settings")  # fmt: skip
            return {"LoadBalancers": [shown(face, known)]}
        place = await face.operations.balancing.addresses.assign(
            wanted.arn, name, internal=wanted.scheme == "internal"
        )
        made = replace(wanted, address=place.address, dns_name=place.dns_name)
        await registry.put(made)
    face.operations.balancing.touch()
    return {"LoadBalancers": [{**shown(face, made), "State": {"Code": "provisioning"}}]}


def _kind(given: str) -> Kind:
    if given == "gateway":
        raise invalid("portway does not do load balancers of type 'gateway': they pass packets on, not connections.")  # fmt: skip
    return Kind(given)


def _check_ip_type(given: str) -> None:
    if given != "ipv4":
        raise invalid(f"portway does not do IpAddressType '{given}': {_IPV6}")


def _arn(face: Face, kind: Kind, name: str) -> str:
    short = "app" if kind is Kind.APPLICATION else "net"
    return face.arn("elasticloadbalancing", f"loadbalancer/{short}/{name}/{face.new_id(8)}")


def _settings(balancer: LoadBalancer) -> tuple[object, ...]:
    return balancer.kind, balancer.scheme, set(balancer.zones), set(balancer.security_groups), balancer.tags  # fmt: skip


def _subnets(request: Request) -> list[str]:
    mapped = [mapping.get("SubnetId") or "" for mapping in request.get("SubnetMappings", [])]
    given = request.get("Subnets", [])
    if mapped and given:
        raise refused("InvalidConfigurationRequest", "You can specify Subnets or SubnetMappings, not both")  # fmt: skip
    return list(dict.fromkeys(mapped or given))


async def _zones(face: Face, subnets: list[str], kind: Kind) -> tuple[Zones, str]:
    """(zone, subnet) of each subnet, and the VPC they are in."""
    found: list[tuple[str, str]] = []
    vpcs: list[str] = []
    for subnet_id in subnets:
        document = await face.documents.get(SUBNET, subnet_id)
        if document is None:
            raise refused("SubnetNotFound", f"The subnet ID '{subnet_id}' does not exist")
        found.append((document.body["AvailabilityZone"], subnet_id))
        vpcs.append(document.body["VpcId"])
    zones = [zone for zone, _ in found]
    if len(set(zones)) < len(zones):
        raise refused("InvalidConfigurationRequest", "A load balancer cannot be attached to multiple subnets in the same Availability Zone")  # fmt: skip
    if len(zones) < (2 if kind is Kind.APPLICATION else 1):
        if kind is Kind.APPLICATION:
            raise invalid("At least two subnets in two different Availability Zones must be specified")  # fmt: skip
        raise invalid("At least one subnet must be specified")
    if len(set(vpcs)) > 1:
        raise refused("InvalidConfigurationRequest", "All subnets must belong to the same VPC")
    return tuple(sorted(found)), vpcs[0]


async def _security_groups(
    face: Face, given: list[str] | None, vpc_id: str, kind: Kind
) -> tuple[str, ...]:
    if not given:
        return (default_group_id(vpc_id),) if kind is Kind.APPLICATION else ()
    for group_id in given:
        document = await face.documents.get(GROUP, group_id)
        if document is None:
            raise refused("InvalidSecurityGroup", f"Security group '{group_id}' does not exist")
        if document.body["VpcId"] != vpc_id:
            raise refused("InvalidConfigurationRequest", f"Security group '{group_id}' does not belong to VPC '{vpc_id}'")  # fmt: skip
    return tuple(dict.fromkeys(given))


def shown(face: Face, balancer: LoadBalancer) -> dict[str, Any]:
    """As DescribeLoadBalancers tells it; one of whose listeners cannot be bound is impaired, and says why."""
    why = face.operations.balancing.refusal(balancer)
    return {
        "LoadBalancerArn": balancer.arn,
        "DNSName": balancer.dns_name,
        "CanonicalHostedZoneId": _ZONE_ID,
        "CreatedTime": balancer.created_at_ms,
        "LoadBalancerName": balancer.name,
        "Scheme": balancer.scheme,
        "VpcId": balancer.vpc_id,
        "State": {"Code": "active_impaired", "Reason": why} if why else {"Code": "active"},
        "Type": balancer.kind.value,
        "AvailabilityZones": _shown_zones(balancer),
        "SecurityGroups": list(balancer.security_groups) or None,
        "IpAddressType": balancer.ip_address_type,
    }


def _shown_zones(balancer: LoadBalancer) -> list[dict[str, Any]]:
    has_addresses = balancer.kind is Kind.NETWORK
    addresses = [{"IpAddress": balancer.address}] if has_addresses else []
    return [
        {"ZoneName": zone, "SubnetId": subnet, "LoadBalancerAddresses": addresses}
        for zone, subnet in balancer.zones
    ]


def _missing(asked: str) -> AwsError:
    return refused("LoadBalancerNotFound", f"Load balancers '[{asked}]' not found")


@operation("elbv2", "DescribeLoadBalancers")
async def describe_load_balancers(face: Face, request: Request) -> dict[str, Any]:
    """By ARN, by name, or all."""
    found = chosen(
        registry_of(face).load_balancers.values(),
        request.get("LoadBalancerArns", []),
        request.get("Names", []),
        arn_of=lambda b: b.arn,
        name_of=lambda b: b.name,
        missing=_missing,
    )
    return listing(request, "LoadBalancers", found, lambda b: b.arn, lambda b: shown(face, b))


@operation("elbv2", "DeleteLoadBalancer")
async def delete_load_balancer(face: Face, request: Request) -> dict[str, Any]:
    """Delete it with its listeners and rules; one that is not there is deleted already."""
    registry = registry_of(face)
    async with registry.lock:
        balancer = registry.load_balancers.get(request["LoadBalancerArn"])
        if balancer is None:
            return {}
        if balancer_attributes(balancer)[keys.DELETION_PROTECTION] == "true":
            raise refused("OperationNotPermitted", f"Load balancer '{balancer.arn}' cannot be deleted because deletion protection is enabled")  # fmt: skip
        await registry.delete(balancer)
        await face.operations.balancing.addresses.release(balancer.arn)
    await face.operations.balancing.load_certificates()
    face.operations.balancing.touch()
    return {}


@operation("elbv2", "DescribeLoadBalancerAttributes")
async def describe_load_balancer_attributes(face: Face, request: Request) -> dict[str, Any]:
    """All attributes, whether they were set or not."""
    balancer = load_balancer(face, request["LoadBalancerArn"])
    return {"Attributes": shown_attributes(balancer_attributes(balancer))}


@operation("elbv2", "ModifyLoadBalancerAttributes")
async def modify_load_balancer_attributes(face: Face, request: Request) -> dict[str, Any]:
    """Set some; the others stay."""
    registry = registry_of(face)
    async with registry.lock:
        balancer = load_balancer(face, request["LoadBalancerArn"])
        known = attributes_for(BALANCER_ATTRIBUTES, balancer.kind)
        given = given_attributes(request, known, "Load balancer")
        changed = replace(balancer, attributes={**balancer.attributes, **given})
        await registry.put(changed)
    face.operations.balancing.touch()
    return {"Attributes": shown_attributes(balancer_attributes(changed))}


@operation(
    "elbv2",
    "SetSecurityGroups",
    ignores=("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic",),
)
async def set_security_groups(face: Face, request: Request) -> dict[str, Any]:
    """Replace them. An NLB made without has none for ever."""
    registry = registry_of(face)
    async with registry.lock:
        balancer = load_balancer(face, request["LoadBalancerArn"])
        if balancer.kind is Kind.NETWORK and not balancer.security_groups:
            raise refused("InvalidConfigurationRequest", "You cannot set security groups on a Network Load Balancer that was created without them")  # fmt: skip
        groups = await _security_groups(face, request["SecurityGroups"], balancer.vpc_id, balancer.kind)  # fmt: skip
        await registry.put(replace(balancer, security_groups=groups))
    face.operations.balancing.touch()
    return {"SecurityGroupIds": list(groups)}


@operation("elbv2", "SetSubnets", ignores=("SubnetMappings", "EnablePrefixForIpv6SourceNat"))
async def set_subnets(face: Face, request: Request) -> dict[str, Any]:
    """Replace them; the address stays."""
    registry = registry_of(face)
    _check_ip_type(request.get("IpAddressType", "ipv4"))
    async with registry.lock:
        balancer = load_balancer(face, request["LoadBalancerArn"])
        zones, vpc_id = await _zones(face, _subnets(request), balancer.kind)
        if vpc_id != balancer.vpc_id:
            raise refused("InvalidConfigurationRequest", f"The subnets must be in VPC '{balancer.vpc_id}'")  # fmt: skip
        changed = replace(balancer, zones=zones)
        await registry.put(changed)
    return {"AvailabilityZones": _shown_zones(changed), "IpAddressType": changed.ip_address_type}


@operation("elbv2", "SetIpAddressType")
async def set_ip_address_type(face: Face, request: Request) -> dict[str, Any]:
    """Only ipv4."""
    load_balancer(face, request["LoadBalancerArn"])
    _check_ip_type(request["IpAddressType"])
    return {"IpAddressType": "ipv4"}


@operation("elbv2", "DescribeCapacityReservation")
async def describe_capacity_reservation(face: Face, request: Request) -> dict[str, Any]:
    """Nothing is reserved."""
    load_balancer(face, request["LoadBalancerArn"])
    return {"DecreaseRequestsRemaining": 2, "CapacityReservationState": []}
