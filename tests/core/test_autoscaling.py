"""How many tasks a service should have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.autoscaling import Measured, Meter, Scalable, Tracking, decide

NOW_MS = 10_000_000
POLICY = Tracking(target_value=100)
BOUNDS = Scalable(least=1, most=10)


def seen(total: float, running: int, *, desired: int | None = None, **more: bool) -> Measured:
    given = {"is_whole": True, **more}
    return Measured(total=total, running=running, desired=running if desired is None else desired, **given)  # fmt: skip


@pytest.mark.parametrize(
    ("total", "running", "wanted"),
    [
        (500, 2, 5),  # two tasks, 250 requests a minute each
        (501, 2, 6),
        (5000, 2, 10),  # never more than the most
        (200, 2, None),
        (185, 2, None),  # just under the target is no reason
        (50, 4, 1),
        (0, 4, 1),  # never less than the least
        (300, 4, 3),
        (500, 0, None),  # nothing runs, nothing is known
    ],
)
def test_the_count_is_what_runs_times_figure_by_target(total: float, running: int, wanted: int | None):  # fmt: skip
    assert decide(POLICY, BOUNDS, seen(total, running), NOW_MS) == wanted


def test_a_deployment_bars_the_way_in_and_not_the_way_out():
    assert decide(POLICY, BOUNDS, seen(0, 4, is_deploying=True), NOW_MS) is None
    assert decide(POLICY, BOUNDS, seen(900, 4, is_deploying=True), NOW_MS) == 9


def test_less_than_a_minute_is_enough_to_have_more_and_not_to_have_fewer():
    assert decide(POLICY, BOUNDS, seen(0, 4, is_whole=False), NOW_MS) is None
    assert decide(POLICY, BOUNDS, seen(900, 4, is_whole=False), NOW_MS) == 9


def test_cooldowns_are_waited_out():
    out = replace(BOUNDS, scaled_out_at_ms=NOW_MS - 299_000, scaled_out_to=9)
    assert decide(POLICY, out, seen(900, 4), NOW_MS) is None
    assert decide(POLICY, out, seen(901, 4), NOW_MS) == 10, "a larger one is not held back"
    assert decide(POLICY, out, seen(900, 4), NOW_MS + 1000) == 9
    assert decide(POLICY, out, seen(0, 4), NOW_MS) is None
    came_in = replace(BOUNDS, scaled_in_at_ms=NOW_MS - 299_000)
    assert decide(POLICY, came_in, seen(900, 4), NOW_MS) == 9
    assert decide(POLICY, came_in, seen(0, 4), NOW_MS) is None


def test_what_is_suspended_or_disabled_does_not_happen():
    assert decide(POLICY, replace(BOUNDS, out_suspended=True), seen(900, 4), NOW_MS) is None
    assert decide(POLICY, replace(BOUNDS, in_suspended=True), seen(0, 4), NOW_MS) is None
    assert decide(replace(POLICY, disable_scale_in=True), BOUNDS, seen(0, 4), NOW_MS) is None


def test_a_count_below_the_least_is_raised_and_one_above_the_most_lowered():
    assert decide(POLICY, replace(BOUNDS, least=3), seen(100, 1), NOW_MS) == 3
    assert decide(POLICY, replace(BOUNDS, most=2), seen(100, 4), NOW_MS) == 1


def test_it_may_go_to_nothing_only_where_nothing_is_asked():
    free = replace(BOUNDS, least=0)
    assert decide(POLICY, free, seen(0, 2), NOW_MS) == 0
    assert decide(POLICY, free, seen(1, 2), NOW_MS) == 1


def test_a_meter_knows_the_last_minute_of_a_counter_that_may_begin_anew():
    meter = Meter()
    assert not meter.is_whole(0)
    meter.read(1000, 0)
    assert meter.total == 0
    meter.read(1010, 30_000)
    meter.read(5, 50_000)
    assert meter.total == 15
    assert not meter.is_whole(50_000)
    meter.read(5, 90_000)
    assert meter.total == 5
    assert meter.is_whole(90_000)
