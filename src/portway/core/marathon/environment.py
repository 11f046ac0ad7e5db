"""The variables of an instance made over the Marathon face, read from its App: in every network mode, and for pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from portway.core.app import App, Container, Resources
from portway.core.containers import first_name
from portway.core.instance import InstanceIdentity
from portway.core.marathon import names
from portway.core.marathon.labels import Origin, origin_of, users_labels
from portway.core.marathon.ports import ports_of
from portway.core.marathon.variables import (
    PodContainer,
    Task,
    app_variables,
    generated_ports,
    pod_variables,
)

APP_FORM = "marathon"
POD_FORM = "marathon-pod"
CPU_SHARES = 1024
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One instance that is to start. `home_id` is whose it is; `container`: of several, the one to be told ("" = the first).

    `made_at_ms`: when what it runs was made. `prefix`: of HOST and the port variables (Marathon's --env_vars_prefix).
    """

    app: App
    identity: InstanceIdentity
    home_id: str
    node_address: str
    container: str = ""
    made_at_ms: int = 0
    prefix: str = ""


def _origin(launch: Launch) -> Origin:
    """The id and the version that /v2/apps shows. One deployed as a file is shown under the name of its App."""
    origin = origin_of(launch.app)
    if origin is not None and origin.version:
        return origin
    path, version = names.path_of(launch.app.id), names.time_text(launch.made_at_ms)
    return replace(origin or Origin(path=path), path=path, version=version)


def variables_of(launch: Launch, own: Mapping[str, str]) -> dict[str, str]:
    """All variables of one container. `own` are the user's: of an app they win, of a pod they give way (Marathon)."""
    app = launch.app
    origin = _origin(launch)
    ports = ports_of(app, launch.identity.leases)
    if app.environment_form != POD_FORM:
        task = _task(launch, origin, names.APP_CONTAINER, None)
        seed = launch.identity.id
        told = app_variables(task, ports, host=launch.node_address, seed=seed, prefix=launch.prefix)
        return told | dict(own)
    other = next((c for c in app.containers if c.name == launch.container), None)
    name = other.name if other else first_name(app)
    run = names.run_of(launch.identity)
    executor = names.executor_name(origin.path, run, home_id=launch.home_id)
    container = PodContainer(name=name, executor_id=executor, own=own)
    task = _task(launch, origin, name, other)
    return pod_variables(task, container, ports, host=launch.node_address, prefix=launch.prefix)


def own_number(app: App, identity: InstanceIdentity, port_name: str) -> int:
    """The number an instance was told for a port that has none anywhere else; 0 where it has one."""
    ports = ports_of(app, identity.leases)
    specs = [spec for spec in app.ports if not spec.same_as]
    generated = generated_ports(ports, seed=identity.id)
    return next((generated.get(n, 0) for n, spec in enumerate(specs) if spec.name == port_name), 0)


def _task(launch: Launch, origin: Origin, name: str, other: Container | None) -> Task:
    app = launch.app
    is_pod = name != names.APP_CONTAINER
    key = name if is_pod else ""
    own_labels = users_labels(other.labels) if other else origin.own_labels
    resources = other.resources if other else app.resources
    return Task(
        id=names.task_name(
            origin.path, names.run_of(launch.identity), home_id=launch.home_id, container=name
        ),
        path=origin.path,
        version=origin.version,
        docker_image=(app.image or "") if origin.docker else "",
        cpus=origin.cpus.get(key, cpus_of(resources)),
        memory_mib=origin.memory_mib.get(key, memory_mib_of(resources)),
        disk_mib=origin.disk_mib.get(key, 0.0),
        enforces_role=origin.enforces_role,
        labels={**users_labels(app.labels), **(own_labels if is_pod else {})},
    )


def cpus_of(resources: Resources) -> float:
    """How many processors an instance is told it has."""
    if resources.cpus is not None:
        return resources.cpus
    return 1.0 if resources.cpu_shares is None else resources.cpu_shares / CPU_SHARES


def memory_mib_of(resources: Resources) -> float:
    """How much memory an instance is told it has."""
    held = resources.memory_bytes or resources.memory_reservation_bytes
    return 128.0 if held is None else held / MIB
