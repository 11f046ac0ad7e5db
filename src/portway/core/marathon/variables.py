"""The variables a task is told as Marathon tells them: its app, its ports, its labels; and those of a pod's containers. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from portway.core.marathon.ports import Port

_GENERATED_FIRST, _GENERATED_LAST = 1025, 65535
_KEY_LENGTH_MAX = 512 - len("MARATHON_APP_LABEL_")
_VALUE_LENGTH_MAX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a task is, as its variables say it. `enforces_role` None: nothing is said of it (before Marathon 1.9)."""

    id: str
    path: str
    version: str
    docker_image: str = ""  # of a container of the type DOCKER
    cpus: float = 1.0
    memory_mib: float = 128.0
    disk_mib: float = 0.0
    gpus: int = 0
    enforces_role: bool | None = False
    labels: Mapping[str, str] = field(default_factory=dict)


def app_variables(
    task: Task | None, ports: Sequence[Port], *, host: str, seed: str, prefix: str = ""
) -> dict[str, str]:
    """All that Marathon gives the task of an app; the app's own variables win over these.

    `seed`: what numbers for container ports nobody chose are derived from. `prefix` is of HOST and the ports alone.
    """
    told = {"HOST": host, **port_variables(ports, seed=seed)}
    return task_variables(task) | {prefix + name: value for name, value in told.items()}


def task_variables(task: Task | None) -> dict[str, str]:
    """Who the task is; nothing before it has an id."""
    if task is None:
        return {}
    variables = {
        "MESOS_TASK_ID": task.id,
        "MARATHON_APP_ID": task.path,
        "MARATHON_APP_VERSION": task.version,
        "MARATHON_APP_RESOURCE_CPUS": _double(task.cpus),
        "MARATHON_APP_RESOURCE_MEM": _double(task.memory_mib),
        "MARATHON_APP_RESOURCE_DISK": _double(task.disk_mib),
        "MARATHON_APP_RESOURCE_GPUS": str(task.gpus),
    }
    if task.docker_image:
        variables["MARATHON_APP_DOCKER_IMAGE"] = task.docker_image
    return variables | _role_variable(task) | label_variables(task.labels)


def _role_variable(task: Task) -> dict[str, str]:
    if task.enforces_role is None:
        return {}
    return {"MARATHON_APP_ENFORCE_GROUP_ROLE": "TRUE" if task.enforces_role else "FALSE"}


def label_variables(labels: Mapping[str, str]) -> dict[str, str]:
    """MARATHON_APP_LABELS and one variable a label; those that are too long are left out."""
    told = {
        re.sub(r"[^A-Za-z0-9_]+", "_", key).upper(): value
        for key, value in labels.items()
        if len(key) < _KEY_LENGTH_MAX and len(value) < _VALUE_LENGTH_MAX
    }
    named = {f"MARATHON_APP_LABEL_{key}": value for key, value in told.items()}
    return {"MARATHON_APP_LABELS": " ".join(told), **named}


def port_variables(ports: Sequence[Port], *, seed: str) -> dict[str, str]:
    """PORT, PORT0..n, PORTS, PORT_<number>, PORT_<NAME>. A name is upper-cased and nothing else: PORT_MY-PORT."""
    if not ports:
        return {}
    generated = generated_ports(ports, seed=seed)
    variables: dict[str, str] = {}
    for nth, port in enumerate(ports):
        own = port.requested or generated.get(nth, 0)
        number = str(port.host_port or own)
        variables[f"PORT{nth}"] = number
        variables[f"PORT_{port.requested or number}"] = number
        if port.name:
            variables[f"PORT_{port.name.upper()}"] = number
    on_host = [str(port.host_port) for port in ports if port.host_port is not None]
    made = [str(number) for number in generated.values()]
    if on_host or made:
        variables["PORT"] = (on_host or made)[0]
    variables["PORTS"] = ",".join(on_host + made)
    return variables


def generated_ports(ports: Sequence[Port], *, seed: str) -> dict[int, int]:
    """By index, a number for each port that has neither a host port nor a number of its own; the same for the same seed."""
    taken = {n for port in ports for n in (port.requested, port.host_port) if n}
    found: dict[int, int] = {}
    for nth, port in enumerate(ports):
        if port.host_port is None and not port.requested:
            digest = hashlib.sha256(f"{seed} {nth}".encode()).digest()
            span = _GENERATED_LAST - _GENERATED_FIRST + 1
            number = _GENERATED_FIRST + int.from_bytes(digest[:8]) % span
            while number in taken:
                number = _GENERATED_FIRST + (number - _GENERATED_FIRST + 1) % span
            taken.add(number)
            found[nth] = number
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PodContainer:
    """One container of a pod's instance. `own`: its variables as written, over the pod's; `labels` likewise."""

    name: str
    executor_id: str
    own: Mapping[str, str] = field(default_factory=dict)


def pod_variables(
    task: Task, container: PodContainer, ports: Sequence[Port], *, host: str, prefix: str = ""
) -> dict[str, str]:
    """All variables of a pod's container. `ports` are those of all containers; what is generated wins over what is written."""
    return {
        **container.own,
        "HOST": host,
        "MESOS_TASK_ID": task.id,
        "MESOS_EXECUTOR_ID": container.executor_id,
        "MARATHON_APP_ID": task.path,
        "MARATHON_APP_VERSION": task.version,
        "MARATHON_CONTAINER_ID": container.name,
        **_role_variable(task),
        "MARATHON_CONTAINER_RESOURCE_CPUS": _double(task.cpus),
        "MARATHON_CONTAINER_RESOURCE_MEM": _double(task.memory_mib),
        "MARATHON_CONTAINER_RESOURCE_DISK": _double(task.disk_mib),
        "MARATHON_CONTAINER_RESOURCE_GPUS": str(task.gpus),
        **label_variables(task.labels),
        **endpoint_variables(ports, prefix=prefix),
    }


def endpoint_variables(ports: Sequence[Port], *, prefix: str = "") -> dict[str, str]:
    """ENDPOINT_<NAME>, EP_HOST_<NAME> and EP_CONTAINER_<NAME> of every endpoint."""
    variables: dict[str, str] = {}
    for port in ports:
        name = re.sub(r"[^A-Z0-9_]", "_", port.name.upper())
        inside = port.container_port
        number = port.host_port if inside is None else inside or port.host_port
        told = {"ENDPOINT_": number, "EP_HOST_": port.host_port, "EP_CONTAINER_": inside}
        variables |= {f"{prefix.upper()}{k}{name}": str(n) for k, n in told.items() if n}
    return variables


def _double(value: float) -> str:
    """As Java writes a double: "1.0", never "1"."""
    return repr(float(value))
