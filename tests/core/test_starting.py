"""When an instance that keeps dying is called crash looping; the growing pauses are in test_rollout.py."""

from __future__ import annotations

import pytest

from portway.core.starting import is_crash_looping, recent_failures
from portway.core.state import AppState, Failure
from tests.simulation.world import revision

NOW_MS = 10_000_000


def failed(*ages_s: float, release: str = "R1") -> AppState:
    failures = tuple(
        Failure(
            at_ms=NOW_MS - int(age * 1000), instance_id="shop/web.1.1", revision=release, reason="x"
        )
        for age in ages_s
    )
    return AppState(app_id="shop/web", target=revision("R1"), count=1, failures=failures)


@pytest.mark.parametrize(
    ("ages_s", "looping"),
    [
        ((), False),
        ((3, 1), False),
        ((7, 3, 1), True),
        ((200, 140, 60), True),
        ((400, 300, 121), False),
        ((700, 650, 1), False),
    ],
)
def test_three_failures_of_late_are_a_crash_loop(ages_s: tuple[float, ...], looping: bool) -> None:
    assert is_crash_looping(failed(*ages_s), now_ms=NOW_MS) is looping


def test_failures_of_another_revision_do_not_count() -> None:
    state = failed(3, 2, 1, release="R0")
    assert not is_crash_looping(state, now_ms=NOW_MS)
    assert len(recent_failures(state, "R0", now_ms=NOW_MS)) == 3


def test_an_app_that_is_deleted_is_not_crash_looping() -> None:
    assert not is_crash_looping(AppState(app_id="shop/web", target=None), now_ms=NOW_MS)
