"""A service as CreateService takes it -> what it says of an App: how many, how they are replaced, where they run, who balances. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from portway.core.app import (
    App,
    Breaker,
    CheckKind,
    Exposure,
    HealthCheck,
    NetworkMode,
    Placement,
    PortSpec,
    Rollout,
    SpreadKind,
    TargetBinding,
)
from portway.manifests.ecs_definition import Checked
from portway.manifests.ecs_fields import SHOWN_ONLY
from portway.manifests.ecs_ports import Reach
from portway.manifests.ecs_shape import Fault, service_shape
from portway.manifests.json_reader import Where
from portway.manifests.tree import shown

Body = Mapping[str, Any]

COUNT_MAX = 5000  # tasks of a service, a quota of ECS
STRATEGIES_MAX, CONSTRAINTS_MAX = 5, 10
TARGETS_MAX = 5  # target groups of a service
_BREAKER_MIN, _BREAKER_MAX = 3, 200
_BREAKER_PERCENT = 50


def check_service(value: Any) -> Checked:
    """A service as CreateService takes it, or as DescribeServices gives it. Nothing is filled in."""
    shape = service_shape(value)
    if shape.faults:
        return Checked(body={}, faults=shape.faults, ignored=shape.ignored)
    body = {k: v for k, v in value.items() if v is not None and k not in SHOWN_ONLY}
    return Checked(body=body, faults=tuple(service_faults(body)), ignored=shape.ignored)


def service_faults(body: Body) -> Iterator[Fault]:
    """Everything wrong with a service of the right shape, whatever its task definition is."""
    count = body.get("desiredCount")
    if count is not None and not 0 <= count <= COUNT_MAX:
        yield Fault(where=("desiredCount",), message=f"desiredCount is 0 to {COUNT_MAX}.")
    if len(body.get("loadBalancers") or ()) > TARGETS_MAX:
        told = f"load balancers can have at most {TARGETS_MAX} items."
        yield Fault(where=("loadBalancers", TARGETS_MAX), message=told, aws=True)
    yield from _deployment_faults(body)
    if body.get("healthCheckGracePeriodSeconds") is not None and not body.get("loadBalancers"):
        told = (
            "Health check grace period is only valid for services configured to use load balancers"
        )
        yield Fault(where=("healthCheckGracePeriodSeconds",), message=told, aws=True)
    for key, most in (("placementStrategy", STRATEGIES_MAX), ("placementConstraints", CONSTRAINTS_MAX)):  # fmt: skip
        if len(body.get(key) or ()) > most:
            yield Fault(where=(key,), message=f"{key} has at most {most} entries.")
    if (body.get("schedulingStrategy") or "REPLICA") == "DAEMON" and body.get("placementStrategy"):
        told = "A DAEMON service has no placement strategy: it runs once on every node."
        yield Fault(where=("placementStrategy",), message=told)
    yield from _placement_faults(body)


def _deployment_faults(body: Body) -> Iterator[Fault]:
    deployment = body.get("deploymentConfiguration") or {}
    where: Where = ("deploymentConfiguration",)
    low, high = percentages(body)
    if not 0 <= low <= 100:
        yield Fault(where=(*where, "minimumHealthyPercent"), message="minimumHealthyPercent is 0 to 100.")  # fmt: skip
    if not 100 <= high <= 200:
        yield Fault(where=(*where, "maximumPercent"), message="maximumPercent is 100 to 200.")
    if low == high == 100:
        told = "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."
        yield Fault(where=where, message=told, aws=True)
    if (deployment.get("strategy") or "ROLLING") != "ROLLING":
        told = f"{deployment['strategy']} is not supported in a service."
        hint = "Leave it out; portway deploy has --canary and --blue-green."
        yield Fault(where=(*where, "strategy"), message=told, hint=hint)
    controller = (body.get("deploymentController") or {}).get("type") or "ECS"
    if controller != "ECS":
        told = (
            f"The deployment controller {controller} is not supported: portway deploys as ECS does."
        )
        yield Fault(where=("deploymentController", "type"), message=told)
    threshold = (deployment.get("deploymentCircuitBreaker") or {}).get("thresholdConfiguration")
    if threshold is not None and not 1 <= (threshold.get("value") or _BREAKER_PERCENT) <= 1000:
        place = (*where, "deploymentCircuitBreaker", "thresholdConfiguration", "value")
        yield Fault(where=place, message="The threshold is 1 to 1000.")


def _placement_faults(body: Body) -> Iterator[Fault]:
    for index, item in enumerate(body.get("placementStrategy") or ()):
        kind, field = item.get("type"), item.get("field") or ""
        if kind is None:
            yield Fault(where=("placementStrategy", index), message="A placement strategy has a type.")  # fmt: skip
        elif kind == "binpack" and field.lower() not in ("cpu", "memory"):
            told = "binpack is by cpu or by memory."
            yield Fault(where=("placementStrategy", index, "field"), message=told)
        elif kind == "spread" and not field:
            told = "spread is by instanceId or by an attribute, for instance attribute:ecs.availability-zone."
            yield Fault(where=("placementStrategy", index), message=told)
    for index, item in enumerate(body.get("placementConstraints") or ()):
        if item.get("type") == "memberOf" and not item.get("expression"):
            told = "memberOf needs an expression."
            yield Fault(where=("placementConstraints", index), message=told)


def balancer_faults(body: Body, definition: Body) -> Iterator[Fault]:
    """What of the service's load balancers its task definition does not have."""
    containers = {c["name"]: c for c in definition["containerDefinitions"]}
    for index, item in enumerate(body.get("loadBalancers") or ()):
        where: Where = ("loadBalancers", index)
        name, container_port = item.get("containerName") or "", item.get("containerPort")
        if name not in containers:
            told = f"The container {name} does not exist in the task definition."
            yield Fault(where=(*where, "containerName"), message=told, aws=True)
            continue
        mapped = {m.get("containerPort") for m in containers[name].get("portMappings") or ()}
        if container_port is None or container_port not in mapped:
            told = f"The container {name} did not have a container port {container_port} defined."
            yield Fault(where=(*where, "containerPort"), message=told, aws=True)
        if not item.get("targetGroupArn") and not item.get("loadBalancerName"):
            told = "A load balancer is named by its targetGroupArn."
            yield Fault(where=where, message=told)


def percentages(body: Body) -> tuple[int, int]:
    """Minimum healthy and maximum percent, with the defaults of the scheduling strategy."""
    deployment = body.get("deploymentConfiguration") or {}
    is_daemon = (body.get("schedulingStrategy") or "REPLICA") == "DAEMON"
    low, high = deployment.get("minimumHealthyPercent"), deployment.get("maximumPercent")
    default_low, default_high = (0, 100) if is_daemon else (100, 200)
    return (default_low if low is None else low), (default_high if high is None else high)


def with_service(app: App, body: Body, *, reach: Reach) -> App:
    """The App of a task definition as a sound service runs it."""
    is_daemon = (body.get("schedulingStrategy") or "REPLICA") == "DAEMON"
    count = body.get("desiredCount")
    targets = tuple(_targets(body))
    made = replace(
        app,
        count=None if is_daemon else count,
        rollout=rollout_of(body, reach=reach),
        targets=targets,
        health_grace_s=float(body.get("healthCheckGracePeriodSeconds") or 0),
        placement=placement_of(body, app.placement),
    )
    return _behind_targets(made) if targets and reach is Reach.LISTENER else made


def rollout_of(body: Body, *, reach: Reach) -> Rollout:
    """As ECS rolls: within its bounds, for as long as it takes, and back only where a breaker says so.

    A service of a file is deployed by somebody who waits: unless it has a breaker of its own, portway's applies.
    """
    low, high = percentages(body)
    breaker = (body.get("deploymentConfiguration") or {}).get("deploymentCircuitBreaker")
    if reach is Reach.LISTENER:
        rollout = Rollout(minimum_percent=low, maximum_percent=high)
        return replace(rollout, breaker=_breaker(breaker, body)) if breaker else rollout
    return Rollout(
        minimum_percent=low,
        maximum_percent=high,
        strict_bounds=True,
        progress_deadline_s=0.0,
        breaker=_breaker(breaker or {}, body),
    )


def _breaker(written: Body, body: Body) -> Breaker:
    return Breaker(
        enabled=bool(written.get("enable")),
        rollback=bool(written.get("rollback")),
        threshold=_threshold(written.get("thresholdConfiguration"), body.get("desiredCount")),
        reset=written.get("resetOnHealthyTask") is not False,
    )


def _threshold(written: Body | None, count: int | None) -> int | None:
    """How many failures; None is half the count within 3 and 200, whatever the count becomes."""
    if not written:
        return None
    kind, value = written.get("type") or "BOUNDED_PERCENT", written.get("value") or _BREAKER_PERCENT
    if kind == "COUNT":
        return value
    share = math.ceil(value / 100 * (count or 1))
    if kind == "UNBOUNDED_PERCENT":
        return max(1, share)
    return None if value == _BREAKER_PERCENT else min(max(share, _BREAKER_MIN), _BREAKER_MAX)


def _targets(body: Body) -> Iterator[TargetBinding]:
    for item in body.get("loadBalancers") or ():
        group = item.get("targetGroupArn") or item.get("loadBalancerName")
        if group:
            yield TargetBinding(
                group=group,
                container=item["containerName"],
                container_port=item["containerPort"],
            )


def placement_of(body: Body, of_task: Placement = Placement()) -> Placement:  # noqa: B008  (a frozen value)
    """Where a service, or RunTask, says its tasks go, besides what the task definition says."""
    constraints: list[Body] = list(body.get("placementConstraints") or ())
    return replace(
        of_task,
        strategies=tuple(
            (SpreadKind(item["type"]), item.get("field") or "")
            for item in body.get("placementStrategy") or ()
        ),
        members=(
            *of_task.members,
            *(c["expression"] for c in constraints if c.get("type") == "memberOf"),
        ),
        distinct=any(c.get("type") == "distinctInstance" for c in constraints),
        daemon=(body.get("schedulingStrategy") or "REPLICA") == "DAEMON",
    )


def _behind_targets(app: App) -> App:
    """Ports that target groups use have no listener of portway's own; the target groups ask whether they are healthy."""
    used = {(target.container, target.container_port) for target in app.targets}
    ports = tuple(_published(app, spec, used) for spec in app.ports)
    asked = app.health.kind is CheckKind.TCP
    health = HealthCheck(kind=CheckKind.NONE) if asked else app.health
    return replace(app, ports=ports, health=health)


def _published(app: App, spec: PortSpec, used: set[tuple[str, int]]) -> PortSpec:
    owner = spec.container or app.container_name
    if (owner, spec.container_port) not in used:
        return spec
    host_port = spec.service_ports[0] if spec.service_ports else spec.host_port
    is_leased = host_port is None and app.network_mode in (NetworkMode.BRIDGE, NetworkMode.STACK)
    return replace(
        spec, exposure=Exposure.HOST, service_ports=(), host_port=host_port, ephemeral=is_leased
    )


def family_of(name: str) -> str:
    """The family of "web", "web:3" or an ARN."""
    return name.rpartition("/")[2].partition(":")[0]


def told_name(body: Body) -> str:
    """What the service is called in a sentence."""
    return shown(body.get("serviceName") or body.get("taskDefinition") or "the service")
