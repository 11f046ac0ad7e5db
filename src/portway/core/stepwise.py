"""Which instances come and go now: step by step, standing still, or rolling. The step itself moves here too."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import StrategyKind
from portway.core.capacity import Capacity
from portway.core.draft import Draft
from portway.core.instance import Phase
from portway.core.rollout import (
    Census,
    batch,
    bounds_of,
    drain_failed,
    drain_stale,
    in_place,
    plan_rollout,
    sees_who_serves,
    take_census,
)
from portway.core.starting import may_start, start_instances
from portway.core.state import Deployment, Revision
from portway.core.strategy import (
    is_midway,
    is_paused,
    is_prepared_unseen,
    stepped,
    steps_of,
)


def plan_instances(draft: Draft) -> None:
    """Let go of what is too much, start what is missing, as far as the deployment has come."""
    if draft.state.called_off:
        _call_off(draft)
        return
    if is_paused(draft.state):
        _stand_still(draft)
        return
    _advance_step(draft)
    if is_midway(draft.state):
        _plan_step(draft)
    else:
        plan_rollout(draft)


def _call_off(draft: Draft) -> None:
    """An aborted first deployment: all it had started leaves, what ran of another revision stays."""
    draft.block(draft.state.halted)
    for record in take_census(draft).fresh:
        draft.advance(record, Phase.DRAINING, reason="its deployment was aborted")


def _advance_step(draft: Draft) -> None:
    """The next step, once all of this one serves and was observed for long enough."""
    deployment = draft.state.deployment
    if deployment is None or not is_midway(draft.state) or draft.observed.served is None:
        return
    census = take_census(draft)
    wanted = steps_of(draft.state)[deployment.step]
    if is_prepared_unseen(draft.state):
        ready = sum(1 for r in census.sound if r.phase is Phase.READY)
        if any(failure.at_ms >= draft.now_ms for failure in draft.state.failures):
            draft.wake_at(
                draft.now_ms
            )  # a failure from before the switch must not count as one after it
        elif ready + census.completed >= wanted:
            _switch(draft, deployment, wanted)
        return
    serving = sum(1 for r in census.fresh if r.id in census.serving) + census.completed
    if serving < wanted:
        # A step that lost an instance (somebody stopped it) is observed from the beginning.
        if deployment.baking_since_ms is not None:
            draft.change(deployment=_interrupted(draft, deployment))
    elif deployment.baking_since_ms is None:
        draft.change(deployment=replace(deployment, baking_since_ms=draft.now_ms))
        draft.event("deployment.baking", _observed_words(deployment, wanted, census.count))
        _end_bake(draft)
    else:
        _end_bake(draft)


def _interrupted(draft: Draft, deployment: Deployment) -> Deployment:
    """Only what waits for somebody's word has its whole time again: one that flaps must end."""
    at_ms = draft.now_ms if deployment.strategy.hold else deployment.progressed_at_ms
    return replace(deployment, baking_since_ms=None, progressed_at_ms=at_ms)


def _switch(draft: Draft, deployment: Deployment, wanted: int) -> None:
    draft.change(deployment=stepped(deployment, now_ms=draft.now_ms))
    target = draft.state.target
    draft.event(
        "deployment.switched",
        f"{wanted}/{wanted} healthy: all listeners switch; the old instances stay until it has proved itself",
        release=target.release if target else "",
    )
    draft.wake_at(draft.now_ms)


def _end_bake(draft: Draft) -> None:
    deployment = draft.state.deployment
    assert deployment is not None
    assert deployment.baking_since_ms is not None
    if deployment.strategy.hold:
        return
    end_ms = deployment.baking_since_ms + int(deployment.strategy.bake_s * 1000)
    if draft.now_ms < end_ms:
        draft.wake_at(end_ms)
        return
    draft.change(deployment=stepped(deployment, now_ms=draft.now_ms))
    draft.wake_at(draft.now_ms)


def _observed_words(deployment: Deployment, wanted: int, count: int) -> str:
    strategy = deployment.strategy
    until = "until it is resumed" if strategy.hold else f"for {strategy.bake_s:g} s"
    return f"{strategy.kind.value}: {wanted}/{count} serve, observed {until}"


def _plan_step(draft: Draft) -> None:
    """So many new ones as the step has, and all the old ones beside them as far as the maximum allows."""
    census = take_census(draft)
    bounds = bounds_of(draft, census.count)
    for record in census.fresh:
        if record.id in census.failing:
            drain_failed(draft, record)
    census = take_census(draft)
    wanted = steps_of(draft.state)[_deployment(draft).step]
    kept = max(0, min(_deployment(draft).from_count or 0, bounds.maximum_live - wanted))
    missing = max(0, wanted - len(census.sound) - census.completed)
    if sees_who_serves(draft):
        _make_room(draft, census, bounds, missing=missing, kept=kept)
        _drain_idle_new(draft, bounds, wanted=wanted, kept=kept)
    _replace_old(draft, bounds, kept=kept, reserved=missing)
    target = draft.state.target
    if missing and target is not None and may_start(draft, target):
        census = take_census(draft)
        room = bounds.maximum_live - len(census.live)
        number = min(missing, room, batch(draft, census))
        start_instances(draft, target, number, count=census.count)


def _deployment(draft: Draft) -> Deployment:
    assert draft.state.deployment is not None
    return draft.state.deployment


def _make_room(draft: Draft, census: Census, bounds: Capacity, *, missing: int, kept: int) -> None:
    """Old ones leave only where the maximum leaves no room for the step; of a blue-green, only the superfluous."""
    leaving = sum(1 for r in census.live if r.phase >= Phase.DRAINING)
    room = len(census.live) - leaving + missing - bounds.maximum_live
    if _deployment(draft).strategy.kind is StrategyKind.BLUE_GREEN:
        room = min(room, len(census.stale) - kept)
    spare = len(census.serving) - bounds.minimum_healthy
    drain_stale(draft, census, serving_allowed=max(0, min(spare, room)), room=room)


def _drain_idle_new(draft: Draft, bounds: Capacity, *, wanted: int, kept: int) -> None:
    """New ones beyond the step that wait without traffic go where old ones that are lacking need the room."""
    census = take_census(draft)
    surplus = len(census.sound) + census.completed - wanted
    lacking = kept - sum(1 for r in census.stale if r.id not in census.failing)
    leaving = sum(1 for r in census.live if r.phase >= Phase.DRAINING)
    room = len(census.live) - leaving + lacking - bounds.maximum_live
    if lacking <= 0 or _revision_before(draft) is None:
        return
    idle = [r for r in census.sound if r.id not in census.serving]
    idle.sort(key=lambda r: -r.identity.slot)
    for record in idle[: max(0, min(surplus, room))]:
        draft.advance(record, Phase.DRAINING, reason=f"its deployment is to have {wanted} for now")


def _replace_old(draft: Draft, bounds: Capacity, *, kept: int, reserved: int) -> None:
    """An old instance that dies or fails is replaced by one of the old revision: they still carry the traffic."""
    before = _revision_before(draft)
    if before is None:
        return
    census = take_census(draft)
    sound = [r for r in census.stale if r.id not in census.failing]
    lacking = kept - len(sound)
    room = bounds.maximum_live - reserved
    _drain_failing_old(draft, census, lacking=lacking, room=room)
    census = take_census(draft)
    number = min(lacking, room - len(census.live))
    if number > 0 and may_start(draft, before):
        start_instances(draft, before, number, count=_deployment(draft).from_count or kept)


def _drain_failing_old(draft: Draft, census: Census, *, lacking: int, room: int) -> None:
    """Once their replacements are there, or as many as these need room."""
    failing = [r for r in census.stale if r.id in census.failing]
    over = len(census.live) + max(0, lacking) - room
    for record in failing if lacking <= 0 else failing[: in_place(census, over)]:
        drain_failed(draft, record)


def _revision_before(draft: Draft) -> Revision | None:
    """The revision that was aimed at before, where it is another one than the target."""
    deployment = _deployment(draft)
    if deployment.from_revision == deployment.to_revision:
        return None
    return draft.state.revisions.get(deployment.from_revision or "")


def _stand_still(draft: Draft) -> None:
    """Paused: only where fewer than the count are sound are the missing ones started, of what has proved itself."""
    census = take_census(draft)
    target = draft.state.target
    if target is None:
        return
    bounds = bounds_of(draft, census.count)
    present = [*census.fresh, *census.stale]
    failing = [r for r in present if r.id in census.failing]
    lacking = census.count - (len(present) - len(failing)) - census.completed
    over = len(census.live) + max(0, lacking) - bounds.maximum_live
    for record in failing if lacking <= 0 else failing[: in_place(census, over)]:
        drain_failed(draft, record)
    room = bounds.maximum_live - len(census.live)
    proven = _revision_before(draft) or target
    number = min(lacking, room)
    if number > 0 and may_start(draft, proven):
        start_instances(draft, proven, number, count=census.count)
