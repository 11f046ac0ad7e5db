"""What a task definition must fulfil beyond its shape. The texts that are AWS's own are marked so; the others are ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from portway.manifests.ecs_ports import port_faults
from portway.manifests.ecs_shape import Fault
from portway.manifests.ecs_values import cpu_units, memory_mib
from portway.manifests.json_reader import Where
from portway.manifests.tree import shown

Body = Mapping[str, Any]

CONTAINERS_MAX = 10  # a quota of ECS that cannot be raised
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_IMAGE_LENGTH_MAX = 255
_MEMORY_MIN_MIB = 6  # Docker's own minimum
_CHECK_LIMITS = {
    "interval": (5, 300),
    "timeout": (2, 120),
    "retries": (1, 10),
    "startPeriod": (0, 300),
}


def definition_faults(body: Body) -> Iterator[Fault]:
    """Everything wrong with a task definition of the right shape."""
    yield from _family(body)
    yield from _sizes(body)
    containers: list[Body] = list(body.get("containerDefinitions") or ())
    if not containers:
        yield Fault(where=("containerDefinitions",), message="Container list cannot be empty.", aws=True)  # fmt: skip
        return
    if (
        len(containers) > CONTAINERS_MAX
    ):  # and not a word more: some of what follows compares all with all
        hint = f"A task definition has at most {CONTAINERS_MAX}; this one has {len(containers)}."
        yield Fault(where=("containerDefinitions", CONTAINERS_MAX), message="Too many containers.", hint=hint, aws=True)  # fmt: skip
        return
    yield from _containers(containers)
    for index, container in enumerate(containers):
        yield from _container(body, container, ("containerDefinitions", index))
    yield from port_faults(body)
    yield from _dependencies(containers)
    yield from _volumes(body, containers)
    yield from _platform(body)


def _family(body: Body) -> Iterator[Fault]:
    family = body.get("family") or ""
    if not family:
        hint = "Give the task definition a name: letters, digits, - and _."
        yield Fault(where=("family",), message="Family should not be null or empty.", hint=hint, aws=True)  # fmt: skip
    elif not _NAME.fullmatch(family):
        yield Fault(where=("family",), message="Family contains invalid characters.", aws=True)


def _sizes(body: Body) -> Iterator[Fault]:
    if body.get("cpu") and cpu_units(body["cpu"]) is None:
        told = f"Invalid 'cpu' setting for task: '{shown(body['cpu'])}' is no number of units and no number of vCPU."
        yield Fault(where=("cpu",), message=told, hint="For instance 256, or .25 vCPU.")
    if body.get("memory") and memory_mib(body["memory"]) is None:
        told = f"Invalid 'memory' setting for task: '{shown(body['memory'])}' is no number of MiB and no number of GB."
        yield Fault(where=("memory",), message=told, hint="For instance 512, or 0.5 GB.")


def _containers(containers: list[Body]) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, container in enumerate(containers):
        name = container.get("name") or ""
        if name and name in seen:
            told = f"Two containers are called '{shown(name)}'."
            yield Fault(where=("containerDefinitions", index, "name"), message=told)
        seen.add(name)
    if all(container.get("essential") is False for container in containers):
        told = "At least one container must be essential: without one a task would never end."
        yield Fault(where=("containerDefinitions",), message=told)


def _container(body: Body, container: Body, where: Where) -> Iterator[Fault]:
    name = container.get("name") or ""
    for key in ("name", "image"):
        if not container.get(key):
            told = f"Container.{key} should not be null or empty."
            yield Fault(where=(*where, key), message=told, aws=True)
    if name and not _NAME.fullmatch(name):
        told = f"Container name '{shown(name)}' is invalid: use up to 255 letters, digits, - and _."
        yield Fault(where=(*where, "name"), message=told)
    if len(container.get("image") or "") > _IMAGE_LENGTH_MAX:
        told = f"Container.image should be {_IMAGE_LENGTH_MAX} characters or less"
        yield Fault(where=(*where, "image"), message=told, aws=True)
    if any(c.isspace() for c in container.get("image") or ""):
        yield Fault(where=(*where, "image"), message="The name of an image holds no spaces.")
    yield from _memory(body, container, where)
    yield from _pairs(container, where)
    yield from _check(container, where)
    log = container.get("logConfiguration") or {}
    if log.get("logDriver") == "awsfirelens":
        told = "awsfirelens is not supported: no log router is run."
        hint = "Use a driver of Docker's, or awslogs."
        yield Fault(where=(*where, "logConfiguration", "logDriver"), message=told, hint=hint)
    if log.get("logDriver") == "awslogs" and not (log.get("options") or {}).get("awslogs-group"):
        told = "Log driver awslogs requires options: awslogs-group"
        yield Fault(where=(*where, "logConfiguration", "options"), message=told)


def _memory(body: Body, container: Body, where: Where) -> Iterator[Fault]:
    name = container.get("name") or ""
    hard, soft = container.get("memory"), container.get("memoryReservation")
    setting = f"Invalid setting for container '{name}'."
    if hard is None and soft is None and not body.get("memory"):
        told = f"{setting} At least one of 'memory' or 'memoryReservation' must be specified."
        yield Fault(where=where, message=told, aws=True)
    for key, value in (("memory", hard), ("memoryReservation", soft)):
        if value is not None and value < _MEMORY_MIN_MIB:
            told = f"{setting} '{key}' is {value} MiB; Docker gives no container less than {_MEMORY_MIN_MIB}."
            yield Fault(where=(*where, key), message=told)
    if hard is not None and soft is not None and soft > hard:
        told = f"{setting} 'memoryReservation' ({soft}) is more than 'memory' ({hard})."
        yield Fault(where=(*where, "memoryReservation"), message=told)
    whole = memory_mib(body["memory"]) if body.get("memory") else None
    if hard is not None and whole is not None and hard > whole:
        told = f"{setting} 'memory' ({hard}) is more than the task's ({whole})."
        yield Fault(where=(*where, "memory"), message=told)
    if (container.get("cpu") or 0) < 0:
        yield Fault(where=(*where, "cpu"), message=f"{setting} 'cpu' is less than 0.")


def _pairs(container: Body, where: Where) -> Iterator[Fault]:
    """Entries that are nothing without their names."""
    needed = {
        "environment": ("name",),
        "secrets": ("name", "valueFrom"),
        "mountPoints": ("sourceVolume", "containerPath"),
        "volumesFrom": ("sourceContainer",),
        "dependsOn": ("containerName", "condition"),
        "extraHosts": ("hostname", "ipAddress"),
        "systemControls": ("namespace", "value"),
        "ulimits": ("name", "softLimit", "hardLimit"),
    }
    for key, members in needed.items():
        for index, item in enumerate(container.get(key) or ()):
            for member in members:
                if item.get(member) in (None, ""):
                    told = f"{member} should not be null or empty."
                    yield Fault(where=(*where, key, index, member), message=told)
    parameters = container.get("linuxParameters") or {}
    for index, tmpfs in enumerate(parameters.get("tmpfs") or ()):
        if not tmpfs.get("containerPath"):
            told = "containerPath should not be null or empty."
            yield Fault(where=(*where, "linuxParameters", "tmpfs", index), message=told)
    swappiness = parameters.get("swappiness")
    if swappiness is not None and not 0 <= swappiness <= 100:
        yield Fault(where=(*where, "linuxParameters", "swappiness"), message="swappiness is 0 to 100.")  # fmt: skip
    for key in ("startTimeout", "stopTimeout"):
        if container.get(key) is not None and container[key] < 0:
            yield Fault(where=(*where, key), message=f"{key} is less than 0.")


def _check(container: Body, where: Where) -> Iterator[Fault]:
    check = container.get("healthCheck")
    if check is None:
        return
    command = check.get("command") or []
    if not command or command[0] not in ("CMD", "CMD-SHELL", "NONE"):
        told = "The command of a health check begins with CMD, CMD-SHELL or NONE."
        yield Fault(where=(*where, "healthCheck", "command"), message=told)
    elif command[0] != "NONE" and len(command) < 2:
        told = "The health check names no command to run."
        yield Fault(where=(*where, "healthCheck", "command"), message=told)
    for key, (low, high) in _CHECK_LIMITS.items():
        value = check.get(key)
        if value is not None and not low <= value <= high:
            told = f"healthCheck.{key} is {low} to {high}, not {value}."
            yield Fault(where=(*where, "healthCheck", key), message=told)


def _dependencies(containers: list[Body]) -> Iterator[Fault]:
    by_name = {container.get("name") or "": container for container in containers}
    edges: dict[str, set[str]] = {name: set() for name in by_name}
    for index, container in enumerate(containers):
        where: Where = ("containerDefinitions", index)
        name = container.get("name") or ""
        for nth, item in enumerate(container.get("dependsOn") or ()):
            yield from _dependency(item, by_name, (*where, "dependsOn", nth))
            edges[name].add(item.get("containerName") or "")
        for nth, item in enumerate(container.get("volumesFrom") or ()):
            source = item.get("sourceContainer") or ""
            edges[name].add(source)
            if source and source not in by_name:
                yield Fault(where=(*where, "volumesFrom", nth), message=_stranger(source))
        for nth, link in enumerate(container.get("links") or ()):
            target = link.partition(":")[0]
            edges[name].add(target)
            if target not in by_name:
                yield Fault(where=(*where, "links", nth), message=_stranger(target))
    if _is_circular(edges):
        told = "The containers wait for each other in a circle, through dependsOn, links or volumesFrom."
        yield Fault(where=("containerDefinitions",), message=told)


def _stranger(name: str) -> str:
    return f"'{shown(name)}' is none of the task's containers."


def _dependency(item: Body, by_name: Mapping[str, Body], where: Where) -> Iterator[Fault]:
    name, condition = item.get("containerName") or "", item.get("condition") or ""
    target = by_name.get(name)
    if target is None:
        if name:
            yield Fault(where=(*where, "containerName"), message=_stranger(name))
        return
    if condition == "HEALTHY" and not target.get("healthCheck"):
        told = f"'{shown(name)}' has no health check, so it is never HEALTHY."
        yield Fault(where=(*where, "condition"), message=told, hint="Give it one, or wait for START.")  # fmt: skip
    if condition in ("COMPLETE", "SUCCESS") and target.get("essential") is not False:
        told = f"'{shown(name)}' is essential: its end is the end of the task, so nothing can wait for it."
        yield Fault(where=(*where, "condition"), message=told, hint="Set its essential to false.")


def _is_circular(edges: Mapping[str, set[str]]) -> bool:
    left = {name: {other for other in others if other in edges} for name, others in edges.items()}
    while left:
        free = {name for name, others in left.items() if not others}
        if not free:
            return True
        left = {name: others - free for name, others in left.items() if name not in free}
    return False


def _volumes(body: Body, containers: list[Body]) -> Iterator[Fault]:
    names: set[str] = set()
    for index, volume in enumerate(body.get("volumes") or ()):
        where: Where = ("volumes", index)
        name = volume.get("name") or ""
        if not _NAME.fullmatch(name):
            told = (
                f"Volume name '{shown(name)}' is invalid: use up to 255 letters, digits, - and _."
            )
            yield Fault(where=(*where, "name"), message=told)
        if name in names:
            yield Fault(where=(*where, "name"), message=f"Two volumes are called '{shown(name)}'.")
        names.add(name)
        source = (volume.get("host") or {}).get("sourcePath") or ""
        if source and volume.get("dockerVolumeConfiguration"):
            told = "A volume has either a host path or a Docker volume configuration, not both."
            yield Fault(where=where, message=told)
        if source and not source.startswith("/"):
            yield Fault(where=(*where, "host", "sourcePath"), message="The path of a host volume begins with '/'.")  # fmt: skip
    for index, container in enumerate(containers):
        for nth, point in enumerate(container.get("mountPoints") or ()):
            place: Where = ("containerDefinitions", index, "mountPoints", nth)
            source = point.get("sourceVolume") or ""
            if source and source not in names:
                yield Fault(where=(*place, "sourceVolume"), message=f"Unknown volume '{shown(source)}'.")  # fmt: skip
            if not (point.get("containerPath") or "/").startswith("/"):
                yield Fault(where=(*place, "containerPath"), message="A container path begins with '/'.")  # fmt: skip


def _platform(body: Body) -> Iterator[Fault]:
    system = (body.get("runtimePlatform") or {}).get("operatingSystemFamily") or ""
    if system.upper().startswith("WINDOWS"):
        told = "Windows containers cannot run here."
        yield Fault(where=("runtimePlatform", "operatingSystemFamily"), message=told)
    if "FARGATE" not in (body.get("requiresCompatibilities") or ()):
        return
    if (body.get("networkMode") or "bridge") != "awsvpc":
        told = "Fargate only supports network mode ‘awsvpc’."
        yield Fault(where=("networkMode",), message=told, aws=True)
    for key in ("cpu", "memory"):
        if not body.get(key):
            told = f"Fargate requires that '{key}' be defined at the task level."
            yield Fault(where=(key,), message=told, aws=True)
