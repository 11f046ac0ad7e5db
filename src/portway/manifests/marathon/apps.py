"""A canonical app -> the App that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from portway.core.app import (
    App,
    ContainerOptions,
    HealthCheck,
    Network,
    NetworkMode,
    Volume,
    VolumeKind,
)
from portway.core.marathon.labels import PREFIX, Origin, labels_of
from portway.core.marathon.names import app_id_of
from portway.manifests.marathon.checked import NO_CHECK, app_checks, readiness_of
from portway.manifests.marathon.networks import BRIDGE, is_host
from portway.manifests.marathon.parameters import parameter_fields
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
from portway.manifests.marathon.specs import Ports, app_ports

Body = Mapping[str, Any]

SHELL = "/bin/sh"
FORM = "marathon"
DEFAULT_NETWORK = "default"


def to_app(definition: Body, making: Making | None = None) -> App:
    """The App of a definition that `accept_app` gave. Service ports that are 0 in it are assigned by portway."""
    making = making or Making()
    container: Body = definition.get("container") or {}
    docker: Body | None = container.get("docker")
    ports = app_ports(definition, groups=making.groups)
    checks = app_checks(definition, ports.asked)
    grace_s = definition.get("taskKillGracePeriodSeconds")
    constraints = tuple(constraint_of(*_padded(each)) for each in definition.get("constraints") or ())  # fmt: skip
    app = App(
        id=making.app_id or app_id_of(definition["id"]),
        image=docker["image"] if docker else None,
        **_command(definition, with_image=docker is not None),
        environment=_strings(definition.get("env") or {}),
        count=definition["instances"],
        ports=ports.specs,
        health=checks[0] if checks else NO_CHECK,
        further_checks=checks[1:],
        readiness=_readiness(definition, ports),
        rollout=rollout_of(definition["upgradeStrategy"], making),
        resources=resources_of(definition, definition.get("resourceLimits")),
        volumes=tuple(_volume(each) for each in container.get("volumes") or ()),
        networks=networks_of(definition),
        network_mode=mode_of(definition),
        labels=_labels(definition, container, ports, making),
        user=definition.get("user") or "",
        stop_grace_s=STOP_GRACE_S if grace_s is None else float(grace_s),
        container=_options(definition, docker or {}),
        placement=placement_of(constraints, definition["cpus"], definition["mem"], making),
        backoff=backoff_of(
            definition["backoffSeconds"],
            definition["backoffFactor"],
            definition["maxLaunchDelaySeconds"],
        ),
        kill_oldest=definition["killSelection"] == "OLDEST_FIRST",
        unreachable=unreachable_of(definition["unreachableStrategy"]),
        environment_form=FORM,
    )
    return _with_parameters(app, (docker or {}).get("parameters") or ())


def _padded(constraint: list[str]) -> tuple[str, str, str | None]:
    return constraint[0], constraint[1], constraint[2] if len(constraint) > 2 else None


def _command(definition: Body, *, with_image: bool) -> dict[str, Any]:
    """`cmd` is run by a shell, an image's own entry point aside; `args` are what a process is, or an image is given."""
    command, arguments = definition.get("cmd"), definition.get("args")
    if command is None:
        return {"command": tuple(arguments)} if arguments else {}
    if with_image:
        return {"entrypoint": (SHELL,), "command": ("-c", command), "command_text": command}
    return {"command": (SHELL, "-c", command), "command_text": command}


def _strings(environment: Body) -> dict[str, str]:
    return {name: value for name, value in environment.items() if isinstance(value, str)}


def _readiness(definition: Body, ports: Ports) -> HealthCheck | None:
    mappings = (definition.get("container") or {}).get("portMappings")
    written = (definition.get("portDefinitions") or ()) if mappings is None else mappings
    pairs = zip(written, ports.asked, strict=True)
    return readiness_of(definition, {each["name"]: name for each, name in pairs if each.get("name")})  # fmt: skip


def _volume(volume: Body) -> Volume:
    return Volume(
        kind=VolumeKind.BIND,
        source=volume["hostPath"],
        target=volume["containerPath"],
        read_only=volume["mode"] == "RO",
    )


def mode_of(definition: Body) -> NetworkMode:
    """The network an app's instances are in."""
    networks = definition["networks"]
    if is_host(networks):
        return NetworkMode.HOST
    is_bridge = any(network["mode"] == BRIDGE for network in networks)
    return NetworkMode.BRIDGE if is_bridge else NetworkMode.OWN


def networks_of(definition: Body) -> tuple[Network, ...]:
    """The networks that are named: the engine's, as they were the agents', that apps of any group may share; but the
    default one, which is the Stack's.
    """
    names = (each["name"] for each in definition["networks"] if each.get("name"))
    return tuple(Network(name=name, external=name != DEFAULT_NETWORK) for name in names)


def _labels(definition: Body, container: Body, ports: Ports, making: Making) -> dict[str, str]:
    cpus, memory_mib = not_said("", definition, definition.get("resourceLimits"))
    origin = Origin(
        path=definition["id"],
        version=making.version,
        role=definition["role"],
        docker=container.get("type") == "DOCKER",
        enforces_role=making.enforces_role,
        disk_mib={"": float(definition["disk"])} if definition["disk"] else {},
        names=ports.given,
        cpus=cpus,
        memory_mib=memory_mib,
    )
    return {**own_labels(definition["labels"]), **labels_of(origin)}


def own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The user's labels without those that only portway writes."""
    return {key: value for key, value in labels.items() if not key.startswith(PREFIX)}


def _options(definition: Body, docker: Body) -> ContainerOptions:
    privileged = bool(docker.get("privileged"))
    return ContainerOptions(privileged=privileged, tty=bool(definition.get("tty")))


def _with_parameters(app: App, parameters: Any) -> App:
    """Options of docker run set what no field of Marathon's says, and give way where one does."""
    if not parameters:
        return app
    given = parameter_fields(parameters)
    of_app: dict[str, Any] = given["app"]
    merged: dict[str, Any] = {
        "environment": {**of_app.pop("environment", {}), **app.environment},
        "labels": {**own_labels(of_app.pop("labels", {})), **app.labels},
        "volumes": (*app.volumes, *of_app.pop("volumes", ())),
    }
    if app.entrypoint is not None:
        of_app.pop("entrypoint", None)
    if app.user:
        of_app.pop("user", None)
    options: dict[str, Any] = given["container"]
    options["privileged"] = app.container.privileged or options.get("privileged", False)
    return replace(
        app,
        **of_app,
        **merged,
        container=replace(app.container, **options),
        resources=replace(app.resources, **given["resources"]),
    )
