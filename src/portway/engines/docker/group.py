"""An instance of several containers -> what is asked of Docker for each of them. Pure.

Every one carries the instance's identity and a note on all of them, so that any that is found tells of the others.
Where they share one address, a container that only sleeps holds it (the sandbox): the others may come and go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from portway.core.app import (
    App,
    CheckKind,
    ContainerCondition,
    ContainerOptions,
    HealthCheck,
    NetworkMode,
)
from portway.core.containers import Member, layers, members
from portway.core.ports import LOOPBACK, Lease
from portway.engines.base import StartRequest
from portway.engines.docker.command import (
    LABEL_CONTAINER,
    ContainerSpec,
    Settings,
    container_body,
    container_spec,
    docker_check,
    identity_labels,
    networks_of,
)
from portway.engines.docker.names import container_name
from portway.engines.docker.pause import PAUSE_IMAGE

LABEL_GROUP = "portway.containers"
SANDBOX = ".network"  # no container of a manifest can be called that
_SHARED = (NetworkMode.STACK, NetworkMode.OWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What must be known of a container to end it, or to tell what its end means. Higher layers end first.

    `own`: it is the one that the App's own fields describe. `ports`: its leased container_ports.
    """

    name: str
    essential: bool
    layer: int
    signal: str
    grace_s: float
    ports: tuple[int, ...] = ()
    own: bool = False


def instance_specs(request: StartRequest, settings: Settings) -> tuple[ContainerSpec, ...]:
    """The instance's containers in the order they are made and started; the first has the instance's own name."""
    app = request.revision.app
    if not app.containers:
        return (container_spec(request, settings),)
    group = tuple(member for layer in layers(members(app)) for member in layer)
    notes = _notes(app, request.identity.leases)
    labels = identity_labels(request, home_id=settings.home_id)
    labels[LABEL_GROUP] = msgspec.json.encode(notes).decode()
    names = _docker_names(request, settings, notes)
    made = [_member_spec(request, settings, member, names=names, labels=labels) for member in group]
    if app.network_mode in _SHARED:
        made.insert(0, _sandbox(request, settings, group, labels=labels))
    return tuple(made)


def notes_of(labels: Mapping[str, str] | None) -> tuple[Note, ...]:
    """The note on all containers of the instance; () on one that is alone. msgspec.DecodeError when it is none."""
    text = (labels or {}).get(LABEL_GROUP, "")
    return msgspec.json.decode(text, type=tuple[Note, ...]) if text else ()


def docker_name(home_id: str, instance_id: str, notes: Sequence[Note], member: str) -> str:
    """What the container `member` of an instance is called in Docker."""
    is_first = not notes or member == notes[0].name
    return container_name(home_id, instance_id, "" if is_first else member)


def _notes(app: App, leases: Sequence[Lease]) -> tuple[Note, ...]:
    sandbox = Note(name=SANDBOX, essential=True, layer=-1, signal="SIGKILL", grace_s=0)
    found = [sandbox] if app.network_mode in _SHARED else []
    for nth, layer in enumerate(layers(members(app))):
        for member in layer:
            found.append(
                Note(
                    name=member.name,
                    essential=member.essential,
                    layer=nth,
                    signal=member.app.stop_signal,
                    grace_s=member.app.stop_grace_s,
                    ports=tuple(x.container_port for x in _leases_of(app, member, leases)),
                    own=member.app is app,
                )
            )
    return tuple(found)


def _docker_names(
    request: StartRequest, settings: Settings, notes: Sequence[Note]
) -> dict[str, str]:
    instance_id = request.identity.id
    return {n.name: docker_name(settings.home_id, instance_id, notes, n.name) for n in notes}


def _leases_of(app: App, member: Member, leases: Sequence[Lease]) -> tuple[Lease, ...]:
    first = members(app)[0].name
    owners = {spec.name: spec.container or first for spec in app.ports}
    return tuple(lease for lease in leases if owners.get(lease.port_name, first) == member.name)


def _member_spec(
    request: StartRequest,
    settings: Settings,
    member: Member,
    *,
    names: Mapping[str, str],
    labels: Mapping[str, str],
) -> ContainerSpec:
    app = request.revision.app
    own = {**labels, LABEL_CONTAINER: member.name}
    alone = _alone(request, member)
    shares = names.get(SANDBOX, "")
    body = container_body(alone, settings, labels=own, shares=shares)
    host: dict[str, Any] = body["HostConfig"]
    if member.volumes_from:
        host["VolumesFrom"] = [
            f"{names[name]}:ro" if read_only else names[name]
            for name, read_only in member.volumes_from
        ]
    if member.links and app.network_mode is NetworkMode.BRIDGE:
        host["Links"] = [f"{names[name]}:{alias}" for name, alias in member.links]
    if check := _own_check(app, member):
        body["Healthcheck"] = docker_check(check)
    return ContainerSpec(
        name=names[member.name],
        body=body,
        networks=() if shares else networks_of(alone, settings),
        labels=own,
        member=member.name,
        depends_on=member.depends_on,
        start_timeout_s=member.start_timeout_s,
    )


def _alone(request: StartRequest, member: Member) -> StartRequest:
    """The request of one container, as if it were an instance of its own."""
    app, mode = member.app, request.revision.app.network_mode
    is_first = app is request.revision.app
    if mode in _SHARED:  # a setting of the network is the sandbox's
        options = app.container
        kept = {name: value for name, value in options.sysctls.items() if not _is_of_network(name)}
        app = replace(app, container=replace(options, sysctls=kept))
    elif mode is NetworkMode.HOST:
        app = replace(app, extra_hosts=(*app.extra_hosts, *_local(member)))
    leases = _leases_of(request.revision.app, member, request.identity.leases)
    return replace(
        request,
        identity=replace(request.identity, leases=leases),
        revision=replace(request.revision, app=app),
        environment=request.environment if is_first else app.environment,
        command=request.command if is_first else app.command,
    )


def _own_check(app: App, member: Member) -> HealthCheck | None:
    """The check Docker itself makes: of the first container the controller does, unless another waits for it."""
    check = member.app.health
    if check.kind is not CheckKind.COMMAND:
        return None
    if member.app is not app:
        return check
    waits = [
        dependency
        for other in app.containers
        for dependency in other.depends_on
        if dependency.name == member.name and dependency.condition is ContainerCondition.HEALTHY
    ]
    return check if waits else None


def _sandbox(
    request: StartRequest,
    settings: Settings,
    group: Sequence[Member],
    *,
    labels: Mapping[str, str],
) -> ContainerSpec:
    app = request.revision.app
    every = [member.app.container for member in (members(app)[0], *group)]
    hosts = [pair for member in group for pair in (*member.app.extra_hosts, *_local(member))]
    options = ContainerOptions(
        hostname=next((one.hostname for one in every if one.hostname), ""),
        dns=tuple(dict.fromkeys(address for one in every for address in one.dns)),
        dns_search=tuple(dict.fromkeys(domain for one in every for domain in one.dns_search)),
        sysctls={k: v for one in every for k, v in one.sysctls.items() if _is_of_network(k)},
        cap_drop=("ALL",),
        security_opt=("no-new-privileges",),
        read_only=True,
    )
    sleeper = App(
        id=app.id,
        image=PAUSE_IMAGE,
        expose=app.expose,
        health=HealthCheck(kind=CheckKind.NONE),
        networks=app.networks,
        extra_hosts=tuple(dict.fromkeys(hosts)),
        stop_signal="SIGKILL",
        stop_grace_s=0,
        container=options,
        network_mode=app.network_mode,
    )
    revision = replace(request.revision, app=sleeper)
    alone = replace(request, revision=revision, environment={}, command=None)
    own = {**labels, LABEL_CONTAINER: SANDBOX}
    return ContainerSpec(
        name=container_name(settings.home_id, request.identity.id),
        body=container_body(alone, settings, labels=own),
        networks=networks_of(alone, settings),
        labels=own,
        member=SANDBOX,
    )


def _local(member: Member) -> tuple[tuple[str, str], ...]:
    """A linked container of the same network answers on the loopback address."""
    return tuple((alias, LOOPBACK) for _, alias in member.links)


def _is_of_network(sysctl: str) -> bool:
    return sysctl.startswith("net.")
