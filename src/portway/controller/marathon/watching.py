"""Watcher: tells what happens to instances as Marathon's events, by comparing what is known with what was told.

It is called at every change the controller notices and decides nothing; the last failure of each app it keeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from portway.controller.clock import Clock
from portway.controller.marathon.catalogue import APP, Catalogue, Entry, TaskFailure
from portway.controller.marathon.documents import MarathonDocuments
from portway.controller.marathon.endings import (
    KILLED,
    KILLING,
    RUNNING,
    ending_of,
    is_health_kill,
    states_since,
)
from portway.controller.marathon.happenings import Happenings
from portway.controller.marathon.sight import (
    Seen,
    Sight,
    containers_of,
    has_health_checks,
    version_of,
)
from portway.controller.world import RUN_SLOT, World, app_of
from portway.core.errors import PortwayError
from portway.core.instance import InstanceRecord, Phase
from portway.core.marathon.names import instance_name, run_of, task_name, time_text
from portway.core.state import AppState

log = structlog.get_logger()

_CONDITIONS = {
    "TASK_STAGING": "Staging",
    "TASK_STARTING": "Starting",
    "TASK_RUNNING": "Running",
    "TASK_KILLING": "Killing",
    "TASK_KILLED": "Killed",
    "TASK_FAILED": "Failed",
    "TASK_FINISHED": "Finished",
    "TASK_UNREACHABLE": "Unreachable",
}


class Desk(Protocol):
    """What of the desk it needs."""

    catalogue: Catalogue
    documents: MarathonDocuments
    happenings: Happenings
    sight: Sight

    def entry_of_app(self, app_id: str) -> Entry | None:
        """The entry that an App is shown as."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What was last told of an instance, and how it was seen then."""

    state: str
    alive: bool | None
    seen: Seen


class Watcher:
    """`note` from anywhere, `run` beside the controller."""

    def __init__(self, desk: Desk, world: World, clock: Clock) -> None:
        self._desk, self._world, self._clock = desk, world, clock
        self._pending: set[str] = set()
        self._signal = asyncio.Event()
        self._told: dict[str, dict[str, _Told]] = {}  # by App, then instance
        self._entries: dict[str, Entry] = {}  # as they were last told, for what goes
        self._failures: list[TaskFailure] = []  # told, and not kept yet

    def note(self, app_ids: Iterable[str]) -> None:
        """Something about these Apps may have changed."""
        self._pending.update(app_ids)
        self._signal.set()

    def resume(self) -> None:
        """Take what is there as told: nobody heard it begin."""
        for app_id, state in self._world.apps.items():
            entry = self._desk.entry_of_app(app_id)
            if entry is not None:
                self._entries[app_id] = entry
                self._told[app_id] = {
                    record.id: self._now(entry, state, record) for record in _tasks(state)
                }

    async def run(self) -> None:
        """Tell for ever what there is to tell."""
        while True:
            await self._signal.wait()
            self._signal.clear()
            for app_id in sorted(self._pending):
                self._pending.discard(app_id)
                try:
                    self._failures += self.look(app_id)
                    while self._failures:
                        await self._keep(self._failures.pop(0))
                except Exception:  # ours to mend; what happens to others is told all the same
                    log.exception("marathon_watcher_broke", app=app_id)

    def catch_up(self, app_ids: Iterable[str]) -> None:
        """Tell now what has happened to these Apps, before what follows from it is told."""
        for app_id in app_ids:
            if app_id in self._pending:
                self._failures += self.look(app_id)

    def check_failed(self, instance_id: str, nth: int) -> None:
        """Tell of one failed health check of an instance that runs: the nth of its App's."""
        app_id = app_of(instance_id)
        state, entry = self._world.apps.get(app_id), self._desk.entry_of_app(app_id)
        if state is None or entry is None or not self._desk.happenings.listeners:
            return
        self.catch_up([app_id])
        checks = entry.definition.get("healthChecks", ())
        for record in _tasks(state):
            is_meant = record.id == instance_id and nth < len(checks)
            if is_meant and self._seen(entry, state, record).state == RUNNING:
                name, publish = self._name(entry, record), self._desk.happenings.publish
                told = {"appId": entry.path, "taskId": name, "healthCheck": checks[nth]}
                publish("failed_health_check_event", **told)

    async def _keep(self, failure: TaskFailure) -> None:
        if failure.path not in self._desk.catalogue.entries:
            return
        self._desk.catalogue.failures[failure.path] = failure
        try:
            await self._desk.documents.put_failure(failure)
        except PortwayError as error:
            log.warning("marathon_failure_not_written", path=failure.path, error=str(error))

    def look(self, app_id: str) -> list[TaskFailure]:
        """Tell what is new of one App; the failures among it."""
        state, told = self._world.apps.get(app_id), self._told.get(app_id, {})
        entry = self._desk.entry_of_app(app_id) or self._entries.get(app_id)
        if entry is None:
            return []
        if state is None:
            self._end(app_id, entry, told)
            return []
        self._entries[app_id] = entry
        now: dict[str, _Told] = {}
        failures: list[TaskFailure] = []
        for record in _tasks(state):
            before, after = told.get(record.id), self._now(entry, state, record)
            now[record.id] = after
            self._tell(entry, before, after)
            if (before is None or before.state != after.state) and record.phase is Phase.GONE:
                failures += self._failure(entry, state, record)
        self._tell_forgotten(entry, told, now)
        self._told[app_id] = now
        return failures

    def _end(self, app_id: str, entry: Entry, told: dict[str, _Told]) -> None:
        self._tell_forgotten(entry, told, {})
        self._told.pop(app_id, None)
        if self._entries.pop(app_id, None) is not None and entry.kind == APP:
            self._desk.happenings.publish("app_terminated_event", appId=entry.path)

    def _tell_forgotten(
        self, entry: Entry, told: Mapping[str, _Told], now: Mapping[str, _Told]
    ) -> None:
        """Who is not even remembered any more is gone, and was told to be so."""
        for name, before in told.items():
            record = before.seen.record
            if name not in now and record.phase is not Phase.GONE:
                asked = record.stopping_at_ms or self._clock.now_ms()
                gone = replace(record, phase=Phase.GONE, stopping_at_ms=asked)
                after = _Told(state=KILLED, alive=None, seen=replace(before.seen, record=gone))
                self._tell(entry, before, after)

    def _seen(self, entry: Entry, state: AppState, record: InstanceRecord) -> Seen:
        return self._desk.sight.see(entry, state, record)

    def _now(self, entry: Entry, state: AppState, record: InstanceRecord) -> _Told:
        seen = self._seen(entry, state, record)
        if record.phase is Phase.GONE:
            return _Told(state=ending_of(record)[0], alive=None, seen=seen)
        return _Told(state=seen.state, alive=seen.alive, seen=seen)

    def _tell(self, entry: Entry, before: _Told | None, after: _Told) -> None:
        told = before.state if before is not None else None
        for task_state in states_since(told, after.state, after.seen.record):
            self._tell_state(entry, after.seen, task_state, is_last=task_state == after.state)
        was_alive = before.alive if before is not None else None
        if after.alive is not None and after.alive != was_alive and has_health_checks(entry):
            self._tell_health(entry, after.seen, alive=after.alive)

    def _tell_state(self, entry: Entry, seen: Seen, state: str, *, is_last: bool) -> None:
        publish, record = self._desk.happenings.publish, seen.record
        name, version = self._name(entry, record), version_of(seen, entry)
        for task in self._task_names(entry, record):
            publish(
                "status_update_event",
                slaveId=record.identity.node,
                taskId=task,
                taskStatus=state,
                message=ending_of(record)[1] if is_last and record.phase is Phase.GONE else "",
                appId=entry.path,
                host=seen.host,
                ipAddresses=seen.addresses,
                ports=seen.host_ports,
                version=version,
            )
        publish(
            "instance_changed_event",
            instanceId=name,
            condition=_CONDITIONS[state],
            runSpecId=entry.path,
            agentId=record.identity.node,
            host=seen.host,
            runSpecVersion=version,
        )
        if state == KILLING and is_health_kill(record):
            self._tell_kill(entry, seen)

    def _tell_kill(self, entry: Entry, seen: Seen) -> None:
        record = seen.record
        self._desk.happenings.publish(
            "unhealthy_instance_kill_event",
            appId=entry.path,
            taskId=self._task_names(entry, record)[0],
            instanceId=self._name(entry, record),
            version=version_of(seen, entry),
            reason=record.reason,
            host=seen.host,
            slaveId=record.identity.node,
        )

    def _tell_health(self, entry: Entry, seen: Seen, *, alive: bool) -> None:
        publish = self._desk.happenings.publish
        name, version = self._name(entry, seen.record), version_of(seen, entry)
        publish(
            "health_status_changed_event",
            appId=entry.path,
            instanceId=name,
            version=version,
            alive=alive,
        )
        publish(
            "instance_health_changed_event",
            instanceId=name,
            runSpecId=entry.path,
            healthy=alive,
            runSpecVersion=version,
        )

    def _failure(self, entry: Entry, state: AppState, record: InstanceRecord) -> list[TaskFailure]:
        ended, message = ending_of(record)
        killed = is_health_kill(record)
        if ended != "TASK_FAILED" and not killed:
            return []
        seen = self._seen(entry, state, record)
        at_ms = record.gone_at_ms or self._clock.now_ms()
        shown = {
            "appId": entry.path,
            "host": seen.host,
            "message": message,
            "state": ended,
            "taskId": self._task_names(entry, record)[0],
            "timestamp": time_text(at_ms),
            "version": version_of(seen, entry),
            "slaveId": record.identity.node,
        }
        return [TaskFailure(path=entry.path, instance_id=record.id, at_ms=at_ms, shown=shown)]

    def _name(self, entry: Entry, record: InstanceRecord) -> str:
        return instance_name(entry.path, run_of(record.identity), home_id=self._world.home_id)

    def _task_names(self, entry: Entry, record: InstanceRecord) -> list[str]:
        return [
            task_name(
                entry.path,
                run_of(record.identity),
                home_id=self._world.home_id,
                container=container,
            )
            for container in containers_of(entry)
        ]


def _tasks(state: AppState) -> list[InstanceRecord]:
    return [r for r in state.instances if r.identity.slot != RUN_SLOT]
