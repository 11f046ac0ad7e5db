"""Classic load balancers: made, told, deleted. Each answers on an address of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from portway.api.aws.elb.common import (
    Zones,
    find,
    given_tags,
    invalid,
    refused,
    registry_of,
    security_groups,
    zones_by_name,
    zones_of_subnets,
)
from portway.api.aws.elb.listeners import read_listeners, shown_listener
from portway.api.aws.elb.policies import shown_policies
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page
from portway.controller.network.reading import ensure_network
from portway.core.balancing.classic import ClassicBalancer, ClassicCheck, group_of
from portway.core.balancing.classic_serving import instance_states
from portway.core.balancing.targets import TargetState
from portway.core.network.defaults import GROUP, default_vpc_id

ZONE_ID = "Z35SXDOTRQ7X7K"
PAGE_SIZE = 400
_NAME_LENGTH_MAX = 32
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")


@operation("elb", "CreateLoadBalancer")
async def create_load_balancer(face: Face, request: Request) -> dict[str, Any]:
    """Make one; the same settings again give the same one."""
    name = request["LoadBalancerName"]
    _check_name(name)
    await ensure_network(face.documents, home_id=face.home_id, region=face.region)
    zones, vpc_id = await _zones(face, request)
    groups = await security_groups(face, request.get("SecurityGroups") or (), vpc_id)
    scheme = request.get("Scheme") or "internet-facing"
    if scheme not in ("internet-facing", "internal"):
        raise refused("InvalidScheme", f"Scheme '{scheme}' is neither 'internet-facing' nor 'internal'")  # fmt: skip
    if not request["Listeners"]:
        raise invalid("Listeners cannot be empty")
    registry = registry_of(face)
    async with registry.lock:
        empty = ClassicBalancer(
            arn=face.arn("elasticloadbalancing", f"loadbalancer/{name}"),
            name=name,
            scheme=scheme,
            vpc_id=vpc_id,
            zones=zones,
            security_groups=groups,
            created_at_ms=face.now_ms(),
            tags=given_tags(request.get("Tags") or ()),
        )
        wanted = await read_listeners(face, empty, request["Listeners"])
        known = registry.classic(name)
        if known is not None:
            if _settings(known) != _settings(wanted):
                raise refused("DuplicateLoadBalancerName", f"The specified load balancer name already exists for this account: {name}")  # fmt: skip
            return {"DNSName": known.dns_name}
        place = await face.operations.balancing.addresses.assign(
            wanted.arn, name, internal=scheme == "internal"
        )
        await registry.put(replace(wanted, address=place.address, dns_name=place.dns_name))
    await face.operations.balancing.load_certificates()
    face.operations.balancing.touch()
    return {"DNSName": place.dns_name}


def _check_name(name: str) -> None:
    if len(name) > _NAME_LENGTH_MAX:
        raise invalid(f"LoadBalancer name cannot be longer than {_NAME_LENGTH_MAX} characters")
    if not _NAME.fullmatch(name):
        raise invalid("LoadBalancer name must contain only alphanumeric characters or hyphens, and cannot begin or end with a hyphen")  # fmt: skip


async def _zones(face: Face, request: Request) -> tuple[Zones, str]:
    subnets, names = request.get("Subnets") or [], request.get("AvailabilityZones") or []
    if subnets and names:
        raise invalid("Only one of SubnetIds or AvailabilityZones may be specified")
    if subnets:
        return await zones_of_subnets(face, subnets)
    if not names:
        raise invalid("Either AvailabilityZones or SubnetIds must be specified")
    return zones_by_name(face, names), default_vpc_id(face.home_id)


def _settings(balancer: ClassicBalancer) -> tuple[object, ...]:
    listeners = {replace(listener, policies=()) for listener in balancer.listeners}
    groups = set(balancer.security_groups)
    return balancer.scheme, set(balancer.zones), groups, balancer.tags, listeners


@operation("elb", "DescribeLoadBalancers")
async def describe_load_balancers(face: Face, request: Request) -> dict[str, Any]:
    """By name, or all."""
    names = request.get("LoadBalancerNames") or []
    found = [find(face, name) for name in names] or list(registry_of(face).classics.values())
    taken, marker = page(
        list({balancer.name: balancer for balancer in found}.values()),
        key=lambda balancer: balancer.name,
        size=request.get("PageSize") or PAGE_SIZE,
        token=request.get("Marker"),
        scope=f"classic {names}",
        code="ValidationError",
        message="Invalid Marker.",
    )
    shown = [await _shown(face, balancer) for balancer in taken]
    return {"LoadBalancerDescriptions": shown, "NextMarker": marker}


async def _shown(face: Face, balancer: ClassicBalancer) -> dict[str, Any]:
    return {
        "LoadBalancerName": balancer.name,
        "DNSName": balancer.dns_name,
        "CanonicalHostedZoneName": balancer.dns_name,
        "CanonicalHostedZoneNameID": ZONE_ID,
        "ListenerDescriptions": [
            {"Listener": shown_listener(one), "PolicyNames": list(one.policies)}
            for one in balancer.listeners
        ],
        "Policies": shown_policies(balancer),
        "BackendServerDescriptions": [
            {"InstancePort": number, "PolicyNames": list(names)}
            for number, names in balancer.backend_policies
        ],
        "AvailabilityZones": [zone for zone, _ in balancer.zones],
        "Subnets": [subnet for _, subnet in balancer.zones],
        "VPCId": balancer.vpc_id,
        "Instances": shown_instances(face, balancer),
        "HealthCheck": shown_check(balancer.check),
        "SourceSecurityGroup": await _source_group(face, balancer),
        "SecurityGroups": list(balancer.security_groups),
        "CreatedTime": balancer.created_at_ms,
        "Scheme": balancer.scheme,
    }


def shown_check(check: ClassicCheck) -> dict[str, Any]:
    """A health check as it is told."""
    return {
        "Target": check.target,
        "Interval": check.interval_s,
        "Timeout": check.timeout_s,
        "UnhealthyThreshold": check.unhealthy_threshold,
        "HealthyThreshold": check.healthy_threshold,
    }


def shown_instances(face: Face, balancer: ClassicBalancer) -> list[dict[str, str]]:
    """The instances that are registered, by hand or by a service; one that leaves is none of them."""
    states = instance_states(face.operations.balancing.standings(group_of(balancer)))
    return [{"InstanceId": i} for i, s in states.items() if s.state is not TargetState.DRAINING]


async def _source_group(face: Face, balancer: ClassicBalancer) -> dict[str, str]:
    document = await face.documents.get(GROUP, balancer.security_groups[0])
    name = document.body["GroupName"] if document else balancer.security_groups[0]
    return {"OwnerAlias": face.account_id, "GroupName": name}


@operation("elb", "DeleteLoadBalancer")
async def delete_load_balancer(face: Face, request: Request) -> dict[str, Any]:
    """Delete it with its listeners; one that is not there is deleted already."""
    registry = registry_of(face)
    async with registry.lock:
        balancer = registry.classic(request["LoadBalancerName"])
        if balancer is None:
            return {}
        await registry.delete(balancer)
        await face.operations.balancing.addresses.release(balancer.arn)
    await face.operations.balancing.load_certificates()
    face.operations.balancing.touch()
    return {}
