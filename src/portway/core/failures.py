"""Failures told apart by what they say: instances that die together have failed once, those started since failed again. Pure.

A daemon that dies takes a hundred instances along, and none of them is to wait a minute for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from portway.core.state import AppState, Failure

BACK_OFF_FIRST_S = 1.0
# An instance that lived so long before it failed is not part of a crash loop.
CRASH_LOOP_WINDOW_S = 600.0
# As many as the highest threshold of the circuit breaker.
FAILURES_KEPT = 200


def recent_failures(state: AppState, revision: str, *, now_ms: int) -> tuple[Failure, ...]:
    """The failures of a revision that its back-off counts."""
    since_ms = now_ms - int(CRASH_LOOP_WINDOW_S * 1000)
    return tuple(f for f in state.failures if f.revision == revision and f.at_ms > since_ms)


def rounds(failures: Iterable[Failure]) -> tuple[Failure, ...]:
    """The first failure of each round: what ran already when a round began, and fails too, belongs to it.

    Nothing is started in answer to a failure within the first pause, so what began in it had been decided on before.
    """
    firsts: list[Failure] = []
    for failure in failures:
        began_ms = failure.at_ms if failure.started_at_ms is None else failure.started_at_ms
        if not firsts or began_ms >= firsts[-1].at_ms + int(BACK_OFF_FIRST_S * 1000):
            firsts.append(failure)
    return tuple(firsts)


def with_failure(state: AppState, failure: Failure) -> tuple[Failure, ...]:
    """The failures to remember from now on: the latest, and of the rounds before them the first each."""
    breaker = state.target.app.rollout.breaker.threshold if state.target else None
    most = max(FAILURES_KEPT, breaker or 0) - 1
    if len(state.failures) <= most:
        return (*state.failures, failure)
    before, latest = state.failures[:-most], state.failures[-most:]
    recent = recent_failures(state, failure.revision, now_ms=failure.at_ms)
    firsts = {id(each) for each in rounds(recent)}
    return (*(each for each in before if id(each) in firsts), *latest, failure)
