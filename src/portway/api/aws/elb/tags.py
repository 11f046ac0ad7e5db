"""Tags of classic load balancers, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.api.aws.elb.common import find, given_tags, invalid, registry_of
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.core.balancing.classic import ClassicBalancer


def _named(face: Face, request: Request) -> ClassicBalancer:
    names = request["LoadBalancerNames"]
    if len(names) != 1:
        raise invalid("Only one load balancer name may be specified")
    return find(face, names[0])


@operation("elb", "AddTags")
async def add_tags(face: Face, request: Request) -> dict[str, Any]:
    """Add or replace tags of one load balancer."""
    async with registry_of(face).lock:
        balancer = _named(face, request)
        tags = given_tags(request["Tags"], balancer.tags)
        await registry_of(face).put(replace(balancer, tags=tags))
    return {}


@operation("elb", "RemoveTags")
async def remove_tags(face: Face, request: Request) -> dict[str, Any]:
    """Remove tags of one load balancer by key."""
    gone = {tag.get("Key") for tag in request["Tags"]}
    async with registry_of(face).lock:
        balancer = _named(face, request)
        kept = {key: value for key, value in balancer.tags.items() if key not in gone}
        await registry_of(face).put(replace(balancer, tags=kept))
    return {}


@operation("elb", "DescribeTags")
async def describe_tags(face: Face, request: Request) -> dict[str, Any]:
    """The tags of each, twenty at most."""
    found = [find(face, name) for name in request["LoadBalancerNames"]]
    return {
        "TagDescriptions": [
            {
                "LoadBalancerName": balancer.name,
                "Tags": [{"Key": key, "Value": value} for key, value in balancer.tags.items()],
            }
            for balancer in found
        ]
    }
