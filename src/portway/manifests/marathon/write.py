"""Apps -> definitions of Marathon, and what of the Apps they do not say. Pure."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from portway.core.app import (
    App,
    Backoff,
    CheckKind,
    HealthCheck,
    NetworkMode,
    PortSpec,
    Protocol,
    Resources,
    Unreachable,
    Volume,
    VolumeKind,
)
from portway.core.containers import first_name
from portway.core.errors import ManifestError
from portway.core.marathon.labels import origin_of
from portway.manifests.losses import Loss, is_setting, losses
from portway.manifests.marathon.apps import FORM, SHELL
from portway.manifests.marathon.common_shape import is_name
from portway.manifests.marathon.emit import emit_app
from portway.manifests.marathon.files import parse_value
from portway.manifests.marathon.pods import FORM as POD_FORM
from portway.manifests.marathon.scheduling import STOP_GRACE_S
from portway.manifests.marathon.write_options import parameters_of
from portway.manifests.marathon.write_parts import (
    SHARES_OF_NOTHING,
    asked_of,
    constraint_parts,
    limits_of,
    networks_of,
    number,
    unreachable_of,
    upgrade_of,
)
from portway.manifests.marathon.write_pods import pod_of

Body = Mapping[str, Any]
Definition = dict[str, Any]

_CHECKS = {
    CheckKind.HTTP: "HTTP",
    CheckKind.HTTPS: "HTTPS",
    CheckKind.TCP: "TCP",
    CheckKind.COMMAND: "COMMAND",
}

_REASONS = {
    "name": "ids are lower-case letters, digits, - and . there",
    "build": "Marathon runs images: build it, push it, and write its name as image",
    "image": "Marathon runs images",
    "command": "what a shell runs and an image's own command cannot be told apart there",
    "entrypoint": "Marathon has no entry point but Docker's, which is one word",
    "containers": "a container of a pod has no other fields",
    "container_links": "containers of a pod do not wait for each other",
    "container_depends_on": "containers of a pod do not wait for each other",
    "volumes_from": "containers of a pod do not wait for each other",
    "links": "apps of Marathon find each other by service ports",
    "expose": "apps of Marathon find each other by service ports",
    "depends_on": "Marathon waits for an app as a whole",
    "network_mode": "Marathon has no network of a stack, where names are known",
    "networks": "Marathon knows a network by its name alone",
    "ports.listener": "Marathon has no balancer",
    "ports.address": "Marathon has no balancer",
    "ports.exposure": "Marathon has no balancer",
    "ports.service_ports": "a port of Marathon has one service port",
    "ports": "a port of Marathon has a container port, a host port and a service port",
    "health": "a check of Marathon has whole seconds, and asks a path or a port",
    "readiness": "Marathon asks until it is ready once",
    "rollout.strategy": "it is an option of portway deploy",
    "rollout": "Marathon has minimumHealthCapacity and maximumOverCapacity, and never gives up",
    "restart": "Marathon replaces whatever ends",
    "resources": "Marathon counts processors and MiB",
    "volumes": "Marathon's own volumes are host paths; others are parameters of Docker",
    "stop_signal": "Marathon has no field for it but Docker's parameter",
    "stop_grace_s": "Marathon counts whole seconds",
    "targets": "Marathon knows no target groups",
    "health_grace_s": "Marathon knows no target groups",
    "placement": "Marathon has constraints alone",
    "extra_hosts": "a process has the machine's own",
    "container": "a process has no container",
    "start_shift": "it is of portway start",
    "essential": "an app of Marathon is one container",
    "container_start_timeout_s": "an app of Marathon is one container",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenMarathon:
    """One app, or a group of them, as portway and Marathon take it; and what it does not say."""

    document: Definition
    losses: tuple[Loss, ...]


def write_marathon(apps: Sequence[App]) -> WrittenMarathon:
    """The definition of an App, or the group of several."""
    stack = apps[0].stack if apps else "stack"
    written = [_for_file(app, stack) for app in apps]
    document = written[0] if len(apps) == 1 else _group(stack, written)
    try:
        read = parse_value(document, stack=stack).apps
    except ManifestError as error:
        found = (Loss(app=stack, path=p.path, message=p.message) for p in error.problems)
        return WrittenMarathon(document=document, losses=tuple(found))
    alike = [_as_marathon(app) for app in apps]
    lost = losses(alike, [_as_marathon(app) for app in read], reasons=_REASONS)
    return WrittenMarathon(document=document, losses=lost)


def _group(stack: str, written: Sequence[Definition]) -> Definition:
    pods = [each for each in written if "containers" in each]
    group = {"id": f"/{stack}", "apps": [each for each in written if "containers" not in each]}
    return {**group, "pods": pods} if pods else group


def _as_marathon(app: App) -> App:
    """The App less what Marathon means when nothing is said of it, which is no loss."""
    first = next((spec.name for spec in app.ports if spec.protocol is Protocol.TCP), None)
    health = app.health
    if health.port_name is None and health.kind not in (CheckKind.NONE, CheckKind.COMMAND):
        health = replace(health, port_name=first)
    words = health.command
    if words and words[0] != "CMD-SHELL":
        health = replace(health, command=("CMD-SHELL", shlex.join(words[words[0] == "CMD" :])))
    if health.kind is CheckKind.COMMAND:
        health = replace(health, start_interval_s=1.0)
    own = first_name(app) if app.containers or app.environment_form == POD_FORM else ""
    ports = (
        replace(s, shuffled=s.leased and s.host_port is None, container=s.container or own)
        for s in app.ports
    )
    return replace(
        app,
        resources=_shared(app.resources),
        containers=tuple(replace(c, resources=_shared(c.resources)) for c in app.containers),
        backoff=app.backoff or Backoff(),
        unreachable=app.unreachable or Unreachable(),
        environment_form=FORM,
        networks=tuple(n for n in app.networks if n.external or n.name != "default"),
        health=health,
        ports=tuple(ports),
    )


def _shared(resources: Resources) -> Resources:
    """Marathon always asks for a share, also where nothing was."""
    if resources.cpus is None and resources.cpu_shares is None:
        return replace(resources, cpu_shares=SHARES_OF_NOTHING)
    return resources


def _for_file(app: App, stack: str) -> Definition:
    """An App of several containers is a pod, as one that was a pod; it waits for nothing."""
    if app.containers or app.environment_form == POD_FORM:
        return {**pod_of(app), "id": f"/{stack}/{_path_of(app.name)}"}
    definition = from_app(app)
    definition["id"] = f"/{stack}/{_path_of(app.name)}"
    if app.depends_on:
        definition["dependencies"] = [f"/{stack}/{_path_of(each.name)}" for each in app.depends_on]
    return _said(definition)


def _path_of(name: str) -> str:
    """An id has no underscores."""
    return name.replace("_", "-").strip("-.") or "app"


def from_app(
    app: App, *, count: int | None = None, service_ports: Mapping[str, int] | None = None
) -> Definition:
    """The canonical definition that comes nearest to an App, without an id: of several containers it says the first.

    `count`: how many there should be now. `service_ports`: those that were assigned, by the names of its ports.
    """
    ports = [_port(spec, app, service_ports or {}) for spec in app.ports if not spec.same_as]
    on_host = app.network_mode is NetworkMode.HOST or not _runs_image(app)
    checks = [c for c in (app.health, *app.further_checks) if c.kind in _CHECKS]
    stop_s = math.ceil(app.stop_grace_s)
    definition: Definition = {
        "id": "",
        **_command(app),
        "env": dict(app.environment),
        "instances": next((n for n in (count, app.count) if n is not None), 1),
        **asked_of(app.resources),
        "resourceLimits": limits_of(app.resources),
        "disk": 0,
        "gpus": 0,
        "executor": "",
        **_backoff(app.backoff or Backoff()),
        "requirePorts": on_host and any(spec.host_port for spec in app.ports),
        "killSelection": "OLDEST_FIRST" if app.kill_oldest else "YOUNGEST_FIRST",
        "labels": {k: v for k, v in app.labels.items() if not is_setting(k)},
        "networks": networks_of(app, on_host=on_host),
        "container": _container(app, [] if on_host else ports),
        "portDefinitions": [_definition(port) for port in ports] if on_host else None,
        "healthChecks": [found for c in checks if (found := _check(c, app)) is not None],
        "readinessChecks": [found] if app.readiness and (found := _readiness(app)) else [],
        "constraints": [constraint_parts(each) for each in app.placement.constraints],
        "user": app.user or None,
        "tty": app.container.tty or None,
        "taskKillGracePeriodSeconds": None if app.stop_grace_s == STOP_GRACE_S else stop_s,
        "role": "*",
        "unreachableStrategy": unreachable_of(app.unreachable or Unreachable()),
        "upgradeStrategy": upgrade_of(app),
    }
    return emit_app({key: value for key, value in definition.items() if value is not None})


def _said(definition: Definition) -> Definition:
    """A file without what is so by default anyway."""
    defaults = {
        "disk": 0, "gpus": 0, "executor": "", "requirePorts": False, "killSelection": "YOUNGEST_FIRST", "labels": {}, "env": {},
        "role": "*", **_backoff(Backoff()), "unreachableStrategy": unreachable_of(Unreachable()),
    }  # fmt: skip
    said = {k: v for k, v in definition.items() if k not in defaults or defaults[k] != v}
    container = said.get("container")
    if container is not None:
        docker = {k: v for k, v in container["docker"].items() if v not in (False, [])}
        said["container"] = {k: v for k, v in container.items() if k != "volumes" or v} | {
            "docker": docker
        }
    return said  # fmt: skip


def _runs_image(app: App) -> bool:
    return app.image is not None or app.build is not None


def _command(app: App) -> Definition:
    """A shell's command is `cmd`; other words are `args`."""
    words = (*(app.entrypoint or ()), *(app.command or ()))
    by_shell = len(words) == 3 and words[0] in (SHELL, "sh") and words[1] == "-c"
    if not _runs_image(app) and app.command_text:
        return {"cmd": app.command_text}
    if by_shell and (app.entrypoint or not _runs_image(app)):
        return {"cmd": words[2]}
    rest = (*(app.entrypoint or ())[1:], *(app.command or ()))
    return {"args": list(rest)} if rest else {}


def _backoff(backoff: Backoff) -> Definition:
    return {
        "backoffSeconds": math.ceil(backoff.first_s),
        "backoffFactor": number(max(backoff.factor, 1.0)),
        "maxLaunchDelaySeconds": math.ceil(backoff.maximum_s),
    }


def _container(app: App, ports: Sequence[Definition]) -> Definition | None:
    if not _runs_image(app):
        return None
    on_host = app.network_mode is NetworkMode.HOST
    container: Definition = {
        "type": "DOCKER",
        "docker": {
            "image": app.image or app.name,
            "forcePullImage": False,
            "privileged": app.container.privileged,
            "parameters": parameters_of(app),
        },
        "volumes": [_volume(each) for each in app.volumes if each.kind is VolumeKind.BIND],
    }
    return container if on_host else {**container, "portMappings": list(ports)}


def _volume(volume: Volume) -> Definition:
    mode = "RO" if volume.read_only else "RW"
    return {"containerPath": volume.target, "hostPath": volume.source, "mode": mode}


def _port(spec: PortSpec, app: App, service_ports: Mapping[str, int]) -> Definition:
    """A port as a mapping; one that a second port shares its number with is of both protocols."""
    both = any(other.same_as == spec.name for other in app.ports)
    assigned = spec.joint.service_port if spec.joint else service_ports.get(spec.name, 0)
    origin = origin_of(app)
    name = origin.names.get(spec.name, spec.name) if origin else spec.name
    return {
        "containerPort": spec.container_port,
        **({"hostPort": spec.host_port or 0} if spec.leased or app.network_mode is not NetworkMode.OWN else {}),
        "labels": {},
        **({"name": name} if is_name(name) else {}),
        "protocol": "udp,tcp" if both else spec.protocol.value,
        "servicePort": next(iter(spec.service_ports), assigned),
    }  # fmt: skip


def _definition(port_mapping: Definition) -> Definition:
    number = port_mapping.get("hostPort") or port_mapping["servicePort"]
    named = {key: port_mapping[key] for key in ("name", "protocol") if key in port_mapping}
    return {"port": number, **named}


def _check(check: HealthCheck, app: App) -> Definition | None:
    found: Definition = {
        "protocol": _CHECKS[check.kind],
        "gracePeriodSeconds": math.ceil(check.start_period_s),
        "intervalSeconds": max(math.ceil(check.interval_s), 1),
        "timeoutSeconds": max(math.ceil(check.timeout_s), 1),
        "maxConsecutiveFailures": check.unhealthy_threshold - 1 if check.lethal else 0,
        "delaySeconds": math.ceil(check.delay_s) if check.kind is CheckKind.COMMAND else 15,
        "ipProtocol": "IPv4",
    }
    if check.kind is CheckKind.COMMAND:
        words = check.command[check.command[:1] in (("CMD",), ("CMD-SHELL",)) :]
        text = words[0] if check.command[:1] == ("CMD-SHELL",) else shlex.join(words)
        return {**found, "command": {"value": text}}
    index = next(_indices(app, check.port_name), None)
    if index is None:
        return None
    path = {} if check.kind is CheckKind.TCP else {"path": check.path}
    return {**found, **path, "portIndex": index}


def _indices(app: App, name: str | None) -> Iterator[int]:
    """The ports that are meant by a name, or by none the first for TCP."""
    nth = -1
    for spec in app.ports:
        nth += not spec.same_as
        if spec.protocol is Protocol.TCP and name in (None, spec.name):
            yield nth


def _readiness(app: App) -> Definition | None:
    check = app.readiness
    spec = next((s for s in app.ports if check and s.name == check.port_name), None)
    is_asked = check is not None and check.kind in (CheckKind.HTTP, CheckKind.HTTPS)
    if check is None or spec is None or not is_asked or not is_name(spec.name):
        return None
    interval_s = max(math.ceil(check.interval_s), 2)
    codes = [first for first, last in check.statuses if first == last]
    return {
        "name": "readinessCheck",
        "protocol": _CHECKS[check.kind],
        "path": check.path,
        "portName": spec.name,
        "intervalSeconds": interval_s,
        "timeoutSeconds": min(max(math.ceil(check.timeout_s), 1), interval_s - 1),
        "httpStatusCodesForReady": codes or [200],
        "preserveLastResponse": False,
    }
