"""The containers of an instance: who they are, in which order they start and end, what one waits for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from portway.core.app import (
    App,
    Container,
    ContainerCondition,
    ContainerDependency,
    HealthCheck,
)
from portway.core.instance import EngineState, ObservedContainer

OUT_OF_MEMORY = "was killed because it used more memory than its limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One container of an instance. `app` is what it runs, written as an App of one container.

    `depends_on` are all that it waits for: a link or a shared volume waits for the other's start.
    """

    name: str
    app: App
    essential: bool = True
    depends_on: tuple[ContainerDependency, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    volumes_from: tuple[tuple[str, bool], ...] = ()
    start_timeout_s: float = 180.0


def first_name(app: App) -> str:
    """What the container that the App's own fields describe is called among several."""
    return app.container_name or app.name


def members(app: App) -> tuple[Member, ...]:
    """Every container of an instance, the App's own one first, the others as written."""
    own = Member(
        name=first_name(app),
        app=app,
        essential=app.essential,
        depends_on=_waits(app.container_depends_on, app.container_links, app.volumes_from),
        links=app.container_links,
        volumes_from=app.volumes_from,
        start_timeout_s=app.container_start_timeout_s,
    )
    return (own, *(_member(app, container) for container in app.containers))


def _member(app: App, container: Container) -> Member:
    alone = App(
        id=app.id,
        image=container.image,
        image_id=container.image_id,
        command=container.command,
        entrypoint=container.entrypoint,
        environment=container.environment,
        ports=tuple(spec for spec in app.ports if spec.container == container.name),
        health=container.health or HealthCheck(),
        resources=container.resources,
        volumes=container.volumes,
        extra_hosts=container.extra_hosts,
        labels=container.labels,
        user=container.user,
        working_dir=container.working_dir,
        stop_signal=container.stop_signal,
        stop_grace_s=container.stop_grace_s,
        container=container.container,
        container_name=container.name,
        essential=container.essential,
        network_mode=app.network_mode,
    )
    return Member(
        name=container.name,
        app=alone,
        essential=container.essential,
        depends_on=_waits(container.depends_on, container.links, container.volumes_from),
        links=container.links,
        volumes_from=container.volumes_from,
        start_timeout_s=container.start_timeout_s,
    )


def _waits(
    written: tuple[ContainerDependency, ...],
    links: tuple[tuple[str, str], ...],
    volumes_from: tuple[tuple[str, bool], ...],
) -> tuple[ContainerDependency, ...]:
    named = {dependency.name for dependency in written}
    others = dict.fromkeys(name for name, _ in (*links, *volumes_from) if name not in named)
    start = ContainerCondition.START
    return (*written, *(ContainerDependency(name=name, condition=start) for name in others))


def fault_of(app: App) -> str:
    """What is wrong with how the containers of the App refer to each other, as a sentence; "" when nothing is."""
    group = members(app)
    names = [member.name for member in group]
    for name in names:
        if names.count(name) > 1:
            return f"two of its containers are called {name}"
    for member in group:
        for dependency in member.depends_on:
            if dependency.name not in names:
                return f"its container {member.name} names {dependency.name}, which is none of its containers"
    for spec in app.ports:
        if spec.container and spec.container not in names:
            return f'its port "{spec.name}" is of {spec.container}, which is none of its containers'
    if len(layers(group)) == 0:
        return "its containers wait for each other in a circle"
    return ""


def layers(group: Sequence[Member]) -> tuple[tuple[Member, ...], ...]:
    """The containers by when they may start: those that wait for nothing, those that wait for them only...; () in a circle."""
    found: list[tuple[Member, ...]] = []
    placed: set[str] = set()
    left = list(group)
    while left:
        layer = tuple(m for m in left if {d.name for d in m.depends_on} <= placed)
        if not layer:
            return ()
        found.append(layer)
        placed |= {member.name for member in layer}
        left = [member for member in left if member not in layer]
    return tuple(found)


def unmet(
    dependencies: Iterable[ContainerDependency], seen: Mapping[str, ObservedContainer]
) -> ContainerDependency | None:
    """The first that does not hold yet; None when all do."""
    return next((d for d in dependencies if not _holds(d, seen.get(d.name))), None)


def _holds(dependency: ContainerDependency, other: ObservedContainer | None) -> bool:
    if other is None or other.started_at_ms is None:
        return False
    match dependency.condition:
        case ContainerCondition.START:
            return True
        case ContainerCondition.COMPLETE:
            return other.state is EngineState.EXITED
        case ContainerCondition.SUCCESS:
            return other.state is EngineState.EXITED and other.exit_code == 0
        case ContainerCondition.HEALTHY:
            return other.state is EngineState.RUNNING and other.health == "healthy"


def waiting_for(app: App, containers: Iterable[ObservedContainer]) -> str:
    """What keeps a container of the instance from being started, as a clause; "" when nothing does."""
    seen = {one.name: one for one in containers}
    for member in members(app):
        began = seen.get(member.name)
        wanted = unmet(member.depends_on, seen)
        if wanted is not None and (began is None or began.state is EngineState.CREATED):
            return f"{member.name} waits for {wanted.name} to {_WANTED[wanted.condition]}"
    return ""


def hopeless(
    dependency: ContainerDependency,
    other: ObservedContainer | None,
    *,
    timeout_s: float,
    now_ms: int,
) -> str:
    """Why an unmet dependency will not be met any more, as a clause; "" while it may be."""
    if other is None:
        return ""
    name = dependency.name
    if other.state is EngineState.EXITED:
        wanted = _WANTED[dependency.condition]
        return f"{name}, which it waits for to {wanted}, {how_it_ended(other)}"
    if other.started_at_ms is None:
        return ""
    if now_ms - other.started_at_ms <= timeout_s * 1000:
        return ""
    wanted = _WANTED[dependency.condition]
    return f"{name}, which it waits for, did not {wanted} within {timeout_s:g} s"


_WANTED: Mapping[ContainerCondition, str] = {
    ContainerCondition.START: "start",
    ContainerCondition.COMPLETE: "end",
    ContainerCondition.SUCCESS: "succeed",
    ContainerCondition.HEALTHY: "become healthy",
}


def how_it_ended(container: ObservedContainer) -> str:
    """How one container ended, as a clause without its subject."""
    if container.oom_killed:
        return OUT_OF_MEMORY
    if container.error:
        return f"did not start: {container.error}"
    return "ended" if container.exit_code is None else f"exited with code {container.exit_code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """What the states of an instance's containers make of the instance. `ended_by`: the one whose end ended it."""

    state: EngineState
    ended_by: ObservedContainer | None = None
    health: str = ""


def together(seen: Sequence[ObservedContainer]) -> Together:
    """CREATED until all have been started, RUNNING while every essential one runs, EXITED after the first of them ended.

    Where none is essential, it ends with the last. It is as healthy as the least healthy essential one.
    """
    ended = [c for c in seen if c.state is EngineState.EXITED]
    vital = [c for c in ended if c.essential]
    if not any(c.essential for c in seen) and len(ended) == len(seen):
        vital = ended[-1:]
    if vital:
        first = min(vital, key=lambda c: (c.finished_at_ms is None, c.finished_at_ms or 0))
        return Together(state=EngineState.EXITED, ended_by=first)
    if any(c.state is EngineState.CREATED for c in seen):
        return Together(state=EngineState.CREATED)
    told = {c.health for c in seen if c.essential}
    health = next((word for word in ("unhealthy", "starting", "healthy") if word in told), "")
    return Together(state=EngineState.RUNNING, health=health)
