"""What CreateService and UpdateService refuse, in AWS's words: what does not fit between service, task definition and load balancers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portway.api.aws.ecs.classic import check_classic
from portway.api.aws.ecs.common import invalid
from portway.api.aws.ecs.definitions import Definition
from portway.api.aws.face import Face
from portway.core.balancing.model import TRAFFIC_PORT
from portway.manifests.ecs_service import balancer_faults, percentages, service_faults

Body = Mapping[str, Any]

NAME_LENGTH_MAX = 255
TARGET_GROUP_KIND = "elbv2.target-group"
USER_KINDS = ("elbv2.listener", "elbv2.rule")

LAUNCH_OR_STRATEGY = "Specify either Launch Type or Capacity Provider Strategy, but not both."


def check_name(name: str) -> None:
    """InvalidParameterException for a name that ECS does not take."""
    if not 0 < len(name) <= NAME_LENGTH_MAX or not all(
        (c.isascii() and c.isalnum()) or c in "-_" for c in name
    ):
        raise invalid("Service name must be 1 to 255 letters, numbers, hyphens and underscores.")


def rebalances(spec: Body) -> str:
    """availabilityZoneRebalancing as it is where nothing was said: on, where the service can have it."""
    said = spec.get("availabilityZoneRebalancing")
    if said:
        return str(said)
    is_classic = any(lb.get("loadBalancerName") for lb in spec.get("loadBalancers") or ())
    is_daemon = spec.get("schedulingStrategy") == "DAEMON"
    return "DISABLED" if is_classic or is_daemon else "ENABLED"


def check_spec(spec: Body) -> None:
    """InvalidParameterException for a service that could not be, whatever it runs."""
    if spec.get("launchType") and spec.get("capacityProviderStrategy"):
        raise invalid(LAUNCH_OR_STRATEGY)
    is_daemon = spec.get("schedulingStrategy") == "DAEMON"
    if not is_daemon and spec.get("desiredCount") is None:
        raise invalid("desiredCount must be given for a REPLICA service.")
    if is_daemon and spec.get("desiredCount") is not None:
        raise invalid("The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again")  # fmt: skip
    if rebalances(spec) == "ENABLED" and percentages(spec)[1] <= 100:
        raise invalid("Availability Zone Rebalancing does not support maximumPercent <= 100%")
    for fault in service_faults(spec):
        raise invalid(fault.message)


def check_network(definition: Body, configuration: Body | None) -> None:
    """InvalidParameterException unless an awsvpc task has a network configuration, and no other has one."""
    is_own = definition.get("networkMode") == "awsvpc"
    if is_own and not (configuration or {}).get("awsvpcConfiguration"):
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")  # fmt: skip
    if configuration and not is_own:
        raise invalid("Network Configuration is not valid for the given networkMode of this task definition.")  # fmt: skip


async def check_balancers(face: Face, spec: Body, definition: Definition) -> None:
    """InvalidParameterException for load balancers that do not fit the task definition."""
    for fault in balancer_faults(spec, definition.body):
        raise invalid(fault.message)
    for one in spec.get("loadBalancers") or ():
        host_ports = _host_ports(definition.body, one)
        if one.get("targetGroupArn"):
            await _check_group(face, one["targetGroupArn"], definition.body, host_ports)
        elif not all(host_ports):
            told = f"A host port mapping for the container port {one['containerPort']} is required"
            raise invalid(told)
    check_classic(face.operations.balancing.registry, spec, definition.body)


async def _check_group(face: Face, arn: str, definition: Body, host_ports: Sequence[int]) -> None:
    found = await face.documents.get(TARGET_GROUP_KIND, arn)
    if found is None:
        raise invalid(f"The specified target group {arn} does not exist.")
    group = found.body
    mode = definition.get("networkMode") or "bridge"
    target_type = group.get("target_type", "instance")
    if (target_type == "ip") != (mode == "awsvpc"):
        raise invalid(
            f"The provided target group {arn} has target type {target_type}, which is incompatible "
            f"with the {mode} network mode specified in the task definition."
        )
    check = group.get("check") or {}
    if not all(host_ports) and check.get("number_text", TRAFFIC_PORT) != TRAFFIC_PORT:
        raise invalid(
            "The task definition is configured to use a dynamic host port, but the target group with "
            f"targetGroupArn {arn} has a health check port specified."
        )
    if not await _is_used(face, arn):
        raise invalid(
            f"The target group with targetGroupArn {arn} does not have an associated load balancer."
        )


async def _is_used(face: Face, arn: str) -> bool:
    for kind in USER_KINDS:
        for document in await face.documents.list(kind):
            if arn in _texts(document.body.get("action")):
                return True
    return False


def _texts(value: Any) -> set[str]:
    """Every text within a stored value."""
    if isinstance(value, str):
        return {value}
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, list):
        return set()
    return set[str]().union(*map(_texts, items))


def _host_ports(definition: Body, balanced: Body) -> list[int]:
    """The host ports of what is balanced; 0 is a dynamic one."""
    mode = definition.get("networkMode") or "bridge"
    return [
        mapping["containerPort"] if mode in ("host", "awsvpc") else mapping.get("hostPort") or 0
        for container in definition["containerDefinitions"]
        if container["name"] == balanced["containerName"]
        for mapping in container.get("portMappings") or ()
        if mapping.get("containerPort") == balanced["containerPort"]
    ]
