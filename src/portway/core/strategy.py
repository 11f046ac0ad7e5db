"""A deployment's strategy: its steps, where it is in them, who of the healthy gets no traffic meanwhile.

All of it follows from the state; time only moves the step (stepwise.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from portway.core.app import Strategy, StrategyKind
from portway.core.capacity import capacity
from portway.core.instance import InstanceRecord, Phase
from portway.core.state import AppState, Deployment, DeploymentStatus

STEPS_MAX = 20
BAKE_MAX_S = 86_400.0
MIN_REQUESTS_MAX = 1_000_000
_TAKEN_BACK = (DeploymentStatus.FAILED, DeploymentStatus.CANCELLED)


def parse_percents(text: str) -> tuple[int, ...] | None:
    """ "5%,25%,50%" as numbers; None unless they are 1 to 99 and ascend."""
    words = [word.strip().removesuffix("%").strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdecimal() and len(word) < 3 for word in words):
        return None
    percents = tuple(int(word) for word in words)
    ascending = all(a < b for a, b in zip(percents, percents[1:], strict=False))
    return percents if ascending and percents[0] > 0 and len(percents) <= STEPS_MAX else None


def parse_percent(text: str) -> float | None:
    """ "5%" or "0.5" as a number; None unless it is 0 to 100."""
    word = text.strip().removesuffix("%").strip()
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", word):
        return None
    return float(word) if float(word) <= 100 else None


def step_counts(strategy: Strategy, count: int) -> tuple[int, ...]:
    """How many new instances each step has. A share is rounded up, and is at least one."""
    match strategy.kind:
        case StrategyKind.ROLLING:
            return ()
        case StrategyKind.CANARY:
            shares = {max(1, -(-count * p // 100)) for p in strategy.canary_percents}
            return tuple(sorted(shares))
        case StrategyKind.BLUE_GREEN:
            return (count, count)  # ready but unrouted; then switched


def is_running(state: AppState) -> bool:
    """Whether a deployment of the App is under way."""
    return state.deployment is not None and state.deployment.status is DeploymentStatus.RUNNING


def is_paused(state: AppState) -> bool:
    """Whether its running deployment stands still."""
    deployment = state.deployment
    return is_running(state) and deployment is not None and deployment.paused_at_ms is not None


def is_stepwise(state: AppState) -> bool:
    """Whether a deployment goes by steps: not a rolling one, and only where something old serves meanwhile."""
    deployment, target = state.deployment, state.target
    if deployment is None or target is None or not is_running(state):
        return False
    replaces = deployment.from_revision not in (None, deployment.to_revision)
    if not replaces or not deployment.from_count or not state.count:
        return False
    kind = deployment.strategy.kind
    return kind is StrategyKind.CANARY or (kind is StrategyKind.BLUE_GREEN and has_room(state))


def has_room(state: AppState) -> bool:
    """Whether two sets can exist at once: no port of theirs is fixed."""
    return state.target is not None and all(p.host_port is None for p in state.target.app.ports)


def steps_of(state: AppState) -> tuple[int, ...]:
    """The steps of the running deployment; none for a rolling one."""
    if state.deployment is None or not is_stepwise(state):
        return ()
    return step_counts(state.deployment.strategy, state.count)


def is_midway(state: AppState) -> bool:
    """Whether steps are still to be done: old instances stay until they are."""
    return state.deployment is not None and state.deployment.step < len(steps_of(state))


def is_prepared_unseen(state: AppState) -> bool:
    """Whether the new set of a blue-green is still being made ready behind everybody's back."""
    deployment = state.deployment
    return (
        deployment is not None
        and is_stepwise(state)
        and deployment.strategy.kind is StrategyKind.BLUE_GREEN
        and deployment.step == 0
    )


def is_strict(state: AppState) -> bool:
    """Whether one new instance that fails is enough to go back: the new ones have traffic and are on trial."""
    return is_stepwise(state) and not is_prepared_unseen(state)


def is_on_trial(state: AppState) -> bool:
    """Whether new instances have traffic beside old ones to compare them with: once the steps are done, these leave."""
    return is_midway(state) and is_strict(state)


def is_holding(state: AppState) -> bool:
    """Whether the present step is done and only somebody's `resume` leads on."""
    deployment = state.deployment
    return (
        deployment is not None
        and is_midway(state)
        and deployment.strategy.hold
        and deployment.baking_since_ms is not None
    )


def resumed(deployment: Deployment, *, now_ms: int) -> Deployment:
    """The deployment going on where it was paused; the time it stood still counts for nothing."""
    assert deployment.paused_at_ms is not None
    still_ms = max(0, now_ms - deployment.paused_at_ms)
    since_ms = deployment.baking_since_ms
    return replace(
        deployment,
        paused_at_ms=None,
        progressed_at_ms=deployment.progressed_at_ms + still_ms,
        baking_since_ms=None if since_ms is None else since_ms + still_ms,
    )


def stepped(deployment: Deployment, *, now_ms: int) -> Deployment:
    """The deployment with its present step behind it."""
    return replace(
        deployment,
        step=deployment.step + 1,
        step_began_ms=now_ms,
        baking_since_ms=None,
        progressed_at_ms=now_ms,
    )


def standby_ids(state: AppState, usable: Iterable[InstanceRecord]) -> frozenset[str]:
    """Which of the usable instances get nothing new now, because their turn is not yet or over.

    They go on running, so that traffic comes back to them at once. Never all of them.
    """
    deployment = state.deployment
    if deployment is None or deployment.strategy.kind is StrategyKind.ROLLING:
        return frozenset()
    ready = [r for r in usable if r.phase is Phase.READY]
    new = [r for r in ready if r.identity.revision == deployment.to_revision]
    old = [r for r in ready if r.identity.revision != deployment.to_revision]
    if is_stepwise(state):
        if deployment.strategy.kind is StrategyKind.CANARY:
            waiting = _beyond_the_share(state, new, old)
            serving = [r for r in new if r not in waiting]
            return _ids(waiting + _resting(state, serving, old))
        if deployment.step == 0:
            return _ids(new) if old else frozenset()
        return _ids(old) if len(new) >= state.count else frozenset()
    if deployment.status in _TAKEN_BACK and state.target is not None:
        back = [r for r in old if r.identity.revision == state.target.id]
        return _ids(new) if back and len(back) >= state.count else frozenset()
    return frozenset()


def _beyond_the_share(
    state: AppState, new: list[InstanceRecord], old: list[InstanceRecord]
) -> list[InstanceRecord]:
    """New ones that came up before the step was so small wait, as far as the minimum serves without them."""
    if not old or not is_midway(state) or state.deployment is None or state.target is None:
        return []
    app = state.target.app
    bounds = capacity(state.count, app.rollout, one_at_a_time=bool(app.fixed_host_ports))
    beyond = len(new) - steps_of(state)[state.deployment.step]
    waiting = min(beyond, len(new) + len(old) - bounds.minimum_healthy)
    # The first to wait is whoever has its successor beside it already, for its node is being emptied.
    newest = {r.identity.slot: r for r in sorted(new, key=lambda r: r.identity.serial)}
    order = sorted(new, key=lambda r: (newest[r.identity.slot] is r, -r.identity.slot))
    return order[: max(0, waiting)]


def _resting(
    state: AppState, new: list[InstanceRecord], old: list[InstanceRecord]
) -> list[InstanceRecord]:
    """As many old ones rest as new ones serve, those of the same slots first; the last one never."""
    assert state.deployment is not None
    whole = max(state.count, state.deployment.from_count or 0)
    resting = len(old) - max(1, whole - len(new))
    if not new or resting <= 0:
        return []
    slots = {r.identity.slot for r in new}
    order = sorted(
        old, key=lambda r: (r.identity.slot not in slots, -r.identity.slot, r.identity.serial)
    )
    return order[:resting]


def _ids(records: Iterable[InstanceRecord]) -> frozenset[str]:
    return frozenset(r.id for r in records)
