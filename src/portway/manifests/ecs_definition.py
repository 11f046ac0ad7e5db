"""A task definition: what was asked for -> what ECS registers, every documented default filled in. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from portway.manifests.ecs_fields import SHOWN_ONLY
from portway.manifests.ecs_rules import definition_faults
from portway.manifests.ecs_shape import Fault, task_shape

Body = Mapping[str, Any]

_DOCKER_API = "com.amazonaws.ecs.capability.docker-remote-api"
_CHECK_DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3}
_LISTS = ("portMappings", "environment", "mountPoints", "volumesFrom", "systemControls")
_ECR = re.compile(r"[0-9]{12}\.dkr\.ecr\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A document that was looked at: `faults` say why it cannot be used, `ignored` what of it has no effect."""

    body: Body
    faults: tuple[Fault, ...]
    ignored: tuple[Fault, ...]


def check_definition(value: Any) -> Checked:
    """A task definition as RegisterTaskDefinition takes it, or as DescribeTaskDefinition gives it. Nothing is filled in."""
    shape = task_shape(value)
    if shape.faults:
        return Checked(body={}, faults=shape.faults, ignored=shape.ignored)
    body = {k: v for k, v in value.items() if v is not None and k not in SHOWN_ONLY}
    return Checked(body=body, faults=tuple(definition_faults(body)), ignored=shape.ignored)


def registered(body: Body) -> dict[str, Any]:
    """A sound task definition as AWS shows it: with its defaults, and without tags, which are shown beside it."""
    shown = {key: deepcopy(value) for key, value in body.items() if key != "tags"}
    mode = body.get("networkMode") or "bridge"
    shown["containerDefinitions"] = [
        _container(container, mode) for container in shown["containerDefinitions"]
    ]
    shown.setdefault("volumes", [])
    shown.setdefault("placementConstraints", [])
    shown["requiresAttributes"] = [{"name": name} for name in _attributes(shown, mode)]
    shown["compatibilities"] = _compatibilities(shown, mode)
    return shown


def _container(container: Mapping[str, Any], mode: str) -> dict[str, Any]:
    filled: dict[str, Any] = {"cpu": 0, "essential": True, **_without_nulls(container)}
    for key in _LISTS:
        filled.setdefault(key, [])
    filled["portMappings"] = [_mapping(mapping, mode) for mapping in filled["portMappings"]]
    if filled.get("healthCheck") is not None:
        filled["healthCheck"] = {**_CHECK_DEFAULTS, **_without_nulls(filled["healthCheck"])}
    return filled


def _mapping(mapping: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """Protocol and host port are shown though they were not given; a range has no host port before it runs."""
    filled = _without_nulls(mapping)
    filled["protocol"] = "udp" if filled.get("protocol") == "udp" else "tcp"
    if "containerPortRange" not in filled:
        own = filled["containerPort"] if mode in ("host", "awsvpc") else 0
        filled["hostPort"] = filled.get("hostPort") or own
    return filled


def _without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _compatibilities(body: Body, mode: str) -> list[str]:
    found = ["EC2"] if mode == "awsvpc" else ["EXTERNAL", "EC2"]
    containers = body["containerDefinitions"]
    plain = not any(c.get("links") or c.get("privileged") for c in containers)
    if mode == "awsvpc" and body.get("cpu") and body.get("memory") and plain:
        found.append("FARGATE")
    return found


def _attributes(body: Body, mode: str) -> list[str]:
    """What a container instance must be able to do, as AWS derives it."""
    found = {f"{_DOCKER_API}.1.18"}
    for container in body["containerDefinitions"]:
        found.update(_attributes_of(container, body))
    if mode == "awsvpc":
        found |= {"ecs.capability.task-eni", f"{_DOCKER_API}.1.17"}
    if body.get("taskRoleArn"):
        host = "-network-host" if mode == "host" else ""
        found |= {f"com.amazonaws.ecs.capability.task-iam-role{host}", f"{_DOCKER_API}.1.17"}
    for volume in body.get("volumes") or ():
        driver = (volume.get("dockerVolumeConfiguration") or {}).get("driver")
        if driver:
            found.add(f"ecs.capability.docker-plugin.{driver}")
    return sorted(found)


def _attributes_of(container: Body, body: Body) -> Iterator[str]:
    if container.get("privileged"):
        yield "com.amazonaws.ecs.capability.privileged-container"
    if container.get("memoryReservation") is not None:
        yield f"{_DOCKER_API}.1.21"
    if container.get("dependsOn"):
        yield "ecs.capability.container-ordering"
    if container.get("healthCheck"):
        yield "ecs.capability.container-health-check"
        yield f"{_DOCKER_API}.1.24"
    if any(m.get("containerPortRange") for m in container["portMappings"]):
        yield "ecs.capability.container-port-range"
    if _ECR.match(container["image"]):
        yield "com.amazonaws.ecs.capability.ecr-auth"
        if body.get("executionRoleArn"):
            yield "ecs.capability.execution-role-ecr-pull"
    driver = (container.get("logConfiguration") or {}).get("logDriver")
    if driver:
        yield f"com.amazonaws.ecs.capability.logging-driver.{driver}"
        if driver == "awslogs" and body.get("executionRoleArn"):
            yield "ecs.capability.execution-role-awslogs"
    for secret in container.get("secrets") or ():
        kind = "asm" if ":secretsmanager:" in secret["valueFrom"] else "ssm"
        yield f"ecs.capability.secrets.{kind}.environment-variables"


def overridden(body: Body, overrides: Body) -> tuple[dict[str, Any], list[str]]:
    """A task definition with the overrides of RunTask; and the containers named there that it does not have."""
    changed = {**deepcopy(dict(body))}
    for key in ("cpu", "memory", "taskRoleArn", "executionRoleArn"):
        if overrides.get(key):
            changed[key] = overrides[key]
    containers = {container["name"]: container for container in changed["containerDefinitions"]}
    strangers: list[str] = []
    for override in overrides.get("containerOverrides") or ():
        name = override.get("name") or ""
        container = containers.get(name)
        if container is None:
            strangers.append(name)
            continue
        for key in ("command", "cpu", "memory", "memoryReservation"):
            if override.get(key) is not None:
                container[key] = override[key]
        given = {pair.get("name") or "": pair for pair in override.get("environment") or ()}
        kept = [p for p in container.get("environment") or () if p["name"] not in given]
        container["environment"] = [*kept, *given.values()]
    return changed, strangers
