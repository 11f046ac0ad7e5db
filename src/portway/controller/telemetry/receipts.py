"""Receipts: watches every deployment from its first save to its last, and keeps what it cost with its release.

It only looks: nothing waits for it, and a deployment whose receipt cannot be written is none the worse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import structlog

from portway.balancers.base import Balancer
from portway.controller.clock import Clock
from portway.controller.telemetry.watched import Watched
from portway.controller.world import World
from portway.core.errors import PortwayError
from portway.core.instance import Phase
from portway.core.receipt import Receipt, put
from portway.core.request import ServedRequest
from portway.core.routing import is_routed
from portway.core.state import AppState, Deployment, DeploymentStatus
from portway.core.traffic import Traffic, total
from portway.store.base import Batch, Store

log = structlog.get_logger()

FLUSH_S = 0.01  # until the balancer's last lines are read: it writes each at once
AGAIN_S = 1.0
TRIES_MAX = 5
RESUMED_WITHIN_MS = 600_000


class Around(Protocol):
    """What of a controller it needs: where to look, and the one way to change what is stored."""

    world: World
    balancer: Balancer
    store: Store
    clock: Clock

    def changing(self) -> AbstractAsyncContextManager[World]: ...
    async def save(self, batch: Batch) -> None: ...


class Receipts:
    """`also_reported`: the Apps whose requests are wanted all the time."""

    def __init__(self, around: Around, *, also_reported: Callable[[], frozenset[str]]) -> None:
        self._around = around
        self._world = around.world
        self._balancer = around.balancer
        self._also_reported = also_reported
        self._open: dict[str, Watched] = {}
        self._by_app: dict[str, Watched] = {}
        self._reported: frozenset[str] = frozenset()
        self._signal = asyncio.Event()

    @property
    def is_busy(self) -> bool:
        """Whether a deployment is watched whose receipt is not kept yet."""
        return bool(self._open)

    def resume(self) -> None:
        """Go on with what a portway before this one watched."""
        for state in self._world.apps.values():
            deployment = state.deployment
            if deployment is not None and self._is_fresh(deployment):
                self._watch(state, deployment, is_whole=False)
        self._signal.set()

    def _is_fresh(self, deployment: Deployment) -> bool:
        ended_at_ms = deployment.ended_at_ms
        return bool(deployment.to_revision) and (
            ended_at_ms is None or ended_at_ms > self._around.clock.now_ms() - RESUMED_WITHIN_MS
        )

    def note(self, batch: Batch) -> None:
        """Take in what has just been saved."""
        for state in batch.apps:
            deployment = state.deployment
            running = deployment is not None and deployment.status is DeploymentStatus.RUNNING
            if deployment is not None and running and deployment.to_revision:
                self._watch(state, deployment, is_whole=True)
            watched = self._by_app.get(state.app_id)
            if watched is not None:
                watched.note(state, self._around.clock.now_ms())
        if batch.apps or batch.deleted_apps:
            self.look()
            self._end_those_over()
            self._signal.set()

    def _watch(self, state: AppState, deployment: Deployment, *, is_whole: bool) -> None:
        watched = self._open.get(deployment.id)
        if watched is None:
            release = deployment.release or (state.target.release if state.target else "")
            watched = self._open[deployment.id] = Watched(
                stack=state.app_id.rpartition("/")[0],
                deployment=deployment.id,
                release=release,
                started_at_ms=deployment.started_at_ms,
                is_whole=is_whole,
            )
        watched.note(state, self._around.clock.now_ms())
        specs = state.target.app.ports if state.target else ()
        watched.apps[state.app_id].has_listener = any(is_routed(spec) for spec in specs)
        self._by_app[state.app_id] = watched

    def look(self) -> None:
        """How many connections the instances that drain still have."""
        for app_id, watched in self._by_app.items():
            state = self._world.apps.get(app_id)
            draining = {r.id for r in state.instances if r.phase is Phase.DRAINING} if state else ()
            app = watched.apps[app_id]
            for route in (self._world.served_by(app_id) or {}).values() if draining else ():
                for one in route.endpoints:
                    if one.instance_id in draining:
                        most = max(app.drained.get(one.instance_id, 0), one.connections)
                        app.drained[one.instance_id] = most

    def measure(self, requests: Sequence[ServedRequest], skipped: int) -> None:
        """Take in what the balancer says of single requests."""
        for request in requests:
            watched = self._by_app.get(request.owner)
            if watched is not None and watched.ended_at_ms is None:
                watched.measure(request)
        if skipped:
            for watched in self._open.values():
                watched.skipped += skipped

    def _end_those_over(self) -> None:
        for watched in self._open.values():
            if watched.ended_at_ms is None:
                statuses = {app_id: self._status(app_id, watched) for app_id in watched.apps}
                for app_id, status in statuses.items():
                    watched.apps[app_id].status = status
                if "running" not in statuses.values():
                    watched.ended_at_ms = self._ended_at_ms(watched)

    def _status(self, app_id: str, watched: Watched) -> str:
        state = self._world.apps.get(app_id)
        if state is None or state.deployment is None:
            return "removed"
        known = watched.apps[app_id].status
        if state.deployment.id != watched.deployment:
            return "superseded" if known in ("", "running") else known
        return state.deployment.status.value

    def _ended_at_ms(self, watched: Watched) -> int:
        states = [self._world.apps.get(app_id) for app_id in watched.apps]
        ended = [
            s.deployment.ended_at_ms
            for s in states
            if s and s.deployment and s.deployment.id == watched.deployment
        ]
        return max((at_ms for at_ms in ended if at_ms), default=self._around.clock.now_ms())

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._signal.wait()
            self._signal.clear()
            await self._guarded(self._report)
            for watched in tuple(self._open.values()):
                if not watched.begun:
                    await self._guarded(partial(self._begin, watched))
                if watched.ended_at_ms is not None and watched.deployment in self._open:
                    await self._guarded(partial(self._conclude, watched))

    async def _guarded(self, work: Callable[[], Any]) -> None:
        try:
            await work()
        except PortwayError as error:
            log.warning("receipt_not_kept", error=str(error))
            asyncio.get_running_loop().call_later(AGAIN_S, self._signal.set)
        except Exception:
            log.exception("receipt_broke")

    async def _report(self) -> None:
        wanted = frozenset(self._by_app) | self._also_reported()
        if wanted != self._reported:
            await self._balancer.report(wanted)
            self._reported = wanted

    async def _begin(self, watched: Watched) -> None:
        """Note the counters of now, or those that an earlier portway noted."""
        watched.begun = True
        kept = await self._kept(watched)
        if not watched.is_whole and (kept is None or kept.status != "running"):
            self._forget(watched)  # its receipt is complete, or nobody began one
            return
        if kept is not None:
            watched.before = kept.before
        else:
            stack = self._world.of_stack(watched.stack)
            watched.before = await self._counters({*watched.apps, *(s.app_id for s in stack)})
        self._end_those_over()
        if kept is None:
            await self._keep(watched, watched.opening(watched.before))

    async def _kept(self, watched: Watched) -> Receipt | None:
        release = await self._around.store.release(watched.stack, watched.release)
        receipts = release.receipts if release else ()
        return next((one for one in receipts if one.deployment == watched.deployment), None)

    async def _counters(self, owners: Collection[str]) -> dict[str, Traffic]:
        by_owner: dict[str, list[Traffic]] = {}
        for route in await self._balancer.observe(owners):
            by_owner.setdefault(route.owner, []).append(route.traffic)
        return {owner: total(parts) for owner, parts in by_owner.items()}

    async def _conclude(self, watched: Watched) -> None:
        watched.tries += 1
        try:
            await asyncio.sleep(FLUSH_S)
            after: Mapping[str, Traffic] | None = None
            try:
                after = await self._counters(watched.apps)
            except PortwayError as error:
                log.info("receipt_without_counters", error=str(error))
            await self._keep(watched, watched.receipt(after))
        except PortwayError:
            if watched.tries < TRIES_MAX:
                raise
            log.warning("receipt_given_up", deployment=watched.deployment)
        self._forget(watched)

    async def _keep(self, watched: Watched, receipt: Receipt) -> None:
        async with self._around.changing() as world:
            release = await self._around.store.release(watched.stack, watched.release)
            if release is None or watched.stack not in world.stacks:
                return
            if all(one.deployment == receipt.deployment for one in release.receipts):
                # What making the release took belongs to its first deployment.
                receipt = _with_making(receipt, release.build_ms, release.pull_ms)
            receipts = put(release.receipts, receipt)
            await self._around.save(Batch(releases=(replace(release, receipts=receipts),)))

    def _forget(self, watched: Watched) -> None:
        self._open.pop(watched.deployment, None)
        for app_id in [a for a, w in self._by_app.items() if w is watched]:
            del self._by_app[app_id]
        self._signal.set()


def _with_making(receipt: Receipt, build_ms: int, pull_ms: int) -> Receipt:
    made = {"build": build_ms, "pull": pull_ms}
    stages_ms = {stage: spent for stage, spent in made.items() if spent > 0}
    return replace(receipt, stages_ms={**stages_ms, **receipt.stages_ms})
