"""Scaler: asks every few seconds whether a scaled service should have more tasks, or fewer, and has it so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog

from portway.controller.autoscaling.measuring import Meters, UsageOf, app_id_of
from portway.controller.clock import Clock
from portway.controller.world import World
from portway.core.autoscaling import Scalable, Tracking, decide
from portway.core.errors import PortwayError
from portway.core.state import AppState
from portway.store.base import Document, DocumentChangedError, Documents

TARGET, POLICY, ACTIVITY = "autoscaling.target", "autoscaling.policy", "autoscaling.activity"
LOOK_S = 5.0
ACTIVITIES_MAX = 100  # of a service
_TRIES = 10

log = structlog.get_logger("portway.autoscaling")

Scale = Callable[[str, Mapping[str, int]], Awaitable[object]]


class Scaler:
    """`scale` is the operation of the name, `usage` the engine's."""

    def __init__(
        self, world: World, documents: Documents, clock: Clock, scale: Scale, usage: UsageOf
    ) -> None:
        self._world = world
        self._documents = documents
        self._clock = clock
        self._scale = scale
        self._meters = Meters(world, usage)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.look()
            except PortwayError as error:
                log.warning("autoscaling_waits", error=str(error))
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """One look at every scaled service."""
        targets = {document.key: document for document in await self._documents.list(TARGET)}
        policies = await self._documents.list(POLICY) if targets else ()
        await self._meters.read([policy.body for policy in policies], self._clock.now_ms())
        for key, target in targets.items():
            own = [policy for policy in policies if policy.body["resource_id"] == key]
            state = self._world.apps.get(app_id_of(key))
            if own and state is not None and state.target is not None:
                try:
                    await self._look_at(target, own, state)
                except PortwayError as error:  # the others are scaled all the same
                    log.warning("service_not_scaled", resource=key, error=str(error))

    async def _look_at(self, target: Document, policies: list[Document], state: AppState) -> None:
        """Of several policies the one that wants most decides; all must agree to have fewer."""
        now_ms = self._clock.now_ms()
        found = [(self._wanted(target, policy, state, now_ms), policy) for policy in policies]
        more = [(count, policy) for count, policy in found if count is not None and count > state.count]  # fmt: skip
        if more:
            await self._apply(target, state, *max(more, key=lambda pair: pair[0]), now_ms)
        elif all(count is not None for count, _ in found):
            fewer = [(count, policy) for count, policy in found if count is not None]
            await self._apply(target, state, *max(fewer, key=lambda pair: pair[0]), now_ms)

    def _wanted(
        self, target: Document, policy: Document, state: AppState, now_ms: int
    ) -> int | None:
        body = target.body
        suspended = body.get("suspended") or {}
        scalable = Scalable(
            least=body["least"],
            most=body["most"],
            out_suspended=bool(suspended.get("DynamicScalingOutSuspended")),
            in_suspended=bool(suspended.get("DynamicScalingInSuspended")),
            scaled_out_at_ms=body.get("scaled_out_at_ms", 0),
            scaled_out_to=body.get("scaled_out_to", 0),
            scaled_in_at_ms=body.get("scaled_in_at_ms", 0),
        )
        seen = self._meters.measured(policy.body, state, now_ms)
        return decide(Tracking(**policy.body["tracking"]), scalable, seen, now_ms)

    async def _apply(
        self, target: Document, state: AppState, count: int, policy: Document, now_ms: int
    ) -> None:
        stack, _, app = state.app_id.rpartition("/")
        is_out = count > state.count
        await self._scale(stack, {app: count})
        member = "scaled_out_at_ms" if is_out else "scaled_in_at_ms"
        changed = {member: now_ms, **({"scaled_out_to": count} if is_out else {})}
        await self._keep(target.key, changed)
        alarm = policy.body["alarms"]["high" if is_out else "low"]
        log.info("service_scaled", resource=target.key, count=count, before=state.count)
        await self._note(
            target.key,
            {
                "resource_id": target.key,
                "at_ms": now_ms,
                "count": count,
                "cause": f"monitor alarm {alarm} in state ALARM triggered policy {policy.body['name']}",
            },
        )

    async def _keep(self, resource_id: str, changed: Mapping[str, int]) -> None:
        """Of a target what was done; its bounds stay as somebody gives them meanwhile, and gone it stays gone."""
        for _ in range(_TRIES):
            found = await self._documents.get(TARGET, resource_id)
            if found is None:
                return
            with suppress(DocumentChangedError):
                await self._documents.put(
                    TARGET, resource_id, {**found.body, **changed}, found.version
                )
                return

    async def _note(self, resource_id: str, body: dict[str, Any]) -> None:
        await self._documents.put(ACTIVITY, f"{resource_id}#{body['at_ms']:015}", body)
        kept = await self._documents.list(ACTIVITY, f"{resource_id}#")
        for old in kept[:-ACTIVITIES_MAX]:
            await self._documents.delete(ACTIVITY, old.key)
