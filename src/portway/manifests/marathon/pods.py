"""A canonical pod -> the App that runs it: its containers start and end together, and have one address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from portway.core.app import (
    App,
    CheckKind,
    Container,
    ContainerOptions,
    HealthCheck,
    NetworkMode,
    Volume,
    VolumeKind,
)
from portway.core.marathon.labels import Origin, labels_of
from portway.core.marathon.names import app_id_of
from portway.manifests.marathon.apps import SHELL, networks_of, own_labels
from portway.manifests.marathon.checked import NO_CHECK, pod_check
from portway.manifests.marathon.networks import is_host
from portway.manifests.marathon.scheduling import (
    STOP_GRACE_S,
    Making,
    backoff_of,
    constraint_of,
    not_said,
    placement_of,
    resources_of,
    rollout_of,
    unreachable_of,
)
from portway.manifests.marathon.specs import Ports, pod_ports

Body = Mapping[str, Any]

FORM = "marathon-pod"
_NAME_MAX = 63


def to_pod_app(definition: Body, making: Making | None = None) -> App:
    """The App of a definition that `accept_pod` gave."""
    making = making or Making()
    app_id = making.app_id or app_id_of(definition["id"])
    ports = pod_ports(definition)
    made = [_container(each, definition, app_id) for each in definition["containers"]]
    first = made[0]
    checks = tuple(_checks(definition, ports))
    inside = definition["containers"][0]
    app = App(
        id=app_id,
        image=first.image or None,
        command=first.command,
        command_text=_text(inside),
        entrypoint=first.entrypoint,
        environment=first.environment,
        count=definition["scaling"]["instances"],
        ports=ports.specs,
        health=checks[0] if checks else NO_CHECK,
        further_checks=checks[1:],
        resources=first.resources,
        volumes=first.volumes,
        networks=networks_of(definition),
        network_mode=NetworkMode.HOST if is_host(definition["networks"]) else NetworkMode.OWN,
        labels=_labels(definition, making),
        user=first.user,
        stop_grace_s=first.stop_grace_s,
        container=first.container,
        container_name=first.name,
        containers=tuple(made[1:]),
        environment_form=FORM,
    )
    return _scheduled(app, definition, making)


def _scheduled(app: App, definition: Body, making: Making) -> App:
    scheduling = definition["scheduling"]
    backoff, constraints = scheduling["backoff"], scheduling["placement"]["constraints"]
    asked = [each["resources"] for each in definition["containers"]]
    placement = placement_of(
        tuple(constraint_of(c["fieldName"], c["operator"], c.get("value")) for c in constraints),
        sum(each["cpus"] for each in asked),
        sum(each["mem"] for each in asked),
        making,
    )
    return replace(
        app,
        rollout=rollout_of(scheduling["upgrade"], making),
        placement=placement,
        backoff=backoff_of(backoff["backoff"], backoff["backoffFactor"], backoff["maxLaunchDelay"]),
        kill_oldest=scheduling["killSelection"] == "OLDEST_FIRST",
        unreachable=unreachable_of(scheduling["unreachableStrategy"]),
    )


def _container(container: Body, pod: Body, app_id: str) -> Container:
    image: Body = container.get("image") or {}
    grace_s = (container.get("lifecycle") or {}).get("killGracePeriodSeconds")
    environment = {**(pod.get("environment") or {}), **(container.get("environment") or {})}
    check = container.get("healthCheck") or {}
    return Container(
        name=container["name"],
        image=image.get("id", ""),
        **_command(container),
        environment={k: v for k, v in environment.items() if isinstance(v, str)},
        health=pod_check(check, {}) if check.get("exec") else None,
        resources=resources_of(container["resources"], container.get("resourceLimits")),
        volumes=tuple(_volumes(container, pod, app_id)),
        labels=own_labels(container.get("labels") or {}),
        user=container.get("user") or pod.get("user") or "",
        stop_grace_s=STOP_GRACE_S if grace_s is None else float(grace_s),
        container=ContainerOptions(tty=bool(container.get("tty"))),
    )


def _text(container: Body) -> str | None:
    return ((container.get("exec") or {}).get("command") or {}).get("shell")


def _command(container: Body) -> dict[str, Any]:
    """A shell's command takes the place of the image's entry point; words only where they are told to."""
    told: Body = container.get("exec") or {}
    if not told:
        return {}
    shell, words = _text(container), tuple(told["command"].get("argv") or ())
    is_process = not container.get("image")
    if shell is not None:
        given = (SHELL, "-c", shell)
        return {"command": given} if is_process else {"entrypoint": given[:1], "command": given[1:]}
    if is_process or not told.get("overrideEntrypoint"):
        return {"command": words}
    return {"entrypoint": words[:1], "command": words[1:]}


def _checks(pod: Body, ports: Ports) -> Iterator[HealthCheck]:
    """The checks that portway makes; a command in another than the first container is that container's own."""
    endpoints = [each for c in pod["containers"] for each in c.get("endpoints") or ()]
    names = {each["name"]: name for each, name in zip(endpoints, ports.asked, strict=True)}
    for nth, container in enumerate(pod["containers"]):
        check = container.get("healthCheck")
        if check is None:
            continue
        found = pod_check(check, names)
        if nth == 0 or found.kind is not CheckKind.COMMAND:
            yield found


def _volumes(container: Body, pod: Body, app_id: str) -> Iterator[Volume]:
    """A host path; otherwise one as long-lived as the instance, or with a name where several containers share it."""
    hosts = {each["name"]: each.get("host") for each in pod.get("volumes") or ()}
    shared = Counter(m["name"] for c in pod["containers"] for m in c.get("volumeMounts") or ())
    for mount in container.get("volumeMounts") or ():
        name, path = mount["name"], hosts[mount["name"]]
        own = f"{app_id.rpartition('/')[2][: _NAME_MAX - len(name) - 1]}-{name}"
        yield Volume(
            kind=VolumeKind.BIND if path else VolumeKind.NAMED,
            source=path or (own if shared[name] > 1 else ""),
            of_instance=not path and shared[name] > 1,
            target=mount["mountPath"],
            read_only=bool(mount.get("readOnly")),
        )


def _labels(definition: Body, making: Making) -> dict[str, str]:
    containers = definition["containers"]
    cpus: dict[str, float] = {}
    memory_mib: dict[str, float] = {}
    for each in containers:
        more = not_said(each["name"], each["resources"], each.get("resourceLimits"))
        cpus, memory_mib = cpus | more[0], memory_mib | more[1]
    origin = Origin(
        path=definition["id"],
        version=making.version,
        role=definition["role"],
        docker=False,
        enforces_role=making.enforces_role,
        own_labels=own_labels(containers[0].get("labels") or {}),
        disk_mib={
            c["name"]: float(c["resources"]["disk"]) for c in containers if c["resources"]["disk"]
        },
        cpus=cpus,
        memory_mib=memory_mib,
    )
    return {**own_labels(definition["labels"]), **labels_of(origin)}  # fmt: skip
