"""The containers of an instance in memory: started in their order, ended together. Pure; behaviours and times are arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from portway.core.app import App, CheckKind
from portway.core.containers import Member, first_name, members, unmet
from portway.core.instance import EngineState, ObservedContainer, PortBinding
from portway.core.ports import Lease
from portway.engines.base import StartRequest
from portway.engines.memory.world import ImageBehaviour


def made(request: StartRequest) -> tuple[ObservedContainer, ...]:
    """Every container of the instance, none of them started; one that is alone has the name its App gives it."""
    app = request.revision.app
    group = members(app)
    return tuple(
        ObservedContainer(
            name=member.name if app.containers else app.container_name,
            state=EngineState.CREATED,
            container_id=_id(request.identity.id, member.name),
            essential=member.essential,
            image=member.app.image or "",
            image_id=member.app.image_id,
            bindings=_bindings(app, member, request.identity.leases),
        )
        for member in group
    )


def started(
    app: App,
    containers: Sequence[ObservedContainer],
    behaviour_of: Callable[[Member], ImageBehaviour],
    *,
    now_ms: int,
) -> tuple[ObservedContainer, ...]:
    """The containers once every one that may start has been started."""
    group = members(app)
    now = {member.name: one for member, one in zip(group, containers, strict=True)}
    moved = True
    while moved:
        moved = False
        for member in group:
            waits = now[member.name].started_at_ms is None
            if waits and unmet(member.depends_on, now) is None:
                now[member.name] = _begun(now[member.name], member, behaviour_of(member), now_ms)
                moved = True
    return tuple(now[member.name] for member in group)


def _begun(
    container: ObservedContainer, member: Member, behaviour: ImageBehaviour, now_ms: int
) -> ObservedContainer:
    health = ""
    if member.app.health.kind is CheckKind.COMMAND:
        health = "healthy" if behaviour.healthy else "unhealthy"
    running = replace(container, state=EngineState.RUNNING, health=health, started_at_ms=now_ms)
    if behaviour.exits_with is None:
        return running
    return over(running, exit_code=behaviour.exits_with, now_ms=now_ms)


def over(
    container: ObservedContainer,
    *,
    exit_code: int | None,
    now_ms: int | None = None,
    oom_killed: bool = False,
) -> ObservedContainer:
    """The container after its end; one that was never started, or has ended before, stays as it is."""
    if container.state is not EngineState.RUNNING:
        return container
    return replace(
        container,
        state=EngineState.EXITED,
        exit_code=exit_code,
        oom_killed=oom_killed,
        health="",
        finished_at_ms=now_ms,
    )


def _bindings(app: App, member: Member, leases: Sequence[Lease]) -> tuple[PortBinding, ...]:
    owners = {spec.name: spec.container or first_name(app) for spec in app.ports}
    return tuple(
        PortBinding(
            container_port=lease.container_port,
            host_port=lease.host_port,
            protocol=lease.protocol,
            address=lease.address,
        )
        for lease in leases
        if owners.get(lease.port_name, first_name(app)) == member.name
    )


def _id(instance_id: str, name: str) -> str:
    return hashlib.sha256(f"{instance_id}\n{name}".encode()).hexdigest()
