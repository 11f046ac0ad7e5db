"""Attributes of classic load balancers, and the limits of an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from portway.api.aws.elb.common import change, find, invalid, misfit, refused
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.core.balancing.classic import AccessLog, ClassicAttributes, ClassicBalancer

DESYNC = "elb.http.desyncmitigationmode"
DESYNC_MODES = ("monitor", "defensive", "strictest")
INTERVALS_MIN = (5, 60)
LIMITS = {"classic-load-balancers": 20, "classic-listeners": 100, "classic-registered-instances": 1000}  # fmt: skip


@operation("elb", "DescribeLoadBalancerAttributes")
async def describe_load_balancer_attributes(face: Face, request: Request) -> dict[str, Any]:
    """All of them, whether they were set or not."""
    return {"LoadBalancerAttributes": _shown(find(face, request["LoadBalancerName"]).attributes)}


def _shown(attributes: ClassicAttributes) -> dict[str, Any]:
    access_log = attributes.access_log
    log: dict[str, Any] = {"Enabled": access_log.enabled}
    if access_log.bucket:
        log |= {
            "S3BucketName": access_log.bucket,
            "EmitInterval": access_log.interval_min or INTERVALS_MIN[-1],
            "S3BucketPrefix": access_log.prefix,
        }
    draining = {"Enabled": attributes.drains, "Timeout": attributes.draining_s}
    return {
        "CrossZoneLoadBalancing": {"Enabled": attributes.cross_zone},
        "AccessLog": log,
        "ConnectionDraining": draining,
        "ConnectionSettings": {"IdleTimeout": attributes.idle_timeout_s},
        "AdditionalAttributes": [{"Key": DESYNC, "Value": attributes.desync_mode}],
    }


@operation("elb", "ModifyLoadBalancerAttributes")
async def modify_load_balancer_attributes(face: Face, request: Request) -> dict[str, Any]:
    """Set some; the others stay."""
    given = request["LoadBalancerAttributes"]

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        return replace(before, attributes=_changed(before.attributes, given))

    after = await change(face, request, by)
    shown = _shown(after.attributes)
    set_now = {member: shown[member] for member in shown if given.get(member) is not None}
    return {"LoadBalancerName": after.name, "LoadBalancerAttributes": set_now}


def _changed(attributes: ClassicAttributes, given: Mapping[str, Any]) -> ClassicAttributes:
    draining, settings = given.get("ConnectionDraining"), given.get("ConnectionSettings")
    if cross_zone := given.get("CrossZoneLoadBalancing"):
        attributes = replace(attributes, cross_zone=cross_zone["Enabled"])
    if draining:
        timeout_s = draining.get("Timeout")
        if timeout_s is not None and not 1 <= timeout_s <= 3600:  # noqa: PLR2004
            raise invalid("ConnectionDraining timeout must be between 1 and 3600 seconds")
        drains, draining_s = draining["Enabled"], timeout_s or attributes.draining_s
        attributes = replace(attributes, drains=drains, draining_s=draining_s)
    if settings:
        attributes = replace(attributes, idle_timeout_s=settings["IdleTimeout"])
    if access_log := given.get("AccessLog"):
        attributes = replace(attributes, access_log=_access_log(access_log))
    for each in given.get("AdditionalAttributes") or ():
        key, value = each.get("Key") or "", each.get("Value") or ""
        if key != DESYNC:
            raise refused("LoadBalancerAttributeNotFound", f"There is no load balancer attribute {key}")  # fmt: skip
        if value not in DESYNC_MODES:
            raise misfit(f"{DESYNC} must be one of {', '.join(DESYNC_MODES)}")
        attributes = replace(attributes, desync_mode=value)
    return attributes


def _access_log(given: Mapping[str, Any]) -> AccessLog:
    if given["Enabled"] and not given.get("S3BucketName"):
        raise misfit("S3BucketName must be specified to enable the access log")
    interval_min = given.get("EmitInterval")
    if interval_min is not None and interval_min not in INTERVALS_MIN:
        raise misfit("EmitInterval must be 5 or 60 minutes")
    return AccessLog(
        enabled=given["Enabled"],
        bucket=given.get("S3BucketName") or "",
        interval_min=interval_min,
        prefix=given.get("S3BucketPrefix") or "",
    )


@operation("elb", "DescribeAccountLimits", ignores=("Marker", "PageSize"))
async def describe_account_limits(_face: Face, _request: Request) -> dict[str, Any]:
    """How many of each there may be on AWS; portway itself counts only the listeners."""
    return {"Limits": [{"Name": name, "Max": str(most)} for name, most in LIMITS.items()]}
