"""One look proves nothing when most of an App is missing from it; the next one that agrees does."""

from __future__ import annotations

from portway.controller.doubt import DOUBT_MS, doubted
from portway.core.instance import Phase
from portway.core.state import AppState

from .test_world import record, state


def app(*phases: Phase) -> AppState:
    records = [record("shop/web", nth, phase=phase) for nth, phase in enumerate(phases, 1)]
    return state("shop/web", *records)


def missing(which: AppState, *seen: int, before_ms: int | None = None, now_ms: int = 0) -> bool:
    there = {"shop/web": {f"shop/web.1.{nth}" for nth in seen}}
    before = {} if before_ms is None else {"shop/web": before_ms}
    return "shop/web" in doubted([which], there, before, now_ms=now_ms)


def test_more_than_half_missing_at_once_is_doubted_and_less_is_believed() -> None:
    four = app(*[Phase.READY] * 4)
    assert missing(four)
    assert missing(four, 1)
    assert not missing(four, 1, 2)
    assert missing(app(Phase.READY))


def test_an_app_of_which_nothing_is_listed_at_all_is_doubted_too() -> None:
    assert doubted([app(Phase.STARTED)], {}, {}, now_ms=7) == {"shop/web": 7}


def test_only_what_ran_and_was_to_go_on_is_missed() -> None:
    assert not missing(app(Phase.PLANNED, Phase.DRAINING, Phase.STOPPING, Phase.GONE))
    assert not missing(app())


def test_what_is_missing_for_long_enough_is_gone() -> None:
    one = app(Phase.READY)
    assert missing(one, before_ms=0, now_ms=DOUBT_MS - 1)
    assert not missing(one, before_ms=0, now_ms=DOUBT_MS)


def test_what_is_there_again_is_doubted_no_more() -> None:
    assert not missing(app(Phase.READY), 1, before_ms=0, now_ms=1)
