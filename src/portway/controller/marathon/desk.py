"""Desk: what the Marathon API asks of portway: updates one at a time, each a deployment that the runner then carries out."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from portway.controller.clock import Clock
from portway.controller.health.probes import Prober
from portway.controller.marathon.adopting import Adopter
from portway.controller.marathon.catalogue import (
    Catalogue,
    Deployment,
    Entry,
    EntryChange,
    Status,
)
from portway.controller.marathon.documents import MarathonDocuments
from portway.controller.marathon.foreign import ForeignApps
from portway.controller.marathon.happenings import Happenings
from portway.controller.marathon.making import app_of_entry
from portway.controller.marathon.refusals import locked, no_such, too_many
from portway.controller.marathon.restoring import lost_entries, restoring
from portway.controller.marathon.runner import AppOperations, Runner
from portway.controller.marathon.settings import MarathonSettings
from portway.controller.marathon.shown import shown_plan
from portway.controller.marathon.sight import Sight
from portway.controller.marathon.updates import (
    Surroundings,
    Wanted,
    make_deployment,
    reverted,
)
from portway.controller.marathon.watching import Watcher
from portway.controller.saving import to_the_end
from portway.controller.world import World
from portway.core.app import App
from portway.core.errors import PortwayError
from portway.core.marathon.names import parse_time, segments_of, time_text
from portway.manifests.marathon.refusal import UNREADABLE, Violation, invalid
from portway.store.base import Store

log = structlog.get_logger()

INSTANCES_MAX = 10_000  # of one App
CANCELLED = "The upgrade has been cancelled"


class Around(Protocol):
    """What of a controller it needs."""

    world: World
    store: Store
    clock: Clock
    noticed: Callable[..., None]
    prober: Prober


class DeskOperations(AppOperations, Protocol):
    """What of portway's operations it needs."""

    async def check_put(self, stack: str, app: App, *, within_policy: bool = False) -> None:
        """Refuse what `put_app` would refuse now."""
        ...

    async def end_delay(self, stack: str, app: str) -> None:
        """Start the next instance at once, whatever ended before."""
        ...


class Marathon:
    """Everything the API and the events stand on. `open` before anything else; `run` beside the controller."""

    def __init__(
        self, around: Around, operations: DeskOperations, settings: MarathonSettings | None = None
    ) -> None:
        self.settings = settings or MarathonSettings()
        self.catalogue = Catalogue()
        self.documents = MarathonDocuments(around.store.documents)
        self.happenings = Happenings(around.clock.now_ms)
        self.operations = operations
        self._around = around
        self._lock = asyncio.Lock()
        self.foreign = ForeignApps(around.world, lambda: self.catalogue)
        self.sight = Sight(around.world)
        self.runner = Runner(
            catalogue=lambda: self.catalogue,
            documents=self.documents,
            operations=operations,
            world=around.world,
            clock=around.clock,
            happenings=self.happenings,
            app_of=self.app_of,
            saving=to_the_end,
            catch_up=lambda app_ids: self.watcher.catch_up(app_ids),
            called_off=lambda app_id: self.adopter.called_off(app_id),
        )
        self.watcher = Watcher(self, around.world, around.clock)
        self.adopter = Adopter(self, around.world)
        around.world.variables_prefix = self.settings.env_vars_prefix
        around.noticed = self._notice
        around.prober.on_failed = self.watcher.check_failed

    @property
    def world(self) -> World:
        """What the controller knows."""
        return self._around.world

    @property
    def now_ms(self) -> int:
        """What the controller calls now."""
        return self._around.clock.now_ms()

    async def open(self) -> None:
        """Read what was saved."""
        self.catalogue = await self.documents.load()
        self.watcher.resume()
        self.adopter.resume()
        await self._restore_lost()
        self.runner.wake()

    async def _restore_lost(self) -> None:
        """Start again what is defined and has no App: a crash may end between the two, and a step that failed."""
        lost = lost_entries(self.catalogue, self.world.apps)
        if lost:
            version, name = self._next_version(), str(uuid.uuid4())
            again = restoring(lost, deployment_id=name, version=version, now_ms=self.now_ms)
            await self.documents.put_deployment(again)
            self.catalogue.start(again)
            log.warning("marathon_apps_lost", paths=[entry.path for entry in lost], deployment=name)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.runner.run())
            group.create_task(self.watcher.run())
            group.create_task(self.adopter.run())

    async def abdicate(self) -> None:
        """Begin anew as another leader would: read everything again, and have listeners connect again."""
        async with self._lock:
            await self.open()
        self.happenings.send_away()

    def app_of(self, entry: Entry) -> App:
        """The App that an entry means."""
        top = self.catalogue.groups.get(f"/{segments_of(entry.path)[0]}")
        return app_of_entry(
            entry, enforces_role=bool(top and top.enforce_role), groups=self.settings.groups
        )

    def find(self, path: str) -> Entry | None:
        """The app or pod of a path, one that was made otherwise too."""
        return self.catalogue.entries.get(path) or self.foreign.at(path)

    def entry_of_app(self, app_id: str) -> Entry | None:
        """The entry that an App is shown as."""
        path = self.catalogue.by_app_id.get(app_id)
        return self.catalogue.entries[path] if path is not None else self.foreign.of(app_id)

    def _notice(self, app_ids: Iterable[str]) -> None:
        app_ids = tuple(app_ids)
        self.watcher.note(app_ids)
        self.adopter.note(app_ids)
        if self.catalogue.deployments:
            self.runner.wake()

    async def update(
        self, change: Callable[[Catalogue], Wanted], *, force: bool = False
    ) -> Deployment:
        """Change definitions; the deployment that brings the Apps there. Nothing is stored of what is refused."""
        async with self._lock:
            try:
                deployment = await self._change(change, force=force)
            except PortwayError as error:
                self._tell_refused(str(error))
                raise
        self._tell(deployment)
        self.runner.wake()
        return deployment

    def _tell_refused(self, reason: str) -> None:
        # What cannot be read is no change yet: Marathon's group manager never sees it.
        if not reason.startswith(UNREADABLE):
            version = self._next_version()
            told = {"groupId": "/", "version": version, "reason": reason}
            self.happenings.publish("group_change_failed", **told)

    async def _change(self, change: Callable[[Catalogue], Wanted], *, force: bool) -> Deployment:
        deployment = self._make(change(self.catalogue))
        conflicting = self._conflicts(deployment, force=force)
        await self._check(deployment.changes)
        await to_the_end(self._store(deployment, conflicting))
        return deployment

    def plan(self, change: Callable[[Catalogue], Wanted]) -> Deployment:
        """The deployment that an update would be."""
        return self._make(change(self.catalogue))

    def _make(self, wanted: Wanted) -> Deployment:
        around = Surroundings(
            catalogue=self.catalogue,
            service_ports=self.settings.service_ports,
            taken=self.foreign.listeners() | self.world.listening.numbers(),
            deployment_id=str(uuid.uuid4()),
            version=self._next_version(),
            now_ms=self.now_ms,
        )
        return make_deployment(around, wanted)

    def _next_version(self) -> str:
        """Now, and later than every version before."""
        before_ms = parse_time(self.catalogue.version) or 0
        return time_text(max(self.now_ms, before_ms + 1))

    def _conflicts(self, deployment: Deployment, *, force: bool) -> list[Deployment]:
        """The running deployments it takes the place of; refused while there are any, unless forced."""
        locks = self.catalogue.locked
        ids = sorted({name for path in deployment.affected for name in locks.get(path, ())})
        if ids and not force:
            raise locked(ids)
        maximum = self.settings.max_running_deployments
        if len(self.catalogue.deployments) - len(ids) >= maximum:
            raise too_many(maximum)
        return [self.catalogue.deployments[name] for name in ids]

    async def _check(self, changes: tuple[EntryChange, ...]) -> None:
        """Refuse what could not run: what the engine, the policy or another stack's listeners do not allow."""
        for change in changes:
            if change.after is not None and change.after.count > INSTANCES_MAX:
                told = f"must not be more than {INSTANCES_MAX}"
                raise invalid([Violation(where=("instances",), error=told)])
            if change.after is not None and change.after != change.before:
                stack = change.after.app_id.partition("/")[0]
                app = self.app_of(change.after)
                await self.operations.check_put(
                    stack, app, within_policy=change.after.within_policy
                )

    async def _store(self, deployment: Deployment, conflicting: list[Deployment]) -> None:
        await self.documents.put_deployment(deployment)
        for other in conflicting:
            await self.runner.end(other, Status.CANCELLED, CANCELLED)
        await self.documents.write_changes(self.catalogue, deployment)
        self.catalogue.start(deployment)

    def _tell(self, deployment: Deployment) -> None:
        groups = {"/"} | {said.path for said in deployment.groups}
        for group in sorted(groups):
            self.happenings.publish(
                "group_change_success", groupId=group, version=deployment.version
            )
        for change in deployment.changes:
            self._tell_checks(change)
        log.info("marathon_deployment", id=deployment.id, plan=shown_plan(deployment)["steps"])

    def _tell_checks(self, change: EntryChange) -> None:
        """The health checks of an app that came or went with a change."""
        before = change.before.definition.get("healthChecks", ()) if change.before else ()
        after = change.after.definition.get("healthChecks", ()) if change.after else ()
        version = change.after.version if change.after else ""
        if any(check not in after for check in before):
            self.happenings.publish("remove_health_check_event", appId=change.path)
        for check in after:
            if check not in before:
                self.happenings.publish(
                    "add_health_check_event",
                    appId=change.path,
                    version=version,
                    healthCheck=check,
                )

    async def cancel(self, deployment_id: str, *, rollback: bool) -> Deployment | None:
        """End a deployment; with `rollback` by the one that puts back what it changed."""
        deployment = self.catalogue.deployments.get(deployment_id)
        if deployment is None:
            raise no_such_deployment(deployment_id)
        if not rollback:
            await self.runner.end(deployment, Status.CANCELLED, CANCELLED)
            return None
        undo = await self.update(lambda known: reverted(known, deployment), force=True)
        if deployment_id in self.catalogue.deployments:  # it had changed nothing that runs
            await self.runner.end(deployment, Status.CANCELLED, CANCELLED)
        return undo


def no_such_deployment(deployment_id: str) -> Exception:
    """404 for a deployment that does not run."""
    refusal = no_such("DeploymentPlan", deployment_id)
    refusal.body["message"] = f"DeploymentPlan {deployment_id} does not exist"
    return refusal
