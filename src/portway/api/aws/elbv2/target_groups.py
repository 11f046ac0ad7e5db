"""Target groups and their attributes."""

from __future__ import annotations

from collections.abc import Mapping
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
    target_group,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.controller.balancing.registry import Registry
from portway.core.balancing import attributes as keys
from portway.core.balancing.attributes import (
    GROUP_ATTRIBUTES,
    attributes_for,
    group_attributes,
    kind_of_group,
)
from portway.core.balancing.model import (
    HTTP_PROTOCOLS,
    STREAM_PROTOCOLS,
    TRAFFIC_PORT,
    TargetCheck,
    TargetGroup,
    TargetType,
)
from portway.core.health import parse_statuses
from portway.core.network.defaults import VPC

_UDP = (
    "portway does not do protocol '{}' yet: its balancer passes on TCP, TLS, HTTP and HTTPS only."
)
_MATCHED = {True: (200, 499), False: (200, 599)}
_CHECK_MEMBERS = {
    "HealthCheckProtocol": "protocol",
    "HealthCheckPort": "number_text",
    "HealthCheckPath": "path",
    "HealthCheckIntervalSeconds": "interval_s",
    "HealthCheckTimeoutSeconds": "timeout_s",
    "HealthyThresholdCount": "healthy_threshold",
    "UnhealthyThresholdCount": "unhealthy_threshold",
    "HealthCheckEnabled": "enabled",
}


@operation(
    "elbv2",
    "CreateTargetGroup",
    refuses={"TargetControlPort": "there is no target optimizer here."},
)
async def create_target_group(face: Face, request: Request) -> dict[str, Any]:
    """Make one; the same settings again give the same one."""
    name = request["Name"]
    check_name(name, "Target group")
    wanted = _wanted(face, request)
    if wanted.vpc_id and await face.documents.get(VPC, wanted.vpc_id) is None:
        raise invalid(f"The VPC ID '{wanted.vpc_id}' is not found")
    registry = registry_of(face)
    async with registry.lock:
        known = next((g for g in registry.groups.values() if g.name == name), None)
        if known is not None:
            if _settings(known) != _settings(wanted):
                raise refused("DuplicateTargetGroupName", f"A target group with the same name '{name}' exists, but with different settings")  # fmt: skip
            return {"TargetGroups": [shown(registry, known)]}
        await registry.put(wanted)
    return {"TargetGroups": [shown(registry, wanted)]}


def _settings(group: TargetGroup) -> tuple[object, ...]:
    return (
        group.protocol,
        group.number,
        group.protocol_version,
        group.target_type,
        group.vpc_id,
        group.check,
        group.tags,
    )


def _wanted(face: Face, request: Request) -> TargetGroup:
    target_type = request.get("TargetType", "instance")
    if target_type not in ("instance", "ip"):
        raise invalid(f"portway does not do target groups of type '{target_type}': a target is an instance or an address.")  # fmt: skip
    protocol, number = request.get("Protocol"), request.get("Port")
    if protocol is None:
        raise invalid("A protocol must be specified")
    if protocol not in (*HTTP_PROTOCOLS, *STREAM_PROTOCOLS):
        raise invalid(_UDP.format(protocol))
    if number is None:
        raise invalid("A port must be specified")
    if request.get("IpAddressType", "ipv4") != "ipv4":
        raise invalid("portway does not do target groups of IPv6 addresses.")
    if not request.get("VpcId"):
        raise invalid("A VPC ID must be specified")
    version = request.get("ProtocolVersion", "HTTP1") if protocol in HTTP_PROTOCOLS else ""
    if version not in ("", "HTTP1"):
        raise invalid(f"portway does not do ProtocolVersion '{version}': it speaks HTTP/1.1 to targets.")  # fmt: skip
    return TargetGroup(
        arn=face.arn("elasticloadbalancing", f"targetgroup/{request['Name']}/{face.new_id(8)}"),
        name=request["Name"],
        protocol=protocol,
        number=number,
        protocol_version=version,
        target_type=TargetType(target_type),
        vpc_id=request["VpcId"],
        check=_check(request, _default_check(protocol, request), protocol),
        tags=given_tags(request.get("Tags", [])),
    )


def _default_check(protocol: str, request: Request) -> TargetCheck:
    is_alb = protocol in HTTP_PROTOCOLS
    checked = request.get("HealthCheckProtocol", "HTTP" if is_alb else "TCP")
    if is_alb:
        return TargetCheck(protocol=checked)
    if checked in HTTP_PROTOCOLS:
        return TargetCheck(protocol=checked, timeout_s=6, matcher="200-399")
    return TargetCheck(protocol=checked, timeout_s=10, matcher="", path="")


def _check(request: Request, before: TargetCheck, protocol: str) -> TargetCheck:
    """The check with what a request changes of it; ValidationError for what cannot be."""
    given = {field: request[m] for m, field in _CHECK_MEMBERS.items() if request.get(m) is not None}
    check = replace(before, **given)
    is_http = check.protocol in HTTP_PROTOCOLS
    is_alb = protocol in HTTP_PROTOCOLS
    if check.protocol not in (HTTP_PROTOCOLS if is_alb else (*HTTP_PROTOCOLS, "TCP")):
        raise invalid(f"Health check protocol '{check.protocol}' is not supported for target groups with the protocol '{protocol}'")  # fmt: skip
    matcher = request.get("Matcher") or {}
    if matcher.get("GrpcCode"):
        raise invalid("portway does not do GrpcCode: it speaks HTTP/1.1 to targets.")
    if matcher.get("HttpCode"):
        if not is_http:
            raise invalid(f"A matcher is not supported for health checks with the protocol '{check.protocol}'")  # fmt: skip
        check = replace(check, matcher=_matcher(matcher["HttpCode"], is_alb=is_alb))
    elif is_http and not check.matcher:
        check = replace(check, matcher="200-399", path=check.path or "/")
    if is_http and not check.path.startswith("/"):
        raise invalid(f"Health check path '{check.path}' must begin with a '/'")
    if is_http and any(not 33 <= ord(c) <= 126 for c in check.path):  # noqa: PLR2004
        raise invalid(f"Health check path '{check.path}' contains characters that are not allowed")
    if not is_http and given.get("path"):
        raise invalid(f"A health check path is not supported for the protocol '{check.protocol}'")
    if is_http and check.timeout_s >= check.interval_s:
        raise invalid(f"Health check timeout '{check.timeout_s}' must be smaller than the interval '{check.interval_s}'")  # fmt: skip
    if not is_http and check.timeout_s > check.interval_s:
        raise invalid(f"Health check timeout '{check.timeout_s}' must be smaller than or equal to the interval '{check.interval_s}'")  # fmt: skip
    _check_number(check.number_text)
    return check


def _matcher(text: str, *, is_alb: bool) -> str:
    ranges = parse_statuses(text)
    first, last = _MATCHED[is_alb]
    if ranges is None or any(a < first or b > last for a, b in ranges):
        raise invalid(f"Health check matcher HTTP code '{text}' must be within '{first}-{last}' inclusive")  # fmt: skip
    return text


def _check_number(text: str) -> None:
    is_number = text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535  # noqa: PLR2004
    if text != TRAFFIC_PORT and not is_number:
        raise invalid(f"Health check port '{text}' must be 'traffic-port' or a port number between '1' and '65535'")  # fmt: skip


def shown(registry: Registry, group: TargetGroup) -> dict[str, Any]:
    """As DescribeTargetGroups tells it."""
    check = group.check
    is_http = check.protocol in HTTP_PROTOCOLS
    return {
        "TargetGroupArn": group.arn,
        "TargetGroupName": group.name,
        "Protocol": group.protocol,
        "Port": group.number,
        "VpcId": group.vpc_id,
        "HealthCheckProtocol": check.protocol,
        "HealthCheckPort": check.number_text,
        "HealthCheckEnabled": check.enabled,
        "HealthCheckIntervalSeconds": check.interval_s,
        "HealthCheckTimeoutSeconds": check.timeout_s,
        "HealthyThresholdCount": check.healthy_threshold,
        "UnhealthyThresholdCount": check.unhealthy_threshold,
        "HealthCheckPath": check.path if is_http else None,
        "Matcher": {"HttpCode": check.matcher} if is_http else None,
        "LoadBalancerArns": [balancer.arn for balancer in registry.users_of(group.arn)],
        "TargetType": group.target_type.value,
        "ProtocolVersion": group.protocol_version or None,
        "IpAddressType": group.ip_address_type,
    }


def _missing(asked: str) -> AwsError:
    return refused("TargetGroupNotFound", f"Target groups '{asked}' not found")


@operation("elbv2", "DescribeTargetGroups")
async def describe_target_groups(face: Face, request: Request) -> dict[str, Any]:
    """By load balancer, by ARN, by name, or all."""
    registry = registry_of(face)
    found = chosen(
        registry.groups.values(),
        request.get("TargetGroupArns", []),
        request.get("Names", []),
        arn_of=lambda g: g.arn,
        name_of=lambda g: g.name,
        missing=_missing,
    )
    if arn := request.get("LoadBalancerArn"):
        load_balancer(face, arn)
        used = registry.groups_used_by(arn)
        found = [group for group in found if group.arn in used]
    return listing(request, "TargetGroups", found, lambda g: g.arn, lambda g: shown(registry, g))


@operation("elbv2", "ModifyTargetGroup")
async def modify_target_group(face: Face, request: Request) -> dict[str, Any]:
    """Change how targets are checked."""
    registry = registry_of(face)
    async with registry.lock:
        group = target_group(face, request["TargetGroupArn"])
        changed = replace(group, check=_check(request, group.check, group.protocol))
        await registry.put(changed)
    face.operations.balancing.touch()
    return {"TargetGroups": [shown(registry, changed)]}


@operation("elbv2", "DeleteTargetGroup")
async def delete_target_group(face: Face, request: Request) -> dict[str, Any]:
    """Delete one that nothing leads to; one that is not there is deleted already."""
    registry = registry_of(face)
    async with registry.lock:
        group = registry.groups.get(request["TargetGroupArn"])
        if group is None:
            return {}
        if registry.users_of(group.arn):
            raise refused("ResourceInUse", f"Target group '{group.arn}' is currently in use by a listener or a rule")  # fmt: skip
        await registry.delete(group)
    face.operations.balancing.touch()
    return {}


@operation("elbv2", "DescribeTargetGroupAttributes")
async def describe_target_group_attributes(face: Face, request: Request) -> dict[str, Any]:
    """All attributes, whether they were set or not."""
    group = target_group(face, request["TargetGroupArn"])
    return {"Attributes": shown_attributes(group_attributes(group))}


@operation("elbv2", "ModifyTargetGroupAttributes")
async def modify_target_group_attributes(face: Face, request: Request) -> dict[str, Any]:
    """Set some; the others stay."""
    registry = registry_of(face)
    async with registry.lock:
        group = target_group(face, request["TargetGroupArn"])
        known = attributes_for(GROUP_ATTRIBUTES, kind_of_group(group))
        given = given_attributes(request, known, "Target group")
        changed = replace(group, attributes={**group.attributes, **given})
        _check_together(group_attributes(changed))
        await registry.put(changed)
    face.operations.balancing.touch()
    return {"Attributes": shown_attributes(group_attributes(changed))}


def _check_together(set_to: Mapping[str, str]) -> None:
    """What each alone may be and both together may not."""
    ramps = set_to.get(keys.SLOW_START, "0") != "0"
    if ramps and set_to.get(keys.ALGORITHM) != "round_robin":
        raise refused("InvalidConfigurationRequest", "Slow start can only be used with the round_robin algorithm")  # fmt: skip
    mitigates = set_to.get(keys.ANOMALY, "off") == "on"
    if mitigates and set_to.get(keys.ALGORITHM) != "weighted_random":
        raise refused("InvalidConfigurationRequest", "Anomaly mitigation can only be used with the weighted_random algorithm")  # fmt: skip
    is_sticky = set_to[keys.STICKY] == "true"
    if is_sticky and set_to[keys.STICKY_TYPE] == "app_cookie":
        name = set_to[keys.APP_COOKIE]
        if not name:
            raise refused("InvalidConfigurationRequest", "An application cookie name must be specified for app_cookie stickiness")  # fmt: skip
        if name.upper().startswith("AWSALB"):
            raise refused("InvalidConfigurationRequest", f"The cookie name '{name}' is reserved")
        if any(c in ' ,;="\\' or not 33 <= ord(c) <= 126 for c in name):  # noqa: PLR2004
            raise refused("InvalidConfigurationRequest", "The application cookie name contains characters that are not allowed")  # fmt: skip
    if is_sticky and set_to.get("load_balancing.cross_zone.enabled") == "false":
        raise refused("InvalidConfigurationRequest", "Stickiness cannot be enabled when cross-zone load balancing is off")  # fmt: skip
