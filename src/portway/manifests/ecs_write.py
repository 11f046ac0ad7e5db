"""Apps -> task definitions and services of ECS, as JSON files have them, and what of the Apps they do not say. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from portway.core.app import (
    App,
    Breaker,
    CheckKind,
    ContainerOptions,
    Exposure,
    HealthCheck,
    NetworkMode,
    PortSpec,
    Protocol,
    Resources,
    Volume,
    VolumeKind,
)
from portway.core.containers import Member, members
from portway.core.errors import ManifestError
from portway.core.log_streams import LOG_LABEL
from portway.manifests.ecs import parse_documents
from portway.manifests.ecs_values import MIB
from portway.manifests.losses import Loss, is_setting, losses

_MODES = {
    NetworkMode.BRIDGE: "bridge",
    NetworkMode.HOST: "host",
    NetworkMode.OWN: "awsvpc",
    NetworkMode.NONE: "none",
}
_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_PORT_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
_MEMORY_MIB = 256  # of a container that asks for none: ECS wants to be told

_REASONS = {
    "name": "names are lower-case letters, digits and - there",
    "image": "ECS runs images",
    "build": "ECS runs images: build it, push it, and write its name as image",
    "command": "an empty one cannot be said",
    "entrypoint": "an empty one cannot be said",
    "depends_on": "services of ECS do not wait for each other",
    "links": "other services are found by name, without the variables of a link",
    "expose": "without a link nobody asks for it",
    "readiness": "ECS knows health alone",
    "restart": "ECS replaces whatever ends",
    "networks": "services share the network of their stack",
    "stop_signal": "on ECS it is the image's own (STOPSIGNAL)",
    "health": "a check of ECS is a command, with whole seconds within its bounds",
    "rollout.strategy": "it is an option of portway deploy",
    "rollout": "a service of ECS has minimum and maximum percent and a breaker",
    "ports": "a port mapping of ECS has a container port, a host port and a protocol",
    "resources.memory_reservation_bytes": f"ECS wants a limit or a reservation; {_MEMORY_MIB} MiB are written",
    "resources": "ECS counts whole MiB and units of 1/1024 processor",
    "volumes": "ECS has host paths, volumes of the task and shared Docker volumes",
    "stop_grace_s": "ECS counts whole seconds",
    "start_shift": "it is of portway start",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenEcs:
    """The documents, in the order of the Apps, and what they do not say."""

    definitions: tuple[Mapping[str, Any], ...]
    services: tuple[Mapping[str, Any], ...]
    losses: tuple[Loss, ...]

    @property
    def document(self) -> dict[str, Any]:
        """All of it as one document that `portway deploy` takes."""
        return {"taskDefinitions": list(self.definitions), "services": list(self.services)}


def write_ecs(apps: Sequence[App]) -> WrittenEcs:
    """A task definition and a service for each App."""
    definitions = tuple(_definition(app) for app in apps)
    services = tuple(_service(app) for app in apps)
    written = WrittenEcs(definitions=definitions, services=services, losses=())
    stack = apps[0].stack if apps else ""
    try:
        read = parse_documents({"written": written.document}, stack=stack).apps
    except ManifestError as error:
        found = (Loss(app=stack, path=p.path, message=p.message) for p in error.problems)
        return replace(written, losses=tuple(found))
    return replace(written, losses=losses(apps, read, reasons=_REASONS))


def _family(app: App) -> str:
    return _NAME.sub("-", app.name)


def _definition(app: App) -> dict[str, Any]:
    mode = _MODES.get(app.network_mode)
    group = members(app)
    volumes = {name: spec for member in group for name, spec in _volumes(member.app.volumes)}
    return _said(
        {
            "family": _family(app),
            "networkMode": mode,
            "containerDefinitions": [_container(app, member) for member in group],
            "volumes": [{"name": name, **spec} for name, spec in volumes.items()],
            "placementConstraints": [
                {"type": "memberOf", "expression": text} for text in app.placement.members
            ],
        }
    )


def _service(app: App) -> dict[str, Any]:
    rollout, default = app.rollout, Breaker()
    bounds: dict[str, Any] = {
        "minimumHealthyPercent": min(rollout.minimum_percent, 100),
        "maximumPercent": min(max(rollout.maximum_percent, 100), 200),
    }
    if rollout.breaker != default:
        breaker = rollout.breaker
        bounds["deploymentCircuitBreaker"] = _said(
            {
                "enable": breaker.enabled,
                "rollback": breaker.rollback,
                "resetOnHealthyTask": breaker.reset,
                "thresholdConfiguration": {"type": "COUNT", "value": breaker.threshold} if breaker.threshold else None,
            }
        )  # fmt: skip
    if bounds["minimumHealthyPercent"] == bounds["maximumPercent"] == 100:
        bounds["minimumHealthyPercent"] = 0  # ECS refuses both at 100
    return {
        "serviceName": app.name,
        "taskDefinition": _family(app),
        "desiredCount": 1 if app.count is None else app.count,
        "deploymentConfiguration": bounds,
    }


def _container(whole: App, member: Member) -> dict[str, Any]:
    app = member.app
    is_first = member.app is whole
    ports = [s for s in whole.ports if s.container == ("" if is_first else member.name)]
    resources, options = app.resources, app.container
    said = {
        "name": _NAME.sub("-", member.name),
        "image": app.image or f"{_family(whole).lower()}:latest",
        **_sizes(resources),
        "essential": None if member.essential else False,
        "command": list(app.command or ()),
        "entryPoint": list(app.entrypoint or ()),
        "environment": [{"name": k, "value": v} for k, v in app.environment.items()],
        "portMappings": [m for spec in ports if (m := _mapping(spec)) is not None],
        "links": [name if name == alias else f"{name}:{alias}" for name, alias in member.links],
        "mountPoints": list(_mount_points(app.volumes)),
        "volumesFrom": [
            {"sourceContainer": n, "readOnly": read_only} for n, read_only in member.volumes_from
        ],
        "dependsOn": [
            {"containerName": each.name, "condition": each.condition.value}
            for each in (whole.container_depends_on if is_first else _written_waits(whole, member))
        ],
        "extraHosts": [{"hostname": n, "ipAddress": a} for n, a in app.extra_hosts],
        "healthCheck": _check(app.health),
        "user": app.user,
        "workingDirectory": app.working_dir,
        "stopTimeout": round(app.stop_grace_s),
        **_labels(app.labels),
        **_options(options, resources, app.volumes),
    }
    return {**_said(said), "stopTimeout": said["stopTimeout"]}


def _written_waits(whole: App, member: Member) -> Sequence[Any]:
    return next(c.depends_on for c in whole.containers if c.name == member.name)


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing; false and 0 say something."""
    return {k: v for k, v in values.items() if v is not None and v not in ("", [], {})}


def _sizes(resources: Resources) -> dict[str, Any]:
    hard, soft = resources.memory_bytes, resources.memory_reservation_bytes
    none = hard is None and soft is None
    shares = resources.cpu_shares
    units = shares if shares is not None else round((resources.cpus or 0) * 1024) or None
    return {
        "cpu": units,
        "memory": hard // MIB if hard else None,
        "memoryReservation": soft // MIB if soft else _MEMORY_MIB if none else None,
    }


def _mapping(spec: PortSpec) -> dict[str, Any] | None:
    """A port as its listener has it; what only the stack reaches needs no mapping."""
    if spec.exposure is Exposure.INTERNAL or not spec.container_port:
        return None
    listener = spec.service_ports[0] if spec.service_ports else spec.host_port
    if listener is None and spec.ephemeral:
        listener = 0
    mapping = _said(
        {
            "containerPort": spec.container_port,
            "hostPort": listener,
            "protocol": "udp" if spec.protocol is Protocol.UDP else None,
        }
    )
    if spec.name != str(listener or spec.container_port) and _PORT_NAME.fullmatch(spec.name):
        mapping["name"] = spec.name
    return mapping


def _check(check: HealthCheck) -> dict[str, Any] | None:
    if check.kind is CheckKind.NONE:
        return {"command": ["NONE"]}
    if check.kind is not CheckKind.COMMAND or not check.command:
        return None
    words = list(check.command)
    return {
        "command": words if words[0] in ("CMD", "CMD-SHELL") else ["CMD", *words],
        "interval": min(max(round(check.interval_s), 5), 300),
        "timeout": min(max(round(check.timeout_s), 2), 120),
        "retries": min(check.unhealthy_threshold, 10),
        "startPeriod": min(round(check.start_period_s), 300),
    }


def _labels(labels: Mapping[str, str]) -> dict[str, Any]:
    """Labels, and what of them is the log group of AWS."""
    logs = {k.removeprefix(LOG_LABEL): v for k, v in labels.items() if k.startswith(LOG_LABEL)}
    own = {k: v for k, v in labels.items() if not k.startswith(LOG_LABEL) and not is_setting(k)}
    log = {"logConfiguration": {"logDriver": "awslogs", "options": logs}} if logs else {}
    return {"dockerLabels": own, **log}


def _options(
    options: ContainerOptions, resources: Resources, volumes: Sequence[Volume]
) -> dict[str, Any]:
    said: dict[str, Any] = {
        "hostname": options.hostname,
        "privileged": options.privileged or None,
        "readonlyRootFilesystem": options.read_only or None,
        "pseudoTerminal": options.tty or None,
        "interactive": options.interactive or None,
        "dnsServers": list(options.dns),
        "dnsSearchDomains": list(options.dns_search),
        "dockerSecurityOptions": list(options.security_opt),
        "ulimits": [
            {"name": name, "softLimit": soft, "hardLimit": hard}
            for name, (soft, hard) in options.ulimits.items()
        ],
        "systemControls": [{"namespace": k, "value": v} for k, v in options.sysctls.items()],
        "linuxParameters": _parameters(options, resources, volumes),
    }
    if options.log_driver:
        log = {"logDriver": options.log_driver, "options": dict(options.log_options)}
        said["logConfiguration"] = _said(log)
    return said


def _parameters(
    options: ContainerOptions, resources: Resources, volumes: Sequence[Volume]
) -> dict[str, Any]:
    capabilities = {"add": list(options.cap_add), "drop": list(options.cap_drop)}
    tmpfs = [
        _said(
            {
                "containerPath": volume.target,
                "size": (volume.size_bytes or 0) // MIB or None,
                "mountOptions": list(volume.options),
            }
        )
        for volume in volumes
        if volume.kind is VolumeKind.TMPFS
    ]
    swap = resources.swap_bytes
    return _said(
        {
            "capabilities": _said(capabilities),
            "devices": [_device(text) for text in options.devices],
            "initProcessEnabled": options.init or None,
            "sharedMemorySize": (options.shm_size_bytes or 0) // MIB or None,
            "tmpfs": tmpfs,
            "maxSwap": None if swap is None else swap // MIB,
            "swappiness": resources.swappiness,
        }
    )


def _device(text: str) -> dict[str, Any]:
    host, _, rest = text.partition(":")
    inside, _, letters = rest.partition(":")
    names = {"r": "read", "w": "write", "m": "mknod"}
    return _said(
        {
            "hostPath": host,
            "containerPath": inside or host,
            "permissions": [names[letter] for letter in letters or "rwm" if letter in names],
        }
    )


def _volumes(volumes: Sequence[Volume]) -> Iterator[tuple[str, dict[str, Any]]]:
    for volume in volumes:
        name = _volume_name(volume)
        if volume.kind is VolumeKind.BIND:
            yield name, {"host": {"sourcePath": volume.source}}
        elif volume.kind is VolumeKind.NAMED and volume.source and not volume.of_instance:
            shared: dict[str, Any] = {
                "scope": "shared",
                "autoprovision": not volume.external,
                "driver": volume.driver,
                "driverOpts": dict(volume.driver_options),
            }
            yield name, {"dockerVolumeConfiguration": _said(shared)}
        elif volume.kind is VolumeKind.NAMED:
            own = _said({"driver": volume.driver, "driverOpts": dict(volume.driver_options)})
            of_task = {"dockerVolumeConfiguration": {"scope": "task", **own}}
            yield name, of_task if own else {"host": {}}


def _volume_name(volume: Volume) -> str:
    named = volume.source if volume.kind is VolumeKind.NAMED and volume.source else volume.target
    return _NAME.sub("-", named).strip("-") or "root"


def _mount_points(volumes: Sequence[Volume]) -> Iterator[dict[str, Any]]:
    for volume in volumes:
        if volume.kind is not VolumeKind.TMPFS:
            point = {"sourceVolume": _volume_name(volume), "containerPath": volume.target}
            yield {**point, **({"readOnly": True} if volume.read_only else {})}
