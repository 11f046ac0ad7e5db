"""Which strategy a deployment gets: what was asked for, else what the manifest says. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from portway.controller.views import StrategyRequest
from portway.core.app import App, Rollout, Strategy, StrategyKind
from portway.core.errors import RequestError
from portway.core.state import AppState
from portway.core.strategy import (
    BAKE_MAX_S,
    has_room,
    is_running,
    is_stepwise,
    parse_percent,
    parse_percents,
    steps_of,
)
from portway.core.suggest import did_you_mean


def with_strategy(before: AppState, after: AppState, asked: StrategyRequest | None) -> AppState:
    """`after` with the strategy of its new deployment; refused where the App cannot be deployed like that."""
    if after.deployment is None or after.deployment is before.deployment or after.target is None:
        return after
    app = after.target.app
    strategy = chosen(app, asked) if _replaces(after) else Strategy()
    if asked and strategy.kind is not StrategyKind.ROLLING and stops_first(app.rollout):
        strategy = Strategy()
    after = replace(after, deployment=replace(after.deployment, strategy=strategy))
    if strategy.kind is StrategyKind.BLUE_GREEN and not has_room(after):
        _refuse_without_room(app)
    return after


def _replaces(state: AppState) -> bool:
    """Whether instances of another revision run now and are to be replaced."""
    deployment = state.deployment
    assert deployment is not None
    another = deployment.from_revision not in (None, deployment.to_revision)
    return another and bool(deployment.from_count) and bool(state.count)


def _refuse_without_room(app: App) -> None:
    ports = ", ".join(str(number) for number in app.fixed_host_ports)
    raise RequestError(
        f"{app.name} cannot be deployed blue-green: its host port {ports} is fixed, "
        "so a second set cannot run beside the first",
        hint="Let the balancer serve the port (remove portway.balancer=false), "
        "or deploy with `--strategy rolling`.",
        http_status=409,
    )


def stops_first(rollout: Rollout) -> bool:
    """Whether the old instance must be gone before the new one starts, as when it writes to a volume."""
    return rollout.minimum_percent == 0 and rollout.maximum_percent <= 100


def chosen(app: App, asked: StrategyRequest | None) -> Strategy:
    """The App's own strategy with what was asked for in its place; `canary` alone means a canary."""
    own = app.rollout.strategy
    if asked is None:
        return own
    kind = StrategyKind(asked.strategy) if asked.strategy else own.kind
    if asked.canary and not asked.strategy:
        kind = StrategyKind.CANARY
    percents = parse_percents(asked.canary) if asked.canary else None
    max_failed = parse_percent(asked.max_failed)
    return Strategy(
        kind=kind,
        canary_percents=percents or own.canary_percents,
        bake_s=own.bake_s if asked.bake_s is None else asked.bake_s,
        # Who says how long each step is observed does not want to be asked at each.
        hold=asked.hold or (own.hold and asked.bake_s is None),
        max_failed_percent=own.max_failed_percent if max_failed is None else max_failed,
        min_requests=own.min_requests,
    )


def check_request(asked: StrategyRequest | None) -> None:
    """Refuse what cannot be meant."""
    if asked is None:
        return
    kinds = tuple(StrategyKind)
    if asked.strategy and asked.strategy not in kinds:
        raise RequestError(
            f"there is no strategy {asked.strategy[:60]!r}",
            hint=did_you_mean(asked.strategy, kinds).strip()
            or "Use rolling, canary or blue-green.",
        )
    if asked.canary and asked.strategy not in ("", StrategyKind.CANARY):
        raise RequestError(
            f"the strategy is {asked.strategy}, which has no canary steps",
            hint="Leave out --canary, or use --strategy canary.",
        )
    if asked.canary and parse_percents(asked.canary) is None:
        raise RequestError(
            f"{asked.canary[:60]!r} are no steps of a canary",
            hint="Use ascending percentages from 1% to 99%, for instance 10% or 5%,25%,50%.",
        )
    if asked.max_failed and parse_percent(asked.max_failed) is None:
        raise RequestError(
            f"{asked.max_failed[:60]!r} is no share of requests",
            hint="Use 0% to 100%, for instance 5%; 100% judges no requests.",
        )
    _check_bake(asked)


def _check_bake(asked: StrategyRequest) -> None:
    if asked.bake_s is not None and not 0 <= asked.bake_s <= BAKE_MAX_S:
        raise RequestError(
            f"a step cannot be observed for {asked.bake_s:g} s", hint="Use 0 to 86400 seconds."
        )
    if _observes(asked) and asked.strategy == StrategyKind.ROLLING:
        raise RequestError(
            "a rolling deployment has no steps to observe or to hold",
            hint="Use --strategy canary or blue-green with it.",
        )


def _observes(asked: StrategyRequest) -> bool:
    return asked.hold or asked.bake_s is not None or bool(asked.max_failed)


def strategy_notes(states: Sequence[AppState], asked: StrategyRequest | None) -> list[str]:
    """What of the request does not come about, and why, as sentences."""
    notes: list[str] = []
    for state in states:
        if asked is None or state.target is None or state.deployment is None:
            continue
        wanted = chosen(state.target.app, asked).kind
        if wanted is StrategyKind.ROLLING and _observes(asked):
            notes.append(
                f"{state.target.app.name} is deployed rolling, which has no steps to observe"
            )
        if wanted is StrategyKind.ROLLING or is_stepwise(state) or not is_running(state):
            continue
        name = state.target.app.name
        if stops_first(state.target.app.rollout) and _replaces(state):
            why = "its old instance stops before the new one starts (portway.deployment.minimum)"
        elif state.deployment.from_revision == state.deployment.to_revision:
            continue
        else:
            why = "nothing of it runs yet"
        notes.append(f"{name} is deployed rolling, not {wanted.value}: {why}")
    return notes


def step_notes(state: AppState) -> tuple[str, ...]:
    """How a deployment by steps will go, as a sentence; none for a rolling one."""
    if state.deployment is None or not (counts := steps_of(state)):
        return ()
    strategy = state.deployment.strategy
    until = "until `portway resume`" if strategy.hold else f"for {strategy.bake_s:g} s"
    if strategy.kind is StrategyKind.BLUE_GREEN:
        return (
            f"blue-green: {state.count} new beside {state.deployment.from_count} old, then all listeners "
            f"switch at once, and the old ones are kept {until}",
        )
    shares = ", then ".join(map(str, counts))
    return (f"canary: {shares} of {state.count} get traffic first, each step is observed {until}",)
