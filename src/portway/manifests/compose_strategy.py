"""The labels portway.deploy.* -> Strategy: in which order a new release takes over."""

from __future__ import annotations

from portway.core.app import Strategy, StrategyKind
from portway.core.strategy import BAKE_MAX_S, MIN_REQUESTS_MAX, parse_percent, parse_percents
from portway.manifests.compose_labels import Labels, Setting
from portway.manifests.compose_values import parse_duration
from portway.manifests.tree import parse_number, shown


def strategy_of(labels: Labels) -> Strategy:
    """Rolling unless a label says otherwise; `portway.deploy.canary` alone means a canary."""
    default = Strategy()
    kind = labels.setting("deploy.strategy")
    canary = labels.setting("deploy.canary")
    bake = labels.setting("deploy.bake_s")
    hold = labels.setting("deploy.hold")
    chosen = StrategyKind.CANARY if canary else default.kind
    if kind is not None:
        chosen = _kind(kind)
    if canary is not None and chosen is not StrategyKind.CANARY:
        canary.node.warn(f"{canary.key} is ignored: the strategy is {chosen.value}")
    return Strategy(
        kind=chosen,
        canary_percents=_percents(canary) if canary else default.canary_percents,
        bake_s=_bake_s(bake) if bake else default.bake_s,
        hold=hold.flag() if hold else default.hold,
        max_failed_percent=_max_failed_percent(labels.setting("deploy.max_failed")),
        min_requests=_min_requests(labels),
    )


def _kind(setting: Setting) -> StrategyKind:
    if setting.value in tuple(StrategyKind):
        return StrategyKind(setting.value)
    hint = setting.node.suggest(setting.value, tuple(StrategyKind))
    setting.error(
        f"{setting.key} is '{shown(setting.value)}', which is no strategy",
        hint or "Write rolling, canary or blue-green.",
    )
    return StrategyKind.ROLLING


def _percents(setting: Setting) -> tuple[int, ...]:
    percents = parse_percents(setting.value)
    if percents is None:
        setting.error(
            f"{setting.key} is '{shown(setting.value)}', which are no steps of a canary",
            "Write ascending percentages from 1% to 99%, for instance 10% or 5%,25%,50%.",
        )
    return percents or Strategy().canary_percents


def _max_failed_percent(setting: Setting | None) -> float:
    if setting is None:
        return Strategy().max_failed_percent
    percent = parse_percent(setting.value)
    if percent is None:
        setting.error(
            f"{setting.key} must be 0% to 100%, not '{shown(setting.value)}'",
            "For instance 5%: so many more requests may fail than of the old release. 100% switches it off.",
        )
        return Strategy().max_failed_percent
    return percent


def _min_requests(labels: Labels) -> int:
    setting, default = labels.setting("deploy.min_requests"), Strategy().min_requests
    if setting is None:
        return default
    given = setting.integer(service=labels.service, minimum=1, maximum=MIN_REQUESTS_MAX)
    return default if given is None else given


def _bake_s(setting: Setting) -> float:
    seconds = parse_number(setting.value)
    seconds = parse_duration(setting.value) if seconds is None else seconds
    if seconds is None or not 0 <= seconds <= BAKE_MAX_S:
        setting.error(
            f"{setting.key} must be seconds between 0 and {BAKE_MAX_S:.0f}, not '{shown(setting.value)}'",
            "For instance 60 or 5m.",
        )
        return Strategy().bake_s
    return seconds
