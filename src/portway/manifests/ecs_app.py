"""A sound task definition -> the App that runs it. Pure; what a secret holds is told."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from portway.core.app import (
    App,
    CheckKind,
    Container,
    ContainerCondition,
    ContainerDependency,
    ContainerOptions,
    HealthCheck,
    NetworkMode,
    Placement,
    Resources,
    Volume,
    VolumeKind,
)
from portway.core.log_streams import LOG_LABEL
from portway.manifests.ecs_ports import Reach, ports_of
from portway.manifests.ecs_shape import Fault
from portway.manifests.ecs_values import CPU_UNITS, MIB, cpu_units, memory_mib
from portway.manifests.json_reader import Where

Body = Mapping[str, Any]

START_TIMEOUT_S = 180.0
STOP_GRACE_S = 30.0
_SHARES_MIN = 2  # what Docker takes for least, and what ECS makes of 0
_MODES = {
    "bridge": NetworkMode.BRIDGE,
    "host": NetworkMode.HOST,
    "awsvpc": NetworkMode.OWN,
    "none": NetworkMode.NONE,
}
_DEVICE_LETTERS = {"read": "r", "write": "w", "mknod": "m"}
_SIZED = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How an App is made of a task definition. `secrets`: what each `valueFrom` holds."""

    app_id: str
    reach: Reach = Reach.NODE
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def secret_names(body: Body) -> tuple[str, ...]:
    """Every `valueFrom` of a task definition."""
    names = (
        secret["valueFrom"]
        for container in body.get("containerDefinitions") or ()
        for secret in container.get("secrets") or ()
    )
    return tuple(dict.fromkeys(names))


def secret_faults(body: Body, secrets: Mapping[str, str], *, file: str) -> Iterator[Fault]:
    """The secrets nobody has a value for. `file`: where it would be, with {name} for the secret's."""
    for index, container in enumerate(body.get("containerDefinitions") or ()):
        for nth, secret in enumerate(container.get("secrets") or ()):
            name = secret["valueFrom"]
            if name not in secrets:
                where: Where = ("containerDefinitions", index, "secrets", nth, "valueFrom")
                told = f"the secret {secret['name']} has no value here"
                hint = f"Write it to {file.format(name=secret_file(name))}."
                yield Fault(where=where, message=told, hint=hint)


def secret_file(value_from: str) -> str:
    """The file that stands for a secret: its name in SSM or Secrets Manager, without the rest of its ARN.

    Of arn:...:parameter/prod/db it is prod/db, of arn:...:secret:db-AbCdEf:password:: it is db.
    """
    name = value_from
    if value_from.startswith("arn:"):
        service, resource = (*value_from.split(":", 5), *("",) * 5)[2:6:3]
        if service == "secretsmanager":
            name = re.sub(r"-[A-Za-z0-9]{6}$", "", resource.removeprefix("secret:").partition(":")[0])  # fmt: skip
        else:
            name = resource.removeprefix("parameter")
    return name.strip("/")


def secret_key(value_from: str) -> str:
    """The key of the JSON object that a Secrets Manager secret holds, where its ARN names one; "" is all of it."""
    parts = value_from.split(":")
    return parts[7] if len(parts) > 7 and parts[2] == "secretsmanager" else ""


def app_of(body: Body, making: Making) -> App:
    """The App of a sound task definition; each container's fields are what Docker is asked for."""
    definitions: list[Body] = list(body["containerDefinitions"])
    made = [_container(definition, body, making) for definition in definitions]
    first = made[0]
    mode = _MODES[body.get("networkMode") or "bridge"]
    if making.reach is Reach.LISTENER and not body.get("networkMode"):
        mode = NetworkMode.STACK
    return App(
        id=making.app_id,
        image=first.image,
        command=first.command,
        entrypoint=first.entrypoint,
        environment=first.environment,
        ports=ports_of(body, reach=making.reach),
        health=_app_health(first, making),
        resources=first.resources,
        volumes=first.volumes,
        extra_hosts=first.extra_hosts,
        labels=first.labels,
        user=first.user,
        working_dir=first.working_dir,
        stop_grace_s=first.stop_grace_s,
        container=first.container,
        container_name=first.name,
        essential=first.essential,
        container_links=first.links,
        container_depends_on=first.depends_on,
        volumes_from=first.volumes_from,
        container_start_timeout_s=first.start_timeout_s,
        containers=tuple(made[1:]),
        network_mode=mode,
        placement=_placement(body, making),
    )


def _placement(body: Body, making: Making) -> Placement:
    """On a node of ECS what a task asks for is set aside; a file goes where there is a machine."""
    sizes = Placement(members=tuple(_members(body)))
    if making.reach is Reach.LISTENER:
        return sizes
    return replace(
        sizes,
        reserves=True,
        cpu_units=(cpu_units(body["cpu"]) or 0) if body.get("cpu") else 0,
        memory_bytes=(memory_mib(body["memory"]) or 0) * MIB if body.get("memory") else 0,
    )


def _members(body: Body) -> Iterator[str]:
    for constraint in body.get("placementConstraints") or ():
        if constraint.get("expression"):
            yield constraint["expression"]


def _app_health(first: Container, making: Making) -> HealthCheck:
    """ECS asks nothing of its own accord, and leaves aside what an image checks; a file's listener wants an answer."""
    if first.health is not None:
        return first.health
    return HealthCheck(kind=CheckKind.TCP if making.reach is Reach.LISTENER else CheckKind.NONE)


def _container(definition: Body, body: Body, making: Making) -> Container:
    command, entrypoint = definition.get("command"), definition.get("entryPoint")
    start_s, stop_s = definition.get("startTimeout"), definition.get("stopTimeout")
    return Container(
        name=definition["name"],
        image=definition["image"],
        command=tuple(command) if command else None,
        entrypoint=tuple(entrypoint) if entrypoint else None,
        environment=_environment(definition, making.secrets),
        health=_health(definition),
        resources=_resources(definition, body, making),
        volumes=tuple(_volumes(definition, body, making)),
        volumes_from=tuple(
            (item["sourceContainer"], bool(item.get("readOnly")))
            for item in definition.get("volumesFrom") or ()
        ),
        links=tuple(_link(link) for link in definition.get("links") or ()),
        extra_hosts=tuple(
            (item["hostname"], item["ipAddress"]) for item in definition.get("extraHosts") or ()
        ),
        depends_on=tuple(
            ContainerDependency(
                name=item["containerName"], condition=ContainerCondition(item["condition"])
            )
            for item in definition.get("dependsOn") or ()
        ),
        essential=definition.get("essential") is not False,
        labels={**(definition.get("dockerLabels") or {}), **_log_labels(definition)},
        user=definition.get("user") or "",
        working_dir=definition.get("workingDirectory") or "",
        stop_grace_s=STOP_GRACE_S if stop_s is None else float(stop_s),
        start_timeout_s=START_TIMEOUT_S if start_s is None else float(start_s),
        container=_options(definition),
    )


def _link(text: str) -> tuple[str, str]:
    name, _, alias = text.partition(":")
    return name, alias or name


def _environment(definition: Body, secrets: Mapping[str, str]) -> dict[str, str]:
    values = {p["name"]: p.get("value") or "" for p in definition.get("environment") or ()}
    named = definition.get("secrets") or ()
    return values | {s["name"]: secrets[s["valueFrom"]] for s in named if s["valueFrom"] in secrets}


def _health(definition: Body) -> HealthCheck | None:
    check = definition.get("healthCheck")
    if check is None:
        return None
    words = tuple(check["command"])
    if words[0] == "NONE":
        return HealthCheck(kind=CheckKind.NONE)
    command = words[1:] if words[0] == "CMD" else ("CMD-SHELL", " ".join(words[1:]))
    return HealthCheck(
        kind=CheckKind.COMMAND,
        command=command,
        interval_s=float(check.get("interval") or 30),
        timeout_s=float(check.get("timeout") or 5),
        unhealthy_threshold=check.get("retries") or 3,
        start_period_s=float(check.get("startPeriod") or 0),
    )


def _resources(definition: Body, body: Body, making: Making) -> Resources:
    """Shares as ECS makes them of units; a limit of the task is one that no container may pass."""
    whole_cpu = cpu_units(body["cpu"]) if body.get("cpu") else None
    whole_memory = memory_mib(body["memory"]) if body.get("memory") else None
    parameters = definition.get("linuxParameters") or {}
    hard, soft = definition.get("memory") or whole_memory, definition.get("memoryReservation")
    swap = parameters.get("maxSwap")
    said = definition.get("cpu") or 0
    shares = max(said, _SHARES_MIN)
    return Resources(
        memory_bytes=hard * MIB if hard else None,
        memory_reservation_bytes=soft * MIB if soft else None,
        cpus=whole_cpu / CPU_UNITS if whole_cpu else None,
        cpu_shares=shares if said or making.reach is Reach.NODE else None,
        swap_bytes=swap * MIB if swap is not None and swap >= 0 else None,
        swappiness=parameters.get("swappiness"),
    )


def _volumes(definition: Body, body: Body, making: Making) -> Iterator[Volume]:
    named = {volume["name"]: volume for volume in body.get("volumes") or ()}
    mounts = Counter(
        point["sourceVolume"]
        for container in body["containerDefinitions"]
        for point in container.get("mountPoints") or ()
    )
    for point in definition.get("mountPoints") or ():
        name = point["sourceVolume"]
        volume = _volume(named[name], is_shared=mounts[name] > 1, making=making)
        read_only = bool(point.get("readOnly"))
        yield replace(volume, target=point["containerPath"], read_only=read_only)
    for item in (definition.get("linuxParameters") or {}).get("tmpfs") or ():
        size = item.get("size")
        yield Volume(
            kind=VolumeKind.TMPFS,
            source="",
            target=item["containerPath"],
            size_bytes=size * MIB if size else None,
            options=tuple(item.get("mountOptions") or ()),
        )


def _volume(volume: Body, *, is_shared: bool, making: Making) -> Volume:
    """A host path, one of the stack's by name (scope shared), or one of the task's alone that goes with it.

    What is mounted in several places of a task has a name, for an anonymous one cannot be mounted twice.
    """
    path = (volume.get("host") or {}).get("sourcePath")
    if path:
        return Volume(kind=VolumeKind.BIND, source=path, target="")
    docker = volume.get("dockerVolumeConfiguration") or {}
    is_lasting = docker.get("scope") == "shared"
    name = volume["name"] if is_lasting else f"{making.app_id.rpartition('/')[2]}-{volume['name']}"
    return Volume(
        kind=VolumeKind.NAMED,
        source=_short(_SIZED.sub("-", name)) if is_lasting or is_shared else "",
        target="",
        external=is_lasting and docker.get("autoprovision") is not True,
        driver=docker.get("driver") or "",
        driver_options=docker.get("driverOpts") or {},
        of_instance=not is_lasting and is_shared,
    )


def _short(name: str) -> str:
    if len(name) <= 63:
        return name
    return f"{name[:52]}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def _log_labels(definition: Body) -> dict[str, str]:
    log = definition.get("logConfiguration") or {}
    if log.get("logDriver") != "awslogs":
        return {}
    return {f"{LOG_LABEL}{name}": value for name, value in (log.get("options") or {}).items()}


def _options(definition: Body) -> ContainerOptions:
    parameters = definition.get("linuxParameters") or {}
    capabilities = parameters.get("capabilities") or {}
    shared = parameters.get("sharedMemorySize")
    log = definition.get("logConfiguration") or {}
    is_own = log.get("logDriver") in (None, "awslogs")
    return ContainerOptions(
        privileged=bool(definition.get("privileged")),
        cap_add=tuple(capabilities.get("add") or ()),
        cap_drop=tuple(capabilities.get("drop") or ()),
        read_only=bool(definition.get("readonlyRootFilesystem")),
        init=bool(parameters.get("initProcessEnabled")),
        hostname=definition.get("hostname") or "",
        tty=bool(definition.get("pseudoTerminal")),
        interactive=bool(definition.get("interactive")),
        shm_size_bytes=shared * MIB if shared else None,
        ulimits={
            item["name"]: (item["softLimit"], item["hardLimit"])
            for item in definition.get("ulimits") or ()
        },
        sysctls={p["namespace"]: p["value"] for p in definition.get("systemControls") or ()},
        dns=tuple(definition.get("dnsServers") or ()),
        dns_search=tuple(definition.get("dnsSearchDomains") or ()),
        security_opt=tuple(definition.get("dockerSecurityOptions") or ()),
        devices=tuple(_device(device) for device in parameters.get("devices") or ()),
        log_driver="" if is_own else log["logDriver"],
        log_options={} if is_own else dict(log.get("options") or {}),
    )


def _device(device: Body) -> str:
    host, inside = device.get("hostPath") or "", device.get("containerPath")
    letters = "".join(_DEVICE_LETTERS.get(p, "") for p in device.get("permissions") or ())
    return f"{host}:{inside or host}:{letters or 'rwm'}"
