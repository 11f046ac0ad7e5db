"""Scribe: follows what is saved about services and tasks, and writes their events and the tasks that have stopped.

It only looks: nothing waits for it. What it has written says what has been told, so that a crash loses and doubles nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

import structlog

from portway.controller.clock import Clock
from portway.controller.ecs.deployments import DeploymentBook
from portway.controller.ecs.facts import service_facts, task_facts
from portway.controller.ecs.histories import (
    STOPPED_KEPT_MS,
    end_services,
    forget_stopped,
    history_of,
    keep_history,
    keep_stopped,
)
from portway.controller.ecs.unhealthy import Groups
from portway.controller.ecs.unstarted import failed_to_start
from portway.controller.world import World
from portway.core.aws_names import AwsNames
from portway.core.ecs.history import History, follow
from portway.core.ecs.labels import SERVICE, Origin, origin_of_state
from portway.core.ecs.tasks import shown_task
from portway.core.errors import PortwayError
from portway.core.instance import Phase
from portway.core.state import AppState, Revision
from portway.store.base import Batch, Store

log = structlog.get_logger()

AGAIN_S = 1.0
_ANY = ""  # any App that is not there: what a crash may have kept from being noted
LOOK_S = 30.0  # without any news: what lasts is told again, what is old is dropped
ZONE = "a"  # every machine is in the first zone of the region


class Around(Protocol):
    """What of a controller it needs."""

    world: World
    store: Store
    clock: Clock


class Scribe:
    """`end_app` takes an App away whose only task has stopped. Region and account are those of the ARNs it writes."""

    def __init__(self, around: Around, groups: Groups) -> None:
        self.region, self.account_id = "us-east-1", "000000000000"
        self.end_app: Callable[[str], Awaitable[object]] = _nothing
        self._around = around
        self._groups = groups
        self._waiting: dict[str, AppState] = {}
        self._known: dict[
            str, dict[str, Revision]
        ] = {}  # by App and id: a state forgets what no live instance runs
        self._stopped: dict[str, tuple[dict[str, Any], str]] = {}  # by ARN, and of which App
        self._told: dict[str, History] = {}  # by App, as stored
        self._gone: dict[str, int] = {}  # Apps that were deleted, and when
        self._book = DeploymentBook()
        self._signal = asyncio.Event()

    def _names(self) -> AwsNames:
        home_id = self._around.world.home_id
        return AwsNames(region=self.region, account_id=self.account_id, home_id=home_id)

    def resume(self) -> None:
        """Look at everything once: what was saved and not told yet is told now."""
        self._gone[_ANY] = self._around.clock.now_ms()
        self._signal.set()
        self._look()

    def _look(self) -> None:
        for state in self._around.world.apps.values():
            self._take(state)

    def note(self, batch: Batch) -> None:
        """Take in what has just been saved."""
        for state in batch.apps:
            self._take(state)
        for app_id in batch.deleted_apps:
            self._told.pop(app_id, None)
            self._book.drop(app_id)
            if self._known.pop(app_id, None) is not None:
                self._gone[app_id] = self._around.clock.now_ms()
                self._signal.set()
        for event in batch.events if not batch.apps else ():
            state = self._around.world.apps.get(event.app_id)
            if state is not None:
                self._take(state)

    def _take(self, state: AppState) -> None:
        if origin_of_state(state) is None:
            return
        state = self._with_revisions(state)
        self._waiting[state.app_id] = state
        self._take_stopped(state)
        self._signal.set()

    def _with_revisions(self, state: AppState) -> AppState:
        """The state with the revisions of all its instances, those that are gone included."""
        before = self._known.get(state.app_id, {})
        ran = {r.identity.revision for r in state.instances}
        known = {name: one for name, one in before.items() if name in ran}
        known |= state.revisions
        if state.target is not None:
            known[state.target.id] = state.target
        self._known[state.app_id] = known
        return replace(state, revisions=known)

    def _take_stopped(self, state: AppState) -> None:
        """How a task ended is seen only as long as its engine still has it: it is taken down at once."""
        names = self._names()
        for record in state.instances:
            if record.phase is not Phase.GONE:
                continue
            seen = (self._around.world.instances or {}).get(state.app_id, {}).get(record.id)
            facts = task_facts(record, state, names, seen, zone=f"{names.region}{ZONE}")
            if facts is not None:
                task = shown_task(facts, names)
                known = self._stopped.setdefault(task["taskArn"], (task, state.app_id))
                if seen is not None and known[0] != task:
                    self._stopped[task["taskArn"]] = (task, state.app_id)

    async def run(self) -> None:
        """Write for ever what there is to write."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._signal.wait()
            except TimeoutError:
                self._look()
            self._signal.clear()
            try:
                await self.write()
            except PortwayError as error:
                log.warning("ecs_events_not_written", error=str(error))
                await asyncio.sleep(AGAIN_S)
                self._signal.set()

    async def write(self) -> None:
        """Write all that waits; what could not be written waits on."""
        documents, now_ms = self._around.store.documents, self._around.clock.now_ms()
        for arn, (task, app_id) in [*self._stopped.items()]:
            if task["stoppedAt"] >= now_ms - STOPPED_KEPT_MS:
                await keep_stopped(documents, task, app_id)
            self._stopped.pop(arn, None)
        for app_id, state in [*self._waiting.items()]:
            origin = origin_of_state(state)
            if origin is not None:
                await self._write_app(state, origin)
            if self._waiting.get(app_id) is state:
                del self._waiting[app_id]
        await self._note_gone()
        await forget_stopped(documents, before_ms=now_ms - STOPPED_KEPT_MS)

    async def _note_gone(self) -> None:
        """A service whose App somebody took away is as one that was deleted over the AWS face: its name is free."""
        gone, self._gone = self._gone, {}
        try:
            if gone:
                apps = self._around.world.apps
                await end_services(
                    self._around.store.documents,
                    lambda app_id: gone.get(app_id, gone.get(_ANY, 0)) if app_id not in apps else 0,
                )
        except PortwayError:
            self._gone = {**gone, **self._gone}
            raise

    async def _write_app(self, state: AppState, origin: Origin) -> None:
        if origin.kind != SERVICE:
            await self._end_finished(state)
            return
        documents, names = self._around.store.documents, self._names()
        arn = names.service_arn(origin.cluster, origin.service)
        now_ms = self._around.clock.now_ms()
        facts = service_facts(state, origin, self._around.world, names, self._groups, now_ms=now_ms)
        before = self._told.get(state.app_id) or await history_of(documents, arn)
        after = follow(before, facts, now_ms=now_ms)
        if after is not before:
            await keep_history(documents, arn, after)
        await self._book.write(documents, arn, state, names, now_ms=now_ms)
        if self._waiting.get(state.app_id) is state:  # else it may be another service by now
            self._told[state.app_id] = after

    async def _end_finished(self, state: AppState) -> None:
        """A task of its own runs once: its App goes when it has stopped."""
        ran, names = bool(state.instances), self._names()
        around, zone = self._around, f"{names.region}{ZONE}"
        failed = failed_to_start(
            state, around.world, names, zone=zone, now_ms=around.clock.now_ms()
        )
        if failed is not None:
            await keep_stopped(around.store.documents, failed, state.app_id)
        if failed is not None or (state.target is not None and ran and not state.live):
            await self.end_app(state.app_id)


async def _nothing(app_id: str) -> None:
    """Before anybody said how."""
