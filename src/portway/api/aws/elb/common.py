"""What operations on classic load balancers have in common: finding one, changing it, its network, its tags, and the refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request
from portway.controller.balancing.registry import Registry
from portway.core.balancing.classic import ClassicBalancer
from portway.core.network.defaults import (
    GROUP,
    SUBNET,
    ZONES,
    default_group_id,
    default_subnet_id,
)

TAGS_MAX = 50

Zones = tuple[tuple[str, str], ...]
Change = Callable[[ClassicBalancer], Awaitable[ClassicBalancer]]


def registry_of(face: Face) -> Registry:
    """Everything that is kept of load balancers."""
    return face.operations.balancing.registry


def refused(code: str, told: str) -> AwsError:
    """A refusal with the status that the model gives its code."""
    return AwsError(code, told)


def invalid(told: str) -> AwsError:
    """The general refusal."""
    return AwsError("ValidationError", told, 400)


def misfit(told: str) -> AwsError:
    """What cannot be with the load balancer as it is."""
    return refused("InvalidConfigurationRequest", told)


def find(face: Face, name: str) -> ClassicBalancer:
    """One by its name."""
    found = registry_of(face).classic(name)
    if found is None:
        raise refused("LoadBalancerNotFound", f"There is no ACTIVE Load Balancer named '{name}'")
    return found


async def change(face: Face, request: Request, by: Change) -> ClassicBalancer:
    """The load balancer that a request names as `by` makes it of what it is now; `by` may raise to leave it."""
    registry = registry_of(face)
    async with registry.lock:
        before = find(face, request["LoadBalancerName"])
        after = await by(before)
        await registry.put(after)
    balancing = face.operations.balancing
    listed = frozenset(balancing.certificates) - frozenset(balancing.shared.certificates)
    if registry.certificates != listed:
        await balancing.load_certificates()
    face.operations.balancing.touch()
    return after


def ordered(zones: Iterable[tuple[str, str]]) -> Zones:
    """Zones and subnets, each once, in their order."""
    return tuple(sorted(set(zones)))


async def zones_of_subnets(face: Face, subnets: Sequence[str]) -> tuple[Zones, str]:
    """(zone, subnet) of each subnet, and the VPC they are in."""
    if not subnets:
        raise invalid("Subnets cannot be empty")
    found: list[tuple[str, str]] = []
    vpcs: set[str] = set()
    for subnet_id in dict.fromkeys(subnets):
        document = await face.documents.get(SUBNET, subnet_id)
        if document is None:
            raise refused("SubnetNotFound", f"The subnet ID '{subnet_id}' does not exist")
        found.append((document.body["AvailabilityZone"], subnet_id))
        vpcs.add(document.body["VpcId"])
    if len(vpcs) > 1:
        raise refused("InvalidSubnet", "All subnets must belong to the same VPC")
    check_zones(found)
    return ordered(found), vpcs.pop()


def check_zones(zones: Sequence[tuple[str, str]]) -> None:
    """InvalidConfigurationRequest for two subnets in one zone."""
    if len({zone for zone, _ in zones}) < len(zones):
        raise misfit("ELB cannot be attached to multiple subnets in the same AZ.")


def zones_by_name(face: Face, names: Sequence[str]) -> Zones:
    """The default subnets of zones; ValidationError for a zone that is not there."""
    known = {f"{face.region}{zone}": default_subnet_id(face.home_id, zone) for zone in ZONES}
    for name in names:
        if name not in known:
            raise invalid(f"Invalid Availability Zone: {name}")
    return ordered((name, known[name]) for name in names)


async def security_groups(face: Face, given: Sequence[str], vpc_id: str) -> tuple[str, ...]:
    """Those given, or the VPC's default one."""
    for group_id in given:
        document = await face.documents.get(GROUP, group_id)
        if document is None:
            raise refused("InvalidSecurityGroup", "One or more of the specified security groups do not exist.")  # fmt: skip
        if document.body["VpcId"] != vpc_id:
            raise misfit(f"Security group '{group_id}' does not belong to VPC '{vpc_id}'")
    return tuple(dict.fromkeys(given)) or (default_group_id(vpc_id),)


def given_tags(
    tags: Sequence[Mapping[str, Any]], before: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Tags as they are kept, on top of those there were; DuplicateTagKeys or TooManyTags."""
    new = {tag["Key"]: tag.get("Value") or "" for tag in tags}
    if len(new) < len(tags):
        raise refused("DuplicateTagKeys", "A tag key was specified more than once")
    kept = {**(before or {}), **new}
    if len(kept) > TAGS_MAX:
        raise refused("TooManyTags", "The quota for the number of tags that can be assigned to a load balancer has been reached")  # fmt: skip
    return kept
