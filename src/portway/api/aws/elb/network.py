"""Where a classic load balancer is: its security groups, its subnets, its zones. The address stays whatever they become."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.api.aws.elb.common import (
    change,
    check_zones,
    invalid,
    misfit,
    ordered,
    refused,
    security_groups,
    zones_by_name,
    zones_of_subnets,
)
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.core.balancing.classic import ClassicBalancer
from portway.core.network.defaults import default_vpc_id

_LAST = "A load balancer must have at least one"


@operation("elb", "ApplySecurityGroupsToLoadBalancer")
async def apply_security_groups(face: Face, request: Request) -> dict[str, Any]:
    """Replace its security groups."""
    given = request["SecurityGroups"]
    if not given:
        raise invalid(f"{_LAST} security group")

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        groups = await security_groups(face, given, before.vpc_id)
        return replace(before, security_groups=groups)

    return {"SecurityGroups": list((await change(face, request, by)).security_groups)}


@operation("elb", "AttachLoadBalancerToSubnets")
async def attach_to_subnets(face: Face, request: Request) -> dict[str, Any]:
    """Add subnets of zones that it is not in yet."""

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        zones, vpc_id = await zones_of_subnets(face, request["Subnets"])
        if vpc_id != before.vpc_id:
            raise refused("InvalidSubnet", f"The subnets must be in VPC '{before.vpc_id}'")
        after = ordered((*before.zones, *zones))
        check_zones(after)
        return replace(before, zones=after)

    return {"Subnets": _subnets(await change(face, request, by))}


@operation("elb", "DetachLoadBalancerFromSubnets")
async def detach_from_subnets(face: Face, request: Request) -> dict[str, Any]:
    """Take subnets away, but for the last."""
    gone = set(request["Subnets"])

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        kept = tuple(each for each in before.zones if each[1] not in gone)
        if not kept:
            raise misfit(f"{_LAST} subnet")
        return replace(before, zones=kept)

    return {"Subnets": _subnets(await change(face, request, by))}


def _subnets(balancer: ClassicBalancer) -> list[str]:
    return [subnet for _, subnet in balancer.zones]


@operation("elb", "EnableAvailabilityZonesForLoadBalancer")
async def enable_zones(face: Face, request: Request) -> dict[str, Any]:
    """Add zones of the default VPC, by their default subnets."""

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        if before.vpc_id != default_vpc_id(face.home_id):
            raise misfit("Zones can be enabled in the default VPC only; attach subnets instead")
        known = {zone for zone, _ in before.zones}
        zones = zones_by_name(face, request["AvailabilityZones"])
        return replace(before, zones=ordered((*before.zones, *(z for z in zones if z[0] not in known))))  # fmt: skip

    return {"AvailabilityZones": _names(await change(face, request, by))}


@operation("elb", "DisableAvailabilityZonesForLoadBalancer")
async def disable_zones(face: Face, request: Request) -> dict[str, Any]:
    """Take zones away, but for the last; instances there get no more traffic."""
    gone = set(request["AvailabilityZones"])

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        kept = tuple(each for each in before.zones if each[0] not in gone)
        if not kept:
            raise misfit(f"{_LAST} Availability Zone")
        return replace(before, zones=kept)

    return {"AvailabilityZones": _names(await change(face, request, by))}


def _names(balancer: ClassicBalancer) -> list[str]:
    return [zone for zone, _ in balancer.zones]
