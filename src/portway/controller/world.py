"""World: everything the controller knows right now, in memory. Holds values; decides and does nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from portway.controller.ecs.task_index import TaskIndex
from portway.controller.listening import Listening
from portway.core.app import Condition, Dependency
from portway.core.environment import LinkTarget, link_container_port
from portway.core.events import Event
from portway.core.health import Health
from portway.core.instance import InstanceRecord, ObservedInstance, Phase
from portway.core.lifecycle import has_completed
from portway.core.observed import StartFailure
from portway.core.placement import (
    NOTHING,
    ONE,
    NodeUse,
    NodeView,
    asks_groups,
    demand_of,
    drained_among,
    group_of,
)
from portway.core.plan import Blocked
from portway.core.pooled import bound_groups
from portway.core.ports import LOOPBACK
from portway.core.routes import Route, RouteKey, ServedRoute
from portway.core.routing import is_routed, route_keys
from portway.core.stack import Certificate, Stack
from portway.core.state import AppState, Revision
from portway.store.base import Batch, Snapshot

FORGOTTEN = "instances"  # under which name the journal keeps those of a deleted App
FORGOTTEN_MAX = 1000
RUN_SLOT = 0  # one-off instances fill no slot; the planner leaves them alone


@dataclass(slots=True)
class World:
    """What is stored (stacks, apps, certificates) beside what was last seen (the rest)."""

    home_id: str = ""
    variables_prefix: str = ""  # of the variables that Marathon's apps are told
    stacks: dict[str, Stack] = field(default_factory=dict)
    apps: dict[str, AppState] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    nodes: tuple[NodeView, ...] = ()
    drained: frozenset[str] = frozenset()  # the names of those that are, among `drained_of`
    drained_of: tuple[NodeView, ...] = ()
    instances: dict[str, dict[str, ObservedInstance]] | None = None  # by app id, then id
    doubted: dict[str, int] = field(default_factory=dict)  # unseen so far, since when, by app id
    hidden: frozenset[str] = frozenset()  # Apps that run where nothing could be seen last
    served: dict[str, dict[RouteKey, ServedRoute]] | None = None  # by owner
    applied: dict[str, tuple[Route, ...]] = field(default_factory=dict)
    health: dict[str, Health] = field(default_factory=dict)
    readiness: dict[str, Health] = field(default_factory=dict)
    checks: dict[str, dict[int, Health]] = field(
        default_factory=dict
    )  # of instances with several health checks, each one's verdict
    start_failures: dict[str, StartFailure] = field(default_factory=dict)
    last_words: dict[str, str] = field(default_factory=dict)
    explanations: dict[str, str] = field(default_factory=dict)  # why one is not healthy, by id
    route_errors: dict[str, str] = field(default_factory=dict)
    blocked: dict[str, tuple[str, ...]] = field(default_factory=dict)
    obstacles: dict[str, tuple[Blocked, ...]] = field(
        default_factory=dict
    )  # the same, for programs
    problems: dict[str, str] = field(default_factory=dict)  # what ails portway itself, by part
    unread_since_ms: dict[str, int] = field(
        default_factory=dict
    )  # the parts that cannot be read, from the first look that failed
    names: dict[str, set[str]] = field(default_factory=dict)  # the ids in `apps` by stack
    members: dict[str, set[str]] = field(
        default_factory=dict
    )  # the ids in `apps` by target group that they are bound to
    listening: Listening = field(default_factory=Listening)
    tasks: TaskIndex = field(default_factory=TaskIndex)
    load: dict[str, int] = field(default_factory=dict)  # live instances by node
    used: dict[str, NodeUse] = field(default_factory=dict)  # what they set aside, by node
    bound: dict[str, dict[int, tuple[str, ...]]] = field(
        default_factory=dict
    )  # names in `certificates` by App, then listener
    one_offs: set[str] = field(default_factory=set)  # the one-off instances a caller waits for
    forgotten: dict[str, str] = field(
        default_factory=dict
    )  # by id, the revision of each instance that a deleted App had last

    def of_stack(self, stack: str) -> tuple[AppState, ...]:
        """The stack's Apps by name; full ids are compared, never prefixes."""
        return tuple(self.apps[key] for key in sorted(self.names.get(stack, ())))

    def remember(self, batch: Batch) -> None:
        """What was saved is what is known from now on; nothing is kept about what was deleted."""
        for state in batch.apps:
            self._put(replace(state, version=state.version + 1))
        self.stacks.update({stack.name: stack for stack in batch.stacks})
        self.certificates.update({c.name: c for c in batch.certificates})
        for app_id in batch.deleted_apps:
            self._forget_app(app_id)
        for stack in batch.deleted_stacks:
            self.stacks.pop(stack, None)
        for name in batch.deleted_certificates:
            self.certificates.pop(name, None)
        if batch.certificates or batch.deleted_certificates:
            self.bound = _by_listener(self.certificates.values())

    def restore(self, snapshot: Snapshot) -> None:
        """Everything that was stored."""
        self.home_id = snapshot.home_id
        self.stacks = {stack.name: stack for stack in snapshot.stacks}
        self.certificates = {c.name: c for c in snapshot.certificates}
        self.bound = _by_listener(snapshot.certificates)
        for state in snapshot.apps:
            self._put(state)

    def _put(self, state: AppState) -> None:
        self._count(self.apps.get(state.app_id), -1)
        self._count(state, 1)
        self._bind(state.app_id, state)
        self.apps[state.app_id] = state
        self.names.setdefault(state.app_id.rpartition("/")[0], set()).add(state.app_id)

    def _bind(self, app_id: str, after: AppState | None) -> None:
        """Keep `members` and `listening` true of an App that changes."""
        before = self.apps.get(app_id)
        self.listening.note(app_id, before, after)
        self.tasks.note(app_id, is_there=after is not None)
        old = bound_groups(before) if before else frozenset[str]()
        new = bound_groups(after) if after else frozenset[str]()
        for group in new - old:
            self.members.setdefault(group, set()).add(app_id)
        for group in old - new:
            self.members[group].discard(app_id)
            if not self.members[group]:
                del self.members[group]

    def _count(self, state: AppState | None, by: int) -> None:
        for record in state.live if state else ():
            node = record.identity.node
            self.load[node] = self.load.get(node, 0) + by
            revision = state.revisions.get(record.identity.revision) if state else None
            demand = demand_of(revision.app) if revision else ONE
            self.used[node] = self.used.get(node, NOTHING).plus(demand, by)

    def note_unread(self, part: str, why: str, *, now_ms: int) -> None:
        """This part cannot be read: what is known of it is what was seen last."""
        self.problems[part] = why
        self.unread_since_ms.setdefault(part, now_ms)

    def note_read(self, part: str) -> None:
        """This part was read, all of it."""
        self.problems.pop(part, None)
        self.unread_since_ms.pop(part, None)

    def note_blocked(self, app_id: str, blocked: tuple[Blocked, ...]) -> tuple[str, ...]:
        """What keeps the App from moving now; its sentences."""
        self.obstacles[app_id] = blocked
        self.blocked[app_id] = reasons = tuple(one.reason for one in blocked)
        return reasons

    def recall(self, events: Iterable[Event]) -> None:
        """What was deleted in the time of another controller, whose last calls may still arrive."""
        for event in events:
            self._note_forgotten(event.data.get(FORGOTTEN, "").split())

    def _note_forgotten(self, words: Iterable[str]) -> None:
        for instance_id, _, revision in (word.partition("=") for word in words):
            self.forgotten[instance_id] = revision
        for instance_id in [*self.forgotten][:-FORGOTTEN_MAX]:
            del self.forgotten[instance_id]

    def _forget_app(self, app_id: str) -> None:
        self._bind(app_id, None)
        state = self.apps.pop(app_id, None)
        self._count(state, -1)
        stack = app_id.rpartition("/")[0]
        self.names.get(stack, set()).discard(app_id)
        if not self.names.get(stack):
            self.names.pop(stack, None)
        if state is not None:
            self._note_forgotten(forgotten_words(state))
            self.forget_gone(state)
        about: tuple[dict[str, Any], ...]
        about = (self.applied, self.route_errors, self.blocked, self.obstacles, self.problems)
        for known in about:
            known.pop(app_id, None)

    def forget_gone(self, state: AppState) -> None:
        """Keep nothing about instances that are gone; their records say why."""
        about: tuple[dict[str, Any], ...]
        about = (
            self.health,
            self.readiness,
            self.checks,
            self.start_failures,
            self.last_words,
            self.explanations,
        )
        for record in state.instances:
            if record.phase is Phase.GONE:
                for known in about:
                    known.pop(record.id, None)

    def groups_for(self, asking: AppState) -> dict[str, frozenset[str]]:
        """What runs by node, where the App asks for that."""
        if asking.target is None or not asks_groups(asking.target.app):
            return {}
        found: dict[str, set[str]] = {}
        for state in self.apps.values():
            if state.target is not None:
                for record in state.live:
                    found.setdefault(record.identity.node, set()).add(group_of(state.target.app))
        return {node: frozenset(groups) for node, groups in found.items()}

    def emptied(self) -> frozenset[str]:
        """The nodes that are being drained; they are looked through once for all Apps."""
        if self.drained_of is not self.nodes:
            self.drained_of, self.drained = self.nodes, drained_among(self.nodes)
        return self.drained

    def certificates_of(self, stack: str) -> tuple[str, ...]:
        """Names of the certificates on the stack's listeners."""
        return tuple(
            c.name for c in self.certificates.values() if c.target.rpartition("/")[0] == stack
        )

    def seen(self, app_id: str) -> Mapping[str, ObservedInstance] | None:
        """The App's instances as last listed; None while the engine cannot be listed or is not believed."""
        if self.instances is None or app_id in self.doubted or app_id in self.hidden:
            return None
        return self.instances.get(app_id, {})

    def served_by(self, app_id: str) -> Mapping[RouteKey, ServedRoute] | None:
        """The App's routes as last read back; None while the balancer cannot be read."""
        return None if self.served is None else self.served.get(app_id, {})

    def certificates_for(self, app_id: str) -> Mapping[int, tuple[str, ...]]:
        """Names of the App's certificates by listener port."""
        return self.bound.get(app_id, {})

    def dependents(self, state: AppState) -> list[AppState]:
        """The Apps that may have waited for this one."""
        name = state.app_id.rpartition("/")[2]
        return [
            other
            for other in self.of_stack(state.app_id.rpartition("/")[0])
            if other.target and any(d.name == name for d in other.target.app.depends_on)
        ]

    def find_record(self, instance_id: str) -> InstanceRecord | None:
        """The record of an instance by its full id."""
        state = self.apps.get(app_of(instance_id))
        records = state.instances if state else ()
        return next((r for r in records if r.id == instance_id), None)


def forgotten_words(state: AppState) -> list[str]:
    """The instances of an App that is deleted, each with its revision, as the journal keeps them."""
    return [f"{record.id}={record.identity.revision}" for record in state.instances]


def _by_listener(certificates: Iterable[Certificate]) -> dict[str, dict[int, tuple[str, ...]]]:
    found: dict[str, dict[int, tuple[str, ...]]] = {}
    for certificate in sorted(certificates, key=lambda c: c.name):
        owner, _, service_port = certificate.target.rpartition(":")
        of_app = found.setdefault(owner, {})
        of_app[int(service_port)] = (*of_app.get(int(service_port), ()), certificate.name)
    return found


def app_of(instance_id: str) -> str:
    """The App id inside "stack/app.slot.serial"."""
    return instance_id.rsplit(".", 2)[0]


def short_id(instance_id: str) -> str:
    """The id without its stack: "web.1.7"."""
    return instance_id.rpartition("/")[2]


def unmet_dependency(world: World, revision: Revision) -> str:
    """The first dependency of the App that is not met yet, as a sentence; "" when all are."""
    for dependency in revision.app.depends_on:
        other = world.apps.get(f"{revision.app.stack}/{dependency.name}")
        if other is None or other.target is None:
            if dependency.required:
                return f"it waits for {dependency.name}, which is not deployed"
        elif not _is_met(other, dependency):
            return f"it waits for {dependency.name} to be {_wanted(dependency)}"
    return ""


def _is_met(state: AppState, dependency: Dependency) -> bool:
    assert state.target is not None
    current = [r for r in state.instances if r.identity.revision == state.target.id]
    match dependency.condition:
        case Condition.COMPLETED:
            return any(has_completed(r) for r in current)
        case Condition.HEALTHY:
            return state.count == 0 or any(r.phase is Phase.READY for r in current)
        case Condition.STARTED:
            started = any(r.phase is not Phase.PLANNED for r in current)
            return state.count == 0 or started


def _wanted(dependency: Dependency) -> str:
    words = {
        Condition.COMPLETED: "completed",
        Condition.HEALTHY: "healthy",
        Condition.STARTED: "started",
    }
    return words[dependency.condition]


def link_targets(
    world: World, revision: Revision, *, resolves_names: bool
) -> tuple[LinkTarget, ...]:
    """Where the App's links answer, seen from its instances.

    An engine that resolves names reaches the linked App by alias on its container_port; elsewhere
    the App's listener on the loopback address is used.
    """
    targets: list[LinkTarget] = []
    for link in revision.app.links:
        other = world.apps.get(f"{revision.app.stack}/{link.name}")
        if other is None or other.target is None:
            continue
        number = link_container_port(other.target.app) if resolves_names else _listener_of(other)
        if number is not None:
            targets.append(
                LinkTarget(
                    alias=link.alias,
                    address=link.alias if resolves_names else LOOPBACK,
                    port_number=number,
                    environment=other.target.app.environment,
                )
            )
    return tuple(targets)


def _listener_of(state: AppState) -> int | None:
    assert state.target is not None
    wanted = link_container_port(state.target.app)
    specs = [spec for spec in state.target.app.ports if is_routed(spec)]
    specs.sort(key=lambda spec: spec.container_port != wanted)
    for spec in specs:
        for key, _ in route_keys(spec, state.service_ports):
            return key.service_port
    return None


def network_aliases(world: World, revision: Revision) -> tuple[str, ...]:
    """The names by which the stack's other instances find this App: its own and its link aliases."""
    names = {revision.app.name}
    names |= {alias for network in revision.app.networks for alias in network.aliases}
    for other in world.of_stack(revision.app.stack):
        for link in _links_of(other):
            if link[0] == revision.app.name:
                names.add(link[1])
    return tuple(sorted(names))


def _links_of(state: AppState) -> Iterable[tuple[str, str]]:
    return ((link.name, link.alias) for link in state.target.app.links) if state.target else ()
