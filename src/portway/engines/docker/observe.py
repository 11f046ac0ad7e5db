"""What Docker says of an instance's containers -> ObservedInstance. Pure; decides nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from portway.core.app import Protocol
from portway.core.containers import together
from portway.core.errors import EngineError
from portway.core.instance import (
    EngineState,
    InstanceIdentity,
    ObservedContainer,
    ObservedInstance,
    PortBinding,
)
from portway.core.ports import ANY_ADDRESS
from portway.engines.docker.api import Container, ContainerSummary
from portway.engines.docker.command import (
    BRIDGE,
    LABEL_CONTAINER,
    LABEL_INSTANCE,
    identity_from_labels,
)
from portway.engines.docker.errors import tidy
from portway.engines.docker.group import SANDBOX, Note, notes_of
from portway.engines.docker.names import container_name, network_name

_STATES = {
    "created": EngineState.CREATED,
    "running": EngineState.RUNNING,
    "paused": EngineState.RUNNING,
    "restarting": EngineState.RUNNING,
    "exited": EngineState.EXITED,
    "dead": EngineState.EXITED,
    "removing": EngineState.EXITED,
}
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_EXIT_CODE = re.compile(r"\((\d+)\)")
_NEVER = "0001-01-01"


def is_instance(summary: ContainerSummary, *, home_id: str) -> bool:
    """Whether the container is of an instance, and not made from an image that inherited its labels."""
    labels = summary.labels or {}
    instance_id, member = labels.get(LABEL_INSTANCE, ""), labels.get(LABEL_CONTAINER, "")
    names = (container_name(home_id, instance_id, one) for one in ("", member))
    return any(f"/{name}" in summary.names for name in names)


def final_key(summary: ContainerSummary) -> tuple[str, str, str]:
    """While this stays the same, an inspection of the container says nothing new."""
    code = _EXIT_CODE.search(summary.status)
    return (summary.id, summary.state, code[1] if code else "")


def identity_of(summary: ContainerSummary) -> InstanceIdentity:
    """The identity on its labels; a listing that cannot read one must not go on without it."""
    try:
        return identity_from_labels(summary.labels or {})
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(summary) from error


def _unreadable(summary: ContainerSummary) -> EngineError:
    name = summary.names[0].lstrip("/") if summary.names else summary.id[:12]
    return EngineError(
        f"The container {name} carries portway's labels, but who it is cannot be read from them.",
        hint=f"It was not made by this version of portway; remove it with `docker rm -f {name}`.",
        retryable=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One container as the listing and its inspection show it."""

    summary: ContainerSummary
    inspected: Container

    @property
    def member(self) -> str:
        """Which container of its instance it is."""
        return (self.summary.labels or {}).get(LABEL_CONTAINER, "")

    @property
    def state(self) -> EngineState:
        return _STATES.get(self.summary.state, EngineState.EXITED)


def observed(seen: Sequence[Seen], *, home_id: str, node_address: str) -> ObservedInstance:
    """The instance as its containers show it; an address only while it runs."""
    summary = seen[0].summary
    identity = identity_of(summary)
    notes = notes_in(summary)
    found = {one.member: one for one in seen}
    where = _Where(
        stack_network=network_name(home_id, identity.app_id.rpartition("/")[0]),
        identity=identity,
        sandbox=found.get(SANDBOX),
    )
    if not notes:
        only = _container(seen[0], where, _alone(seen[0].member, identity))
        containers, whole = (only,), together((only,))
    else:
        every = [_member(note, found, where) for note in notes]
        containers, whole = tuple(c for c in every if c.name != SANDBOX), together(every)
    ended = whole.ended_by
    runs = whole.state is EngineState.RUNNING
    address, reaches = _endpoint(notes, found, containers, where, node_address=node_address)
    return ObservedInstance(
        identity=identity,
        state=whole.state,
        address=address if runs else "",
        reaches_container=reaches,
        exit_code=ended.exit_code if ended else None,
        oom_killed=ended.oom_killed if ended else any(c.oom_killed for c in containers),
        error=ended.error if ended else "" if notes else containers[0].error,
        started_at_ms=min((c.started_at_ms for c in containers if c.started_at_ms), default=None),
        engine_health=whole.health,
        details=_details(_shown(notes, found), running=runs),
        containers=containers,
        failed_container=ended.name if ended and notes else "",
    )


def _alone(name: str, identity: InstanceIdentity) -> Note:
    ports = tuple(lease.container_port for lease in identity.leases)
    return Note(name=name, essential=True, layer=0, signal="", grace_s=0, ports=ports)


def notes_in(summary: ContainerSummary) -> tuple[Note, ...]:
    """The note on all containers of the instance; () when it has only one."""
    try:
        return notes_of(summary.labels)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(summary) from error


def as_observed(note: Note, container: Container) -> ObservedContainer:
    """A container by its inspection alone, as far as others wait for it."""
    state = _STATES.get(container.state.status, EngineState.EXITED)
    if state is EngineState.CREATED and container.state.error and container.state.exit_code:
        state = EngineState.EXITED  # it could not be started
    ended = state is EngineState.EXITED
    return ObservedContainer(
        name=note.name,
        state=state,
        container_id=container.id,
        essential=note.essential,
        exit_code=container.state.exit_code if ended else None,
        oom_killed=container.state.oom_killed,
        error=tidy(container.state.error),
        health=_plain_health(container.state.health.status if container.state.health else ""),
        started_at_ms=unix_ms(container.state.started_at),
        finished_at_ms=unix_ms(container.state.finished_at) if ended else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Where:
    """The network that an instance is in. `sandbox` holds the address where its containers share one."""

    stack_network: str
    identity: InstanceIdentity
    sandbox: Seen | None = None

    def address(self, summary: ContainerSummary) -> str:
        """The address that the container answers at; "" when it has none."""
        source = self.sandbox.summary if self.sandbox else summary
        networks = (source.network_settings.networks if source.network_settings else None) or {}
        mode = _mode(source)  # of several networks, the one it was made in
        name = BRIDGE if mode in (BRIDGE, "default") else mode
        name = name if name in networks else self.stack_network
        endpoint = networks.get(name)
        return endpoint.ip_address if endpoint else ""

    def bindings(self, summary: ContainerSummary, note: Note) -> tuple[PortBinding, ...]:
        """The container's host ports as they are bound. On the node's own network they are what was leased."""
        if _mode(summary) == "host":
            leased = [one for one in self.identity.leases if one.container_port in note.ports]
            return tuple(
                PortBinding(
                    container_port=lease.container_port,
                    host_port=lease.host_port,
                    protocol=lease.protocol,
                    address=lease.address,
                )
                for lease in leased
            )
        if self.sandbox is None:
            return _bindings(summary)
        shared = _bindings(self.sandbox.summary)
        return tuple(one for one in shared if one.container_port in note.ports)


def _mode(summary: ContainerSummary) -> str:
    return summary.host_config.network_mode if summary.host_config else ""


def _container(seen: Seen, where: _Where, note: Note) -> ObservedContainer:
    running = seen.state is EngineState.RUNNING
    health = _HEALTH.search(seen.summary.status)
    by_inspection = as_observed(note, seen.inspected)
    # The listing is newer than an inspection that was kept; only a failed start it does not know.
    state = by_inspection.state if seen.state is EngineState.CREATED else seen.state
    return replace(
        by_inspection,
        state=state,
        exit_code=seen.inspected.state.exit_code if state is EngineState.EXITED else None,
        container_id=seen.summary.id,
        health=health[1] if health and running else "",
        image=seen.summary.image,
        image_id=seen.summary.image_id,
        address=where.address(seen.summary) if running else "",
        bindings=where.bindings(seen.summary, note) if running else (),
    )


def _member(note: Note, found: Mapping[str, Seen], where: _Where) -> ObservedContainer:
    if note.name in found:
        return _container(found[note.name], where, note)
    # All are made before any is started: one that is missing then was taken away.
    began = any(one.state is not EngineState.CREATED for one in found.values())
    return ObservedContainer(
        name=note.name,
        state=EngineState.EXITED if began else EngineState.CREATED,
        essential=note.essential,
        error="it was removed by someone else" if began else "",
    )


def _bindings(summary: ContainerSummary) -> tuple[PortBinding, ...]:
    """What Docker bound; an IPv6 twin of a binding of all addresses is left out, as the agent of ECS does."""
    found = [
        PortBinding(
            container_port=port.private_port,
            host_port=port.public_port,
            protocol=Protocol(port.type),
            address=port.ip,
        )
        for port in summary.ports or ()
        if port.public_port and port.type in ("tcp", "udp")
    ]
    plain = [one for one in found if one.address != "::"]
    return tuple(sorted(plain or found, key=lambda b: (b.container_port, b.protocol, b.host_port)))


def _shown(notes: Sequence[Note], found: Mapping[str, Seen]) -> Seen:
    """The container that details are shown of: the first that publishes, else the first essential one."""
    for wanted in (
        [n.name for n in notes if n.ports],
        [n.name for n in notes if n.essential and n.name != SANDBOX],
        list(found),
    ):
        for name in wanted:
            if name in found:
                return found[name]
    raise AssertionError("an instance without a container is not listed")


def _endpoint(
    notes: Sequence[Note],
    found: Mapping[str, Seen],
    containers: Sequence[ObservedContainer],
    where: _Where,
    *,
    node_address: str,
) -> tuple[str, bool]:
    """Where the instance answers, and whether by its container_ports."""
    summary = next(iter(found.values())).summary
    if _mode(summary) == "host":
        return _on_node(where.identity, node_address), False
    if where.sandbox is not None:
        return where.address(summary), True
    publishing = [c for c in containers if any(n.ports and n.name == c.name for n in notes)]
    if len(publishing) > 1:
        # Each has an address of its own; the node's is one for all.
        return _on_node(where.identity, node_address), False
    return (publishing or containers)[0].address, True


def _on_node(identity: InstanceIdentity, node_address: str) -> str:
    """Where the host ports answer: as they were published, or on any address of the node."""
    published = (lease.address for lease in identity.leases)
    return next((one for one in published if one != ANY_ADDRESS), node_address)


def _details(seen: Seen, *, running: bool) -> dict[str, str]:
    details = {"container": seen.summary.id[:12], "image": seen.summary.image}
    if running and seen.inspected.state.pid:
        details["pid"] = str(seen.inspected.state.pid)
    return details


def _plain_health(status: str) -> str:
    return status if status in ("starting", "healthy", "unhealthy") else ""


def unix_ms(text: str) -> int | None:
    """Docker's timestamps (RFC 3339, nanoseconds) as Unix milliseconds; None for its "never", and for what is no time."""
    if not text or text.startswith(_NEVER):
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
