"""Back-off as Marathon has it: how long the next start waits after instances that ended by themselves. Pure.

Derived from the failures that are kept anyway; nothing is counted up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from portway.core.app import Backoff
from portway.core.state import AppState, Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Nothing more is started before `until_ms`. `reason`: what the last of them ended with."""

    delay_s: float
    until_ms: int
    reason: str

    def is_over(self, now_ms: int) -> bool:
        """Whether something may start again."""
        return now_ms >= self.until_ms


def delay_of(state: AppState, *, now_ms: int) -> Delay | None:
    """The delay of what should run; None where nothing ended by itself, or long ago, or the App has no back-off of its own.

    It belongs to one revision: a change of anything but the count begins without one.
    """
    target = state.target
    if target is None or target.app.backoff is None:
        return None
    backoff = target.app.backoff
    counted = [f for f in state.failures if f.revision == target.id and not f.by_others]
    if not counted:
        return None
    delay_s = _delay_s(backoff, counted)
    last = counted[-1]
    started = (r.started_at_ms for r in state.live if r.identity.revision == target.id)
    reference_ms = max([last.at_ms, *(at_ms for at_ms in started if at_ms is not None)])
    if now_ms > reference_ms + int(backoff.maximum_s * 1000):
        return None
    return Delay(delay_s=delay_s, until_ms=last.at_ms + int(delay_s * 1000), reason=last.reason)


def _delay_s(backoff: Backoff, failures: list[Failure]) -> float:
    """It grows with each failure; one that comes long after the last failure or start begins anew."""
    delay_s, reference_ms = 0.0, 0
    for failure in failures:
        reference_ms = max(reference_ms, failure.started_at_ms or 0)
        is_old = failure.at_ms > reference_ms + int(backoff.maximum_s * 1000)
        longer_s = backoff.first_s if is_old or not delay_s else delay_s * backoff.factor
        delay_s, reference_ms = min(longer_s, backoff.maximum_s), failure.at_ms
    return delay_s


def without_delay(state: AppState) -> AppState:
    """The App as if nothing of what should run had ended by itself yet."""
    if state.target is None:
        return state
    kept = tuple(f for f in state.failures if f.revision != state.target.id)
    return state if kept == state.failures else replace(state, failures=kept)
