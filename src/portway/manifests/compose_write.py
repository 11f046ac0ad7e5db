"""Apps -> a compose file, and what of the Apps it does not say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from portway.core.app import (
    App,
    CheckKind,
    ContainerOptions,
    Exposure,
    HealthCheck,
    PortSpec,
    Protocol,
    Resources,
    Restart,
    Rollout,
    Volume,
    VolumeKind,
)
from portway.core.errors import ManifestError
from portway.manifests.compose import parse_compose
from portway.manifests.ecs_values import MIB
from portway.manifests.losses import Loss, is_setting, losses

_EVERYWHERE = "0.0.0.0"  # noqa: S104  (as compose writes a listener that portway chooses)
_NAMELESS = 8080  # and the next ones, for ports that have no number at all

_REASONS = {
    "containers": "a service of compose is one container",
    "container_links": "a service of compose is one container",
    "container_depends_on": "a service of compose is one container",
    "volumes_from": "a service of compose is one container",
    "volumes.of_instance": "a named volume of compose is one for all instances, and stays",
    "container_start_timeout_s": "compose knows no such limit",
    "essential": "a service of compose is one container",
    "network_mode": "services of compose share the network of their stack",
    "ports.address": "compose writes a listener that portway chooses with its address",
    "health": "a check of compose is a command inside; without one the port is asked",
    "ports.container_port": "compose wants a number; what runs listens on the port its instance has leased, $PORT",
    "ports.virtual": "compose has no virtual hosts; labels of marathon-lb are kept and mean nothing there",
    "ports.joint": "a port of compose is one service's; labels of marathon-lb are kept and mean nothing there",
    "ports.unserved": "compose serves every port",
    "ports": "compose has no ephemeral range and no ports in a row",
    "targets": "compose knows no target groups",
    "health_grace_s": "compose knows no target groups",
    "placement": "compose runs on one machine",
    "rollout": "compose has no such bound",
    "resources": "compose has no such limit",
    "backoff": "compose has none: portway's own holds",
    "unreachable": "compose runs on one machine",
    "kill_oldest": "compose says nothing of which one goes",
    "further_checks": "a service of compose has one check",
    "environment_form": "services are told portway's own variables ($PORT, not $PORT0), not Marathon's",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenCompose:
    """The text of the file, and what it does not say."""

    text: str
    losses: tuple[Loss, ...]


def write_compose(apps: Sequence[App], *, directory: str = "") -> WrittenCompose:
    """One service for each App. `directory`: where its relative paths would begin."""
    named = {
        v.source: _named_volume(v)
        for app in apps
        for v in app.volumes
        if v.kind is VolumeKind.NAMED and v.source
    }
    document: dict[str, Any] = {"services": {app.name: _service(app) for app in apps}}
    if named:
        document["volumes"] = named
    text = yaml.safe_dump(_escaped(document), sort_keys=False, allow_unicode=True, width=120)
    stack = apps[0].stack if apps else "stack"
    try:
        read = parse_compose(text, stack=stack, directory=directory).apps
    except ManifestError as error:
        found = (Loss(app=stack, path=p.path, message=p.message) for p in error.problems)
        return WrittenCompose(text=text, losses=tuple(found))
    return WrittenCompose(text=text, losses=losses(apps, read, reasons=_REASONS))


def _escaped(value: Any) -> Any:
    """A dollar is a variable in compose unless it is doubled."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(inner) for key, inner in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if v is not None and v not in ("", [], {}, False)}


def _service(app: App) -> dict[str, Any]:
    return _said(
        {
            "image": app.image,
            "build": _build(app),
            "command": list(app.command or ()),
            "entrypoint": list(app.entrypoint or ()),
            "environment": dict(app.environment),
            "ports": [_port(spec, nth) for nth, spec in enumerate(app.ports)],
            "expose": [str(number) for number in app.expose],
            "healthcheck": _check(app.health),
            "labels": {**{k: v for k, v in app.labels.items() if not is_setting(k)}, **_rollout_labels(app)},
            "deploy": _said(
                {"replicas": app.count, "resources": _resource_limits(app.resources)}
            ),
            "volumes": [_volume(volume) for volume in app.volumes],
            "links": [link.name if link.name == link.alias else f"{link.name}:{link.alias}" for link in app.links],
            "depends_on": {
                each.name: {"condition": each.condition.value, **({} if each.required else {"required": False})}
                for each in app.depends_on
            },
            "extra_hosts": [f"{name}:{address}" for name, address in app.extra_hosts],
            "restart": None if app.restart is Restart.ALWAYS else app.restart.value,
            "user": app.user,
            "working_dir": app.working_dir,
            "stop_signal": None if app.stop_signal == "SIGTERM" else app.stop_signal,
            "stop_grace_period": None if app.stop_grace_s == 10.0 else _seconds(app.stop_grace_s),
            **_options(app.container),
            **_sizes(app.resources),
        }
    )  # fmt: skip


def _build(app: App) -> dict[str, Any]:
    build = app.build
    if build is None:
        return {}
    said = {
        "context": build.context,
        "dockerfile": build.dockerfile,
        "args": dict(build.args),
        "target": build.target,
    }
    return _said(said)


def _seconds(duration_s: float) -> str:
    return f"{duration_s:.6f}".rstrip("0").rstrip(".") + "s"


def _port(spec: PortSpec, nth: int) -> str | dict[str, Any]:
    """As short as it can be said; a name of its own makes it a map.

    Compose wants a container port. Where each instance has its own it is only a name, and the listener's number serves.
    """
    listener = spec.service_ports[0] if spec.service_ports else spec.host_port
    target = spec.container_port or listener or _NAMELESS + nth
    number = str(target)
    end = "/udp" if spec.protocol is Protocol.UDP else ""
    if spec.exposure is Exposure.INTERNAL:
        return f"{number}{end}"
    if listener is None:
        return f"{spec.address or _EVERYWHERE}::{number}{end}"
    if spec.name in (str(listener), f"{listener}-udp") and not spec.address:
        return f"{listener}:{number}{end}"
    return _said(
        {
            "name": spec.name,
            "target": target,
            "published": str(listener),
            "host_ip": spec.address,
            "protocol": spec.protocol.value,
        }
    )


def _check(check: HealthCheck) -> dict[str, Any] | None:
    if check.kind is CheckKind.NONE:
        return {"test": ["NONE"]}
    if check.kind is not CheckKind.COMMAND:
        return None
    words = list(check.command)
    return {
        "test": words if words[:1] == ["CMD-SHELL"] else ["CMD", *words],
        "interval": _seconds(check.interval_s),
        "timeout": _seconds(check.timeout_s),
        "retries": check.unhealthy_threshold,
        "start_period": _seconds(check.start_period_s),
        "start_interval": _seconds(check.start_interval_s),
    }


def _rollout_labels(app: App) -> dict[str, str]:
    rollout, default = app.rollout, Rollout()
    labels: dict[str, str] = {}
    if rollout.minimum_percent != default.minimum_percent:
        labels["portway.deployment.minimum"] = str(rollout.minimum_percent)
    if rollout.maximum_percent != default.maximum_percent:
        labels["portway.deployment.maximum"] = str(rollout.maximum_percent)
    return labels


def _size(size_bytes: int) -> str:
    return f"{size_bytes}b" if size_bytes % MIB else f"{size_bytes // MIB}m"


def _resource_limits(resources: Resources) -> dict[str, Any]:
    limits = _said(
        {
            "cpus": None if resources.cpus is None else f"{resources.cpus:g}",
            "memory": None if resources.memory_bytes is None else _size(resources.memory_bytes),
            "pids": resources.pids,
        }
    )
    soft = resources.memory_reservation_bytes
    reserved = _said({"memory": None if soft is None else _size(soft)})
    return _said({"limits": limits, "reservations": reserved})


def _sizes(resources: Resources) -> dict[str, Any]:
    hard, swap = resources.memory_bytes, resources.swap_bytes
    total = _size(hard + swap) if hard is not None and swap is not None else None
    return {
        "cpu_shares": resources.cpu_shares,
        "memswap_limit": total,
        "mem_swappiness": resources.swappiness,
    }


def _volume(volume: Volume) -> dict[str, Any]:
    said: dict[str, Any] = {
        "type": volume.kind.value,
        "source": volume.source,
        "target": volume.target,
        "read_only": volume.read_only,
    }
    if volume.size_bytes:
        said["tmpfs"] = {"size": _size(volume.size_bytes)}
    return _said(said)


def _named_volume(volume: Volume) -> dict[str, Any]:
    return _said(
        {
            "external": volume.external,
            "driver": volume.driver,
            "driver_opts": dict(volume.driver_options),
        }
    )


def _options(options: ContainerOptions) -> dict[str, Any]:
    return {
        "privileged": options.privileged,
        "cap_add": list(options.cap_add),
        "cap_drop": list(options.cap_drop),
        "read_only": options.read_only,
        "init": options.init,
        "hostname": options.hostname,
        "tty": options.tty,
        "stdin_open": options.interactive,
        "shm_size": _size(options.shm_size_bytes) if options.shm_size_bytes else None,
        "ulimits": {
            name: {"soft": soft, "hard": hard} for name, (soft, hard) in options.ulimits.items()
        },
        "sysctls": dict(options.sysctls),
        "dns": list(options.dns),
        "dns_search": list(options.dns_search),
        "security_opt": list(options.security_opt),
        "devices": list(options.devices),
        "group_add": list(options.group_add),
        "logging": _said({"driver": options.log_driver, "options": dict(options.log_options)}),
    }
