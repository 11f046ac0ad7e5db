"""Targets: registered and deregistered by hand, and the health of all of them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from portway.api.aws.elbv2.common import invalid, refused, registry_of, target_group
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.core.aws_names import AwsNames
from portway.core.balancing.model import TargetGroup, TargetType
from portway.core.balancing.serving import Standing
from portway.core.balancing.targets import (
    NOT_REGISTERED,
    TargetHealth,
    check_number,
    deregistered,
    registered,
)

TARGETS_MAX = 1000


@operation(
    "elbv2",
    "RegisterTargets",
    ignores=("Targets.AvailabilityZone",),
    refuses={"Targets.QuicServerId": "its balancer does not speak QUIC."},
)
async def register_targets(face: Face, request: Request) -> dict[str, Any]:
    """Add targets; those that are there stay as they are."""
    registry = registry_of(face)
    async with registry.lock:
        group = target_group(face, request["TargetGroupArn"])
        asked = [(target["Id"], target.get("Port") or group.number) for target in request["Targets"]]  # fmt: skip
        for target_id, _ in asked:
            _check_id(face, group, target_id)
        targets = registered(group, asked, now_ms=face.now_ms())
        if len(targets) > TARGETS_MAX:
            raise refused("TooManyTargets", f"A target group can have at most '{TARGETS_MAX}' targets")  # fmt: skip
        await registry.put(replace(group, targets=targets))
    face.operations.balancing.touch()
    return {}


def _check_id(face: Face, group: TargetGroup, target_id: str) -> None:
    if group.target_type is TargetType.INSTANCE:
        names = AwsNames(region=face.region, account_id=face.account_id, home_id=face.home_id)
        nodes = {names.ec2_instance_id(n.name): n for n in face.operations.balancing.nodes}
        if target_id not in nodes:
            raise refused("InvalidTarget", f"The instance IDs '{target_id}' are not valid")
        if not nodes[target_id].available:
            raise refused("InvalidTarget", f"The following targets are not in a running state and cannot be registered: '{target_id}'")  # fmt: skip
        return
    try:
        address = ip_address(target_id)
    except ValueError:
        raise invalid(f"The IP address '{target_id}' is not a valid IPv4 address") from None
    if address.version != 4:  # noqa: PLR2004
        raise invalid(f"The IP address '{target_id}' is not a valid IPv4 address")
    balancers = registry_of(face).load_balancers.values()
    if target_id in {balancer.address for balancer in balancers}:
        raise refused("InvalidTarget", f"The IP address '{target_id}' cannot be used as a target, as it is in use by a load balancer")  # fmt: skip


@operation("elbv2", "DeregisterTargets", ignores=("Targets.AvailabilityZone", "Targets.QuicServerId"))  # fmt: skip
async def deregister_targets(face: Face, request: Request) -> dict[str, Any]:
    """Let targets drain; one that is not there has left already."""
    registry = registry_of(face)
    async with registry.lock:
        group = target_group(face, request["TargetGroupArn"])
        asked = [(target["Id"], target.get("Port")) for target in request["Targets"]]
        in_use = bool(registry.users_of(group.arn))
        targets = deregistered(group, asked, in_use=in_use, now_ms=face.now_ms())
        await registry.put(replace(group, targets=targets))
    face.operations.balancing.touch()
    return {}


@operation("elbv2", "DescribeTargetHealth", ignores=("Include", "Targets.AvailabilityZone", "Targets.QuicServerId"))  # fmt: skip
async def describe_target_health(face: Face, request: Request) -> dict[str, Any]:
    """All that are registered or drain; or those asked for, whether they are registered or not."""
    group = target_group(face, request["TargetGroupArn"])
    standings = face.operations.balancing.standings(group)
    if not request.get("Targets"):
        return {"TargetHealthDescriptions": [_shown(face, group, each) for each in standings]}
    found = {(member.id, member.number): (member, health) for member, health in standings}
    shown: list[dict[str, Any]] = []
    for target in request["Targets"]:
        asked = (target["Id"], target.get("Port") or group.number)
        if asked in found:
            shown.append(_shown(face, group, found[asked]))
        else:
            shown.append(
                {
                    "Target": {"Id": asked[0], "Port": asked[1]},
                    "TargetHealth": _health(NOT_REGISTERED),
                }
            )
    return {"TargetHealthDescriptions": shown}


def _shown(face: Face, group: TargetGroup, standing: Standing) -> dict[str, Any]:
    member, health = standing
    target: dict[str, Any] = {"Id": member.id, "Port": member.number}
    if group.target_type is TargetType.IP:
        target["AvailabilityZone"] = f"{face.region}a"
    return {
        "Target": target,
        "HealthCheckPort": str(check_number(group, member)),
        "TargetHealth": _health(health),
    }


def _health(health: TargetHealth) -> dict[str, Any]:
    return {
        "State": health.state.value,
        "Reason": health.reason or None,
        "Description": health.description or None,
    }
