"""The events of a service, told from what was decided about its instances. Level-triggered: looking again tells nothing twice.

What has been told is kept with the events themselves and saved with them, so that neither a crash nor another controller
loses or doubles one. Within one look they come in the order of a replacement: unhealthy, started, registered, stopped,
deregistered, draining, completed, steady.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from portway.core.aws_names import AwsNames
from portway.core.ecs import words
from portway.core.ecs.deployments import is_count_change, is_steady
from portway.core.ecs.tasks import never_ran, task_id_of
from portway.core.instance import InstanceRecord, Phase
from portway.core.state import AppState, DeploymentStatus

EVENTS_MAX = 100
REPEATED_AFTER_MS = 6 * 3600 * 1000

STARTED, REGISTERED, UNHEALTHY, REPLACED, STOPPED = "started", "registered", "unhealthy", "replaced", "stopped"  # fmt: skip
ENDS_KEPT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent:
    """One sentence. `serial` counts the events of the service and is never reused."""

    at_ms: int
    serial: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The newest events first, and what they have told so far.

    `told`: by instance, which of its steps. `ends`: the deployments whose end was told. `lasting`: sentences whose cause
    goes on, and when each was told last.
    """

    events: tuple[ServiceEvent, ...] = ()
    serial: int = 0
    told: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ends: tuple[str, ...] = ()
    lasting: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """A service at one moment. `unhealthy`: by instance, the sentence that says where it fails; `troubles`: what keeps
    it from its count, as sentences. `nodes`: how many container instances there are.
    """

    service: str
    state: AppState
    names: AwsNames
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    nodes: int = 1

    @property
    def is_classic(self) -> bool:
        """Whether it is behind a classic load balancer: then ECS speaks of instances and of no rollout."""
        groups = {g for r in self.state.instances for g in groups_of(self.state, r)}
        return any(not words.is_target_group(group) for group in groups)


def event_id(app_id: str, event: ServiceEvent) -> str:
    """A UUID for one event, the same whenever it is shown."""
    digest = hashlib.sha256(f"{app_id} {event.serial} {event.at_ms}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def groups_of(state: AppState, record: InstanceRecord) -> tuple[str, ...]:
    """The target groups and classic load balancers that an instance is a target of."""
    revision = state.revisions.get(record.identity.revision)
    if revision is None and state.target and state.target.id == record.identity.revision:
        revision = state.target
    return tuple(dict.fromkeys(t.group for t in revision.app.targets)) if revision else ()


def follow(history: History, facts: ServiceFacts, *, now_ms: int) -> History:
    """The history once everything that is so has been told; the same one when nothing is new."""
    telling = _Telling(history, facts, now_ms)
    for tell in _TELLERS:
        tell(telling)
    return telling.history()


class _Telling:
    """One look at one service: what is told so far, and the sentences of this look in their order."""

    def __init__(self, before: History, facts: ServiceFacts, now_ms: int) -> None:
        self.before, self.facts, self.now_ms = before, facts, now_ms
        self.state, self.service = facts.state, facts.service
        self.records = sorted(facts.state.instances, key=lambda r: r.identity.serial)
        known = {r.id for r in self.records}
        self.told = {i: list(steps) for i, steps in before.told.items() if i in known}
        self.ends = list(before.ends)
        self.lasting = dict(before.lasting)
        self._said: list[tuple[int, str]] = []

    def say(self, at_ms: int | None, message: str) -> None:
        """One event, at the moment that it is about."""
        self._said.append((at_ms or self.now_ms, message))

    def is_told(self, record: InstanceRecord, step: str) -> bool:
        """Whether this step of the instance has been told."""
        return step in self.told.get(record.id, ())

    def mark(self, records: Iterable[InstanceRecord], step: str) -> None:
        """This step of them needs no telling any more."""
        for record in records:
            self.told.setdefault(record.id, []).append(step)

    def fresh(self, step: str, when: Callable[[InstanceRecord], bool]) -> list[InstanceRecord]:
        """Those that have come to this step and of which it has not been told, marked as told."""
        found = [r for r in self.records if when(r) and not self.is_told(r, step)]
        self.mark(found, step)
        return found

    def tasks(self, records: Sequence[InstanceRecord]) -> list[str]:
        """Their tasks' ids."""
        return [task_id_of(record, self.facts.names) for record in records]

    def history(self) -> History:
        """Everything told, old and new."""
        told = {instance: tuple(steps) for instance, steps in self.told.items()}
        serial = self.before.serial + len(self._said)
        said = sorted(self._said, key=lambda one: one[0])  # stable: of one moment as they were said
        fresh = [
            ServiceEvent(at_ms=at_ms, serial=self.before.serial + nth, message=message)
            for nth, (at_ms, message) in enumerate(said, start=1)
        ]
        after = replace(
            self.before,
            events=(*reversed(fresh), *self.before.events)[:EVENTS_MAX],
            serial=serial,
            told=told,
            ends=tuple(self.ends[-ENDS_KEPT:]),
            lasting=self.lasting,
        )
        return self.before if after == self.before else after


def _tell_unhealthy(telling: _Telling) -> None:
    """A task that fails its checks while it should run."""
    unhealthy = telling.facts.unhealthy
    for record in telling.fresh(UNHEALTHY, lambda r: r.id in unhealthy):
        telling.say(_found_at_ms(telling, record), unhealthy[record.id])


def _found_at_ms(telling: _Telling, record: InstanceRecord) -> int | None:
    """When it was found out: at the latest when what replaces it was started, though nobody had looked yet."""
    fresh = (
        other.planned_at_ms
        for other in telling.records
        if other.identity.revision == record.identity.revision
        and other.planned_at_ms > record.planned_at_ms
        and not telling.is_told(other, STARTED)
    )
    return min((at_ms for at_ms in (record.draining_at_ms, *fresh) if at_ms), default=None)


def _tell_started(telling: _Telling) -> None:
    """Tasks started together are one sentence; those that replace unhealthy ones say so."""
    is_first = telling.before.serial == 0
    for at_ms, records in _by_moment(
        telling.fresh(STARTED, lambda r: True), lambda r: r.planned_at_ms
    ):
        if is_first and telling.facts.is_classic:
            for group in groups_of(telling.state, records[0]):
                telling.say(at_ms, words.deregistered(telling.service, telling.facts.nodes, group))
        is_first = False
        replaced = _replaced(telling, records)
        telling.say(
            at_ms, words.started(telling.service, telling.tasks(records), replaced=replaced)
        )


def _replaced(telling: _Telling, started: Sequence[InstanceRecord]) -> int:
    """How many of the started ones take the place of unhealthy ones of the same revision."""
    revisions = {r.identity.revision for r in started}
    waiting = [
        r
        for r in telling.records
        if telling.is_told(r, UNHEALTHY)
        and not telling.is_told(r, REPLACED)
        and r.identity.revision in revisions
    ][: len(started)]
    telling.mark(waiting, REPLACED)
    return len(waiting)


def _tell_registered(telling: _Telling) -> None:
    """A task is a target as soon as it runs."""
    running = telling.fresh(
        REGISTERED, lambda r: r.started_at_ms is not None and bool(groups_of(telling.state, r))
    )
    for at_ms, records in _by_moment(running, lambda r: r.started_at_ms or 0):
        for group, count in _by_group(telling.state, records):
            telling.say(at_ms, words.registered(telling.service, count, group))


def _tell_stopped(telling: _Telling) -> None:
    """What was stopped, then that it is out of its target groups, then whose connections drain."""
    left = telling.fresh(STOPPED, lambda r: r.phase >= Phase.DRAINING)
    for at_ms, records in _by_moment(left, _left_at_ms):
        asked = [r for r in records if r.draining_at_ms or r.stopping_at_ms]
        pending = [r for r in asked if never_ran(r) and r.started_at_ms is None]
        running = [r for r in asked if r not in pending]
        if running:
            telling.say(at_ms, words.stopped(telling.service, telling.tasks(running)))
        if pending:
            telling.say(at_ms, words.stopped_pending(telling.service, len(pending)))
        targets = [r for r in records if telling.is_told(r, REGISTERED)]
        for group, count in _by_group(telling.state, targets):
            telling.say(at_ms, words.deregistered(telling.service, count, group))
        _tell_draining(telling, at_ms, [r for r in targets if r in running])


def _tell_draining(telling: _Telling, at_ms: int, records: Sequence[InstanceRecord]) -> None:
    if telling.facts.is_classic:
        return
    by_deployment: dict[str, int] = {}
    for record in records:
        deployment = telling.facts.names.deployment_id(
            telling.state.app_id, record.identity.revision
        )
        by_deployment[deployment] = by_deployment.get(deployment, 0) + 1
    for deployment, count in by_deployment.items():
        telling.say(at_ms, words.draining(telling.service, deployment, count))


def _tell_deployment(telling: _Telling) -> None:
    """How a deployment ended, once."""
    deployment = telling.state.deployment
    if deployment is None or deployment.status is DeploymentStatus.RUNNING:
        return
    if deployment.id in telling.ends or is_count_change(deployment) or telling.facts.is_classic:
        return
    telling.ends.append(deployment.id)
    names, app_id = telling.facts.names, telling.state.app_id
    this = names.deployment_id(app_id, deployment.to_revision)
    ended_at_ms = deployment.ended_at_ms
    if deployment.status is DeploymentStatus.DONE:
        telling.say(ended_at_ms, words.deployment_completed(telling.service, this))
        return
    if deployment.status is DeploymentStatus.FAILED:
        telling.say(ended_at_ms, words.deployment_failed(telling.service, this))
    target = telling.state.target
    if target is not None and target.id != deployment.to_revision:
        back = names.deployment_id(app_id, target.id)
        telling.say(ended_at_ms, words.rolling_back(telling.service, back))


def _tell_lasting(telling: _Telling) -> None:
    """What goes on is told when it begins and every six hours; once its cause has cleared, it may begin again."""
    is_running = _is_deploying(telling.state)
    steady = () if is_running or not is_steady(telling.state) else (words.steady(telling.service),)
    now = (*telling.facts.troubles, *steady)
    telling.lasting = {said: at_ms for said, at_ms in telling.lasting.items() if said in now}
    for said in now:
        told_ms = telling.lasting.get(said)
        if told_ms is None or telling.now_ms - told_ms >= REPEATED_AFTER_MS:
            telling.lasting[said] = telling.now_ms
            telling.say(telling.now_ms, said)


def _is_deploying(state: AppState) -> bool:
    deployment = state.deployment
    return deployment is not None and deployment.status is DeploymentStatus.RUNNING


def _left_at_ms(record: InstanceRecord) -> int:
    return record.draining_at_ms or record.stopping_at_ms or record.gone_at_ms or 0


def _by_moment(
    records: Sequence[InstanceRecord], moment: Callable[[InstanceRecord], int]
) -> Iterator[tuple[int, list[InstanceRecord]]]:
    """Those of one moment together, oldest first."""
    moments: dict[int, list[InstanceRecord]] = {}
    for record in records:
        moments.setdefault(moment(record), []).append(record)
    yield from sorted(moments.items(), key=lambda one: one[0])


def _by_group(state: AppState, records: Sequence[InstanceRecord]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for record in records:
        for group in groups_of(state, record):
            counts[group] = counts.get(group, 0) + 1
    return list(counts.items())


_TELLERS = (
    _tell_unhealthy,
    _tell_started,
    _tell_registered,
    _tell_stopped,
    _tell_deployment,
    _tell_lasting,
)
