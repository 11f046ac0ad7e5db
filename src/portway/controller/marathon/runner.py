"""Runner: does the step that each deployment is at, until its Apps are as they should be; then the next one.

It looks at documents and Apps only and remembers nothing that matters, so it goes on wherever a server ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Protocol

import structlog

from portway.controller.clock import Clock
from portway.controller.marathon.catalogue import (
    Action,
    Catalogue,
    Deployment,
    Entry,
    EntryChange,
    Status,
)
from portway.controller.marathon.documents import ENDED_KEPT, MarathonDocuments
from portway.controller.marathon.happenings import Happenings
from portway.controller.marathon.shown import whole_plan
from portway.controller.marathon.sight import version_put
from portway.controller.present import is_healthy
from portway.controller.views import PromotionView, ReleaseView
from portway.controller.world import RUN_SLOT, World
from portway.core.app import App
from portway.core.errors import PortwayError, UserError
from portway.core.state import AppState, DeploymentStatus

log = structlog.get_logger()

LOOK_S = 1.0  # while anything runs: what nobody told us of is seen then
PAUSE_MAX_S = 0.5
DESCRIBED = "Marathon version"  # how the description of our releases begins
AGAIN_S = 1.0
AGAIN_MAX_S = 30.0


class AppOperations(Protocol):
    """What of portway's operations it does its steps with."""

    async def put_app(
        self,
        stack: str,
        app: App,
        *,
        count: int | None = None,
        description: str = "",
        note: str = "",
        force: bool = False,
        within_policy: bool = False,
    ) -> PromotionView: ...
    async def remove_app(self, stack: str, app: str) -> PromotionView: ...
    async def stop_instance(self, stack: str, instance: str, *, reason: str = "") -> object: ...
    async def releases(self, stack: str, *, limit: int = 20) -> tuple[ReleaseView, ...]: ...
    async def delete_stack(self, name: str) -> PromotionView: ...


class StepFailed(Exception):
    """A step that cannot be done, and why."""


class Runner:
    """`app_of` makes the App of an entry. The one task that ends deployments; others end one by `cancel`.

    `catch_up` tells what happened to Apps: called before the end of their step is told.
    """

    def __init__(
        self,
        *,
        catalogue: Callable[[], Catalogue],
        documents: MarathonDocuments,
        operations: AppOperations,
        world: World,
        clock: Clock,
        happenings: Happenings,
        app_of: Callable[[Entry], App],
        saving: Callable[[Coroutine[None, None, None]], Awaitable[None]],
        catch_up: Callable[[Iterable[str]], None],
        called_off: Callable[[str], None],
    ) -> None:
        self._catalogue, self._documents = catalogue, documents
        self._operations, self._world, self._clock = operations, world, clock
        self._happenings, self._app_of, self._saving = happenings, app_of, saving
        self._catch_up, self._called_off = catch_up, called_off
        self._signal = asyncio.Event()
        self._lock = asyncio.Lock()  # one at a time says how far a deployment is
        self._told: dict[str, int] = {}  # by deployment: the step that was said to begin
        self._begun: dict[tuple[str, str], str] = {}  # by deployment and path: portway's deployment
        self._done: dict[str, tuple[int, set[str]]] = {}  # by deployment: the step, and its paths
        self._retries: dict[
            str, tuple[float, float]
        ] = {}  # by deployment: when again, how long next

    def wake(self) -> None:
        """Something may have changed."""
        self._signal.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            running = bool(self._catalogue().deployments)
            try:
                async with asyncio.timeout(LOOK_S if running else None):
                    await self._signal.wait()
            except TimeoutError:
                pass
            self._signal.clear()
            began_s = asyncio.get_running_loop().time()
            await self.look()
            # What many apps need much looking for is looked for half of the time at most.
            took_s = asyncio.get_running_loop().time() - began_s
            await asyncio.sleep(min(took_s, PAUSE_MAX_S))

    async def look(self) -> None:
        """Bring every deployment as far as it goes now."""
        for deployment in tuple(self._catalogue().deployments.values()):
            if self._is_resting(deployment):
                continue
            try:
                await self._advance_or_end(deployment)
            except PortwayError as error:
                self._rest(deployment, error)
            except Exception as error:  # ours to mend; the other deployments go on
                log.exception("marathon_runner_broke", deployment=deployment.id)
                self._rest(deployment, error)

    async def _advance_or_end(self, deployment: Deployment) -> None:
        try:
            await self._advance(deployment)
        except StepFailed as error:
            await self.end(deployment, Status.FAILED, str(error))

    def _is_resting(self, deployment: Deployment) -> bool:
        at_s, _ = self._retries.get(deployment.id, (0.0, 0.0))
        return asyncio.get_running_loop().time() < at_s

    def _rest(self, deployment: Deployment, error: Exception) -> None:
        """The world failed us: again later, and ever later."""
        _, wait_s = self._retries.get(deployment.id, (0.0, AGAIN_S))
        at_s = asyncio.get_running_loop().time() + wait_s
        self._retries[deployment.id] = (at_s, min(AGAIN_MAX_S, wait_s * 2))
        log.warning("marathon_step_waits", deployment=deployment.id, error=str(error))

    async def _advance(self, deployment: Deployment) -> None:
        while deployment.id in self._catalogue().deployments:
            if deployment.step >= len(deployment.steps):
                await self.end(deployment, Status.DONE)
                return
            self._tell_begun(deployment)
            if not await self._act_all(deployment):
                return
            self._retries.pop(deployment.id, None)
            self._catch_up(_app_ids(deployment))
            self._happenings.publish("deployment_step_success", **_step_fields(deployment))
            after = replace(deployment, step=deployment.step + 1)
            if after.step < len(after.steps):
                await self._saving(self._keep(deployment, after))
            deployment = after

    async def _act_all(self, deployment: Deployment) -> bool:
        """Do what the actions of the step still need; whether nothing is left. What was done once is done."""
        step, done = self._done.get(deployment.id, (-1, set[str]()))
        if step != deployment.step:
            done = set[str]()
            self._done[deployment.id] = (deployment.step, done)
        actions = [a for a in deployment.steps[deployment.step] if a.path not in done]
        changes = {change.path: change for change in deployment.changes} if actions else {}
        for action in actions:
            if await self._act(deployment, action, changes.get(action.path)):
                done.add(action.path)
        return len(done) == len({a.path for a in deployment.steps[deployment.step]})

    async def _keep(self, before: Deployment, after: Deployment) -> None:
        async with self._lock:
            running = self._catalogue().deployments
            if running.get(before.id) is before:
                await self._documents.put_deployment(after)
                running[after.id] = after

    def _tell_begun(self, deployment: Deployment) -> None:
        if self._told.get(deployment.id) != deployment.step:
            self._told[deployment.id] = deployment.step
            self._happenings.publish("deployment_info", **_step_fields(deployment))

    async def _act(
        self, deployment: Deployment, action: Action, change: EntryChange | None
    ) -> bool:
        """Do what the action still needs; whether nothing is left of it."""
        entry = change and (change.after or change.before)
        if change is None or entry is None or action.action.startswith("Start"):
            return True  # what is new is started by the scaling that follows
        state = self._world.apps.get(entry.app_id)
        if change.after is None:
            return await self._remove(entry, state)
        if state is None or not is_put(state, change.after):
            self._refuse_ended(deployment, entry, state)
            await self._put(deployment, change, change.after)
            return False
        self._refuse_ended(deployment, entry, state)
        return is_converged(self._world, state)

    def _refuse_ended(self, deployment: Deployment, entry: Entry, state: AppState | None) -> None:
        """A deployment of portway's own that was called off meanwhile ends this one as well."""
        ours = self._begun.get((deployment.id, entry.path))
        if ours is not None and (state is None or state.target is None):
            self._called_off(entry.app_id)
            raise StepFailed(f"{entry.app_id} was removed by other means")
        ran = state.deployment if state is not None else None
        if ran is None or ours != ran.id:
            return
        if ran.status in (DeploymentStatus.FAILED, DeploymentStatus.CANCELLED):
            self._called_off(entry.app_id)
            why = ran.reason or f"the deployment of {entry.app_id} was {ran.status.value}"
            raise StepFailed(why)

    async def _remove(self, entry: Entry, state: AppState | None) -> bool:
        stack, _, name = entry.app_id.partition("/")
        if state is None:
            await self._clear(stack)
            return True
        if state.target is not None:
            await self._operations.remove_app(stack, name)
        return False

    async def _clear(self, stack: str) -> None:
        """A Stack that nothing is left in goes, unless somebody else made it."""
        known = self._world.stacks.get(stack)
        if known is None or not known.loose or known.deleting or self._world.names.get(stack):
            return
        newest = await self._operations.releases(stack, limit=1)
        if all(release.description.startswith(DESCRIBED) for release in newest):
            await self._operations.delete_stack(stack)

    async def _put(self, deployment: Deployment, change: EntryChange, entry: Entry) -> None:
        stack, _, name = entry.app_id.partition("/")
        state = self._world.apps.get(entry.app_id)
        if state is not None and state.target is None:
            return  # the last of its name is still going
        for instance_id in change.victims:
            await self._stop(stack, instance_id, state)
        try:
            await self._operations.put_app(
                stack,
                self._app_of(entry),
                count=entry.count,
                description=f"{DESCRIBED} {entry.version} of {entry.path}",
                note=f"{entry.path} is deployed in its version {entry.version}",
                force=state is not None and version_put(state) != entry.config_version,
                within_policy=entry.within_policy,
            )
        except UserError as error:
            raise StepFailed(f"{name} cannot run: {error.message}") from error
        if (now := self._world.apps.get(entry.app_id)) is not None and now.deployment is not None:
            self._begun[deployment.id, entry.path] = now.deployment.id

    async def _stop(self, stack: str, instance_id: str, state: AppState | None) -> None:
        if state is not None and any(r.id == instance_id for r in state.live):
            name = instance_id.rpartition("/")[2]
            await self._operations.stop_instance(stack, name, reason="killed by its user")

    async def end(self, deployment: Deployment, status: Status, reason: str = "") -> None:
        """Nothing more is done of it; everybody is told how it ended."""
        ended = replace(
            deployment,
            status=status,
            reason=reason,
            step=len(deployment.steps) if status is Status.DONE else deployment.step,
        )
        await self._saving(self._end(ended))

    async def _end(self, ended: Deployment) -> None:
        async with self._lock:
            catalogue = self._catalogue()
            if ended.id not in catalogue.deployments:
                return
            await self._documents.put_deployment(ended)
            forgotten = catalogue.end(ended, kept_max=ENDED_KEPT)
            if forgotten is not None:
                await self._documents.delete_deployment(forgotten)
        self._told.pop(ended.id, None)
        self._retries.pop(ended.id, None)
        self._done.pop(ended.id, None)
        self._begun = {key: name for key, name in self._begun.items() if key[0] != ended.id}
        self._tell_end(ended)

    def _tell_end(self, ended: Deployment) -> None:
        publish, plan = self._happenings.publish, whole_plan(ended)
        if ended.status is Status.DONE:
            publish("deployment_success", id=ended.id, plan=plan)
            return
        if ended.step < len(ended.steps):
            publish("deployment_step_failure", **_step_fields(ended))
        publish("deployment_failed", id=ended.id, plan=plan, reason=ended.reason)


def is_put(state: AppState, entry: Entry) -> bool:
    """Whether the App is aimed at this definition."""
    return version_put(state) == entry.config_version and state.count == entry.count


def is_converged(world: World, state: AppState) -> bool:
    """Whether as many instances as there should be are healthy and ready, and no other is left."""
    deployment, target = state.deployment, state.target
    if target is None or (deployment and deployment.status is DeploymentStatus.RUNNING):
        return False
    live = [r for r in state.live if r.identity.slot != RUN_SLOT]
    return len(live) == state.count and all(
        r.identity.revision == target.id and is_healthy(world, r) for r in live
    )


def _app_ids(deployment: Deployment) -> list[str]:
    """The Apps of the step it is at."""
    paths = {action.path for action in deployment.steps[deployment.step]}
    entries = (c.after or c.before for c in deployment.changes if c.path in paths)
    return [entry.app_id for entry in entries if entry is not None]


def _step_fields(deployment: Deployment) -> dict[str, object]:
    step = deployment.steps[deployment.step]
    return {
        "plan": whole_plan(deployment),
        "currentStep": {"actions": [action.shown for action in step]},
    }
