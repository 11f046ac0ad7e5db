"""The containers of a task as DescribeTasks shows them: state, exit, reason, and the ports the engine really bound."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from portway.core.app import App, HealthCheck, NetworkMode, PortSpec, Resources
from portway.core.aws_names import AwsNames
from portway.core.containers import first_name, members
from portway.core.instance import EngineState, ObservedContainer, ObservedInstance, PortBinding

ALL_ADDRESSES = "0.0.0.0"  # noqa: S104  (a word in an answer, nothing is bound)
REASON_LENGTH_MAX = 1024

_MIB = 1024 * 1024
_STATES = {
    EngineState.CREATED: "PENDING",
    EngineState.RUNNING: "RUNNING",
    EngineState.EXITED: "STOPPED",
}
_PULL_WORDS = ("pull", "manifest", "image")
# How port_words.no_row begins, which are the agent's own words.
_NO_PORT = re.compile(r"(?:a host port is|\d+ contiguous host ports are) unavailable")


def container_names(app: App) -> tuple[str, ...]:
    """Every container of the App's instances, the one its own fields describe first."""
    return tuple(member.name for member in members(app))


def shown_containers(
    app: App,
    seen: ObservedInstance | None,
    names: AwsNames,
    *,
    cluster: str,
    task_id: str,
    is_stopped: bool,
    reason: str = "",
) -> list[dict[str, Any]]:
    """containers[] of one task. `reason`: why it could not start, where no container says it itself."""
    observed = _by_name(app, seen)
    task_arn = names.task_arn(cluster, task_id)
    shown: list[dict[str, Any]] = []
    for name in container_names(app):
        one = observed.get(name)
        shown.append(
            {
                "containerArn": names.container_arn(cluster, task_id, name),
                "taskArn": task_arn,
                "name": name,
                "lastStatus": _status(one, is_stopped),
                **_spec(app, name),
                **_what_runs(app, one),
                **_ending(one, reason),
                "networkInterfaces": _interfaces(app, one, task_id),
                "healthStatus": health_word(one.health if one else "", _check(app, name)),
            }
        )
    return shown


def health_of_task(shown: Sequence[Mapping[str, Any]], app: App) -> str:
    """UNHEALTHY when an essential container is, HEALTHY when all that have a check are, else UNKNOWN."""
    essential = {member.name for member in members(app) if member.essential}
    words = {c["healthStatus"] for c in shown if c["name"] in essential and _check(app, c["name"])}
    if "UNHEALTHY" in words:
        return "UNHEALTHY"
    return "HEALTHY" if words == {"HEALTHY"} else "UNKNOWN"


def health_word(engine_health: str, check: HealthCheck | None) -> str:
    """A container without a check of its own is UNKNOWN, whatever else is asked of it."""
    if check is None:
        return "UNKNOWN"
    return {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}.get(engine_health, "UNKNOWN")


def network_bindings(app: App, seen: ObservedContainer) -> list[dict[str, Any]]:
    """What Docker bound, IPv4 only; the ports of a range are one. On the node's own network they are the same port twice."""
    if app.network_mode in (NetworkMode.OWN, NetworkMode.NONE):
        return []
    if app.network_mode is NetworkMode.HOST:
        return [
            _binding(ALL_ADDRESSES, p.container_port, p.container_port, p.protocol.value)
            for p in _ports_of(app, seen.name)
            if p.container_port
        ]
    bound = [b for b in seen.bindings if ":" not in b.address]
    ranges = _ranges(app, seen.name)
    shown = [
        _binding(b.address or ALL_ADDRESSES, b.container_port, b.host_port, b.protocol.value)
        for b in bound
        if (b.container_port, b.protocol.value) not in ranges
    ]
    return [*shown, *_shown_ranges(bound, ranges)]


def failure_reason(text: str, *, oom_killed: bool = False) -> str:
    """Why a container did not start or was killed, under the agent's name for it."""
    if oom_killed:
        return "OutOfMemoryError: Container killed due to memory usage"
    if not text:
        return ""
    if config := host_config_error(text):
        return config
    is_pull = any(word in text.lower() for word in _PULL_WORDS)
    name = "CannotPullContainerError" if is_pull else "CannotStartContainerError"
    return f"{name}: {text}"[:REASON_LENGTH_MAX]


def host_config_error(text: str) -> str:
    """What the agent says where the pool of host ports found none; "" for anything else."""
    found = _NO_PORT.match(text)
    return f"HostConfigError: error retrieving docker port map: {found[0]}" if found else ""


def _by_name(app: App, seen: ObservedInstance | None) -> Mapping[str, ObservedContainer]:
    """What is observed of each; an engine without containers, or with one unnamed, has the first alone."""
    if seen is None:
        return {}
    if not seen.containers:
        whole = ObservedContainer(
            name=first_name(app),
            state=seen.state,
            exit_code=seen.exit_code,
            oom_killed=seen.oom_killed,
            error=seen.error,
            health=seen.engine_health,
            started_at_ms=seen.started_at_ms,
            bindings=_leased(seen),
        )
        return {whole.name: whole}
    first = first_name(app)
    return {container.name or first: container for container in seen.containers}


def _leased(seen: ObservedInstance) -> tuple[PortBinding, ...]:
    if seen.state is EngineState.CREATED:
        return ()
    return tuple(
        PortBinding(
            container_port=lease.container_port,
            host_port=lease.host_port,
            protocol=lease.protocol,
            address=lease.address,
        )
        for lease in seen.identity.leases
    )


def _status(one: ObservedContainer | None, is_stopped: bool) -> str:
    if one is None:
        return "STOPPED" if is_stopped else "PENDING"
    return _STATES[one.state]


def _spec(app: App, name: str) -> dict[str, Any]:
    """Image, cpu and memory as the task definition says them, in its units and as text."""
    part = next((m.app for m in members(app) if m.name == name), app)
    return {"image": part.image or "", **_limits(part.resources)}


def _limits(resources: Resources) -> dict[str, str]:
    shown = {"cpu": str(resources.cpu_shares or 0)}
    if resources.memory_bytes is not None:
        shown["memory"] = str(resources.memory_bytes // _MIB)
    if resources.memory_reservation_bytes is not None:
        shown["memoryReservation"] = str(resources.memory_reservation_bytes // _MIB)
    return shown


def _what_runs(app: App, one: ObservedContainer | None) -> dict[str, Any]:
    if one is None:
        return {"networkBindings": []}
    shown: dict[str, Any] = {"networkBindings": network_bindings(app, one)}
    if one.container_id:
        shown["runtimeId"] = one.container_id
    if one.image_id:
        shown["imageDigest"] = one.image_id
    return shown


def interface_ids(task_id: str) -> tuple[str, str]:
    """The ids of the network interface of a task in awsvpc mode, and of its attachment."""
    digits = hashlib.sha256(task_id.encode()).hexdigest()
    return f"eni-{digits[:17]}", f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"  # fmt: skip


def own_address(app: App, seen: ObservedInstance | None) -> str:
    """The address of a task in awsvpc mode, all of whose containers share it; "" while it has none."""
    if app.network_mode is not NetworkMode.OWN or seen is None:
        return ""
    return next((c.address for c in seen.containers if c.address), seen.address)


def _interfaces(app: App, one: ObservedContainer | None, task_id: str) -> list[dict[str, str]]:
    if app.network_mode is not NetworkMode.OWN or one is None or not one.address:
        return []
    return [{"attachmentId": interface_ids(task_id)[1], "privateIpv4Address": one.address}]


def _ending(one: ObservedContainer | None, reason: str) -> dict[str, Any]:
    if one is None:
        return {"reason": failure_reason(reason)} if reason else {}
    shown: dict[str, Any] = {}
    if one.exit_code is not None and one.state is EngineState.EXITED:
        shown["exitCode"] = one.exit_code
    if why := failure_reason(one.error, oom_killed=one.oom_killed):
        shown["reason"] = why
    return shown


def _ports_of(app: App, container: str) -> tuple[PortSpec, ...]:
    first = first_name(app)
    return tuple(spec for spec in app.ports if (spec.container or first) == (container or first))


def _check(app: App, name: str) -> HealthCheck | None:
    """The container's own check: one that is a command."""
    found = next((c.health for c in app.containers if c.name == name), app.health)
    return found if found is not None and found.command else None


def _ranges(app: App, container: str) -> dict[tuple[int, str], str]:
    """By container port and protocol, the run it belongs to."""
    return {
        (spec.container_port, spec.protocol.value): spec.run
        for spec in _ports_of(app, container)
        if spec.run
    }


def _shown_ranges(
    bound: Sequence[PortBinding], ranges: Mapping[tuple[int, str], str]
) -> list[dict[str, Any]]:
    runs: dict[tuple[str, str], list[PortBinding]] = {}
    for binding in bound:
        run = ranges.get((binding.container_port, binding.protocol.value))
        if run is not None:
            runs.setdefault((run, binding.protocol.value), []).append(binding)
    shown: list[dict[str, Any]] = []
    for (_, protocol), bindings in runs.items():
        inside = sorted(b.container_port for b in bindings)
        outside = sorted(b.host_port for b in bindings)
        shown.append(
            {
                "bindIP": bindings[0].address or ALL_ADDRESSES,
                "containerPortRange": f"{inside[0]}-{inside[-1]}",
                "hostPortRange": f"{outside[0]}-{outside[-1]}",
                "protocol": protocol,
            }
        )
    return shown


def _binding(address: str, container_port: int, host_port: int, protocol: str) -> dict[str, Any]:
    return {
        "bindIP": address,
        "containerPort": container_port,
        "hostPort": host_port,
        "protocol": protocol,
    }
