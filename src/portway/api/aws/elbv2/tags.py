"""Tags of load balancers, target groups, listeners and rules, by ARN; and whose certificates they serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from portway.api.aws.certificates import CertificateUser, register_user
from portway.api.aws.elbv2.common import (
    check_tags,
    given_tags,
    invalid,
    listener,
    load_balancer,
    registry_of,
    rule,
    shown_tags,
    target_group,
)
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.controller.balancing.registry import Kept

ARNS_MAX = 20
_FINDERS: dict[str, Callable[[Face, str], Kept]] = {
    ":loadbalancer/": load_balancer,
    ":targetgroup/": target_group,
    ":listener/": listener,
    ":listener-rule/": rule,
}


def _found(face: Face, arn: str) -> Kept:
    for part, find in _FINDERS.items():
        if part in arn:
            return find(face, arn)
    raise invalid(f"'{arn}' is not a valid ARN of a load balancer, target group, listener or rule")


async def _change(
    face: Face, request: Request, change: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    registry = registry_of(face)
    async with registry.lock:
        found = [_found(face, arn) for arn in request["ResourceArns"]]
        changed = [replace(one, tags=change(dict(one.tags))) for one in found]
        for one in changed:
            check_tags(one.tags)
        await registry.put(*changed)


@operation("elbv2", "AddTags")
async def add_tags(face: Face, request: Request) -> dict[str, Any]:
    """Add or replace tags of several objects."""
    tags = given_tags(request["Tags"])
    await _change(face, request, lambda before: {**before, **tags})
    return {}


@operation("elbv2", "RemoveTags")
async def remove_tags(face: Face, request: Request) -> dict[str, Any]:
    """Remove tags of several objects by key."""
    gone = set(request["TagKeys"])
    await _change(face, request, lambda before: {k: v for k, v in before.items() if k not in gone})
    return {}


@operation("elbv2", "DescribeTags")
async def describe_tags(face: Face, request: Request) -> dict[str, Any]:
    """The tags of each, twenty at most."""
    arns = request["ResourceArns"]
    if len(arns) > ARNS_MAX:
        raise invalid(f"At most '{ARNS_MAX}' resources can be described at once")
    found = [(arn, _found(face, arn)) for arn in arns]
    return {"TagDescriptions": [{"ResourceArn": a, "Tags": shown_tags(o.tags)} for a, o in found]}


async def _uses(face: Face, arn: str) -> list[str]:
    return registry_of(face).uses_certificate(arn)


async def _renewed(face: Face, arn: str) -> None:
    if registry_of(face).uses_certificate(arn):
        await face.operations.balancing.load_certificates()


register_user(CertificateUser(uses=_uses, changed=_renewed))
