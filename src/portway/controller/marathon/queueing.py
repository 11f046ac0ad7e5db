"""What waits to be started, as the launch queue shows it: how many, since when, and why not yet. It only looks."""

from __future__ import annotations

from typing import Any

from portway.controller.marathon.catalogue import APP, Entry
from portway.controller.world import RUN_SLOT, World
from portway.core.app import App
from portway.core.backoff import delay_of
from portway.core.instance import Phase
from portway.core.marathon.funnel import Reason, node_reasons, reject_summary
from portway.core.marathon.names import time_text
from portway.core.placement import Ground
from portway.core.state import AppState


def waiting(state: AppState) -> int:
    """How many instances of what should run are still to be started."""
    if state.target is None:
        return 0
    begun = sum(
        1
        for r in state.live
        if r.identity.slot != RUN_SLOT
        and r.identity.revision == state.target.id
        and Phase.STARTED <= r.phase < Phase.DRAINING
    )
    return max(0, state.count - begun)


def queue_item(world: World, entry: Entry, shown: Any, *, now_ms: int) -> dict[str, Any] | None:
    """What the queue says of an app or pod; None where nothing waits. `shown` is its definition as GET shows it."""
    state = world.apps.get(entry.app_id)
    if state is None or state.target is None or not (count := waiting(state)):
        return None
    since_ms = state.deployment.started_at_ms if state.deployment is not None else now_ms
    if state.failures:
        since_ms = max(since_ms, state.failures[-1].at_ms)
    reasons = _reasons(world, state, state.target.app)
    declined = [reason for reason in reasons if reason is not None]
    summary = [
        {"reason": one.reason.value, "declined": one.declined, "processed": one.processed}
        for one in reject_summary(reasons)
    ]
    offers: dict[str, Any] = {
        "processedOffersCount": len(reasons),
        "unusedOffersCount": len(declined),
        "rejectSummaryLastOffers": summary,
        "rejectSummaryLaunchAttempt": summary,
    }
    if declined:
        offers["lastUnusedOfferAt"] = time_text(now_ms)
    return {
        "app" if entry.kind == APP else "pod": shown,
        "count": count,
        "delay": _delay(state, now_ms),
        "since": time_text(since_ms),
        "processedOffersSummary": offers,
    }


def _delay(state: AppState, now_ms: int) -> dict[str, Any]:
    delay = delay_of(state, now_ms=now_ms)
    left_ms = max(0, delay.until_ms - now_ms) if delay is not None else 0
    return {"timeLeftSeconds": -(-left_ms // 1000), "overdue": left_ms == 0}


def _reasons(world: World, state: AppState, app: App) -> tuple[Reason | None, ...]:
    mine: dict[str, int] = {}
    for record in state.live:
        mine[record.identity.node] = mine.get(record.identity.node, 0) + 1
    target = state.target.id if state.target is not None else ""
    ground = Ground(
        nodes=world.nodes,
        mine=mine,
        load=world.load,
        used=world.used,
        alike=tuple(r.identity.node for r in state.live if r.identity.revision == target),
        count=state.count,
    )
    return node_reasons(app, ground, world.obstacles.get(state.app_id, ()))
