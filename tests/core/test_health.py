"""The one judge: when results of checks become a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.core.app import HealthCheck
from portway.core.health import (
    CheckResult,
    Health,
    HealthStatus,
    is_confirmed,
    judge,
    matches_status,
    parse_statuses,
    startup_deadline_ms,
    statuses_text,
    unjudged,
)

CHECK = HealthCheck(start_period_s=30.0, interval_s=5.0, unhealthy_threshold=2, healthy_threshold=1)
UNKNOWN, PASSING, FAILING = HealthStatus.UNKNOWN, HealthStatus.PASSING, HealthStatus.FAILING


def verdicts(
    results: str, *, check: HealthCheck = CHECK, every_ms: int = 1000
) -> list[HealthStatus]:
    """The status after each result; "+" passed, "-" failed."""
    health, found = Health(), []
    for nth, result in enumerate(results):
        seen = CheckResult(at_ms=nth * every_ms, passed=result == "+", detail=result)
        health = judge(health, seen, check, started_at_ms=0)
        found.append(health.status)
    return found


def test_the_first_pass_is_enough_by_default() -> None:
    assert verdicts("+") == [PASSING]


def test_passes_must_follow_one_another() -> None:
    check = HealthCheck(healthy_threshold=2)
    assert verdicts("+-++", check=check) == [UNKNOWN, UNKNOWN, UNKNOWN, PASSING]


def test_failures_must_follow_one_another() -> None:
    assert verdicts("+-+--") == [PASSING, PASSING, PASSING, PASSING, FAILING]


def test_one_pass_ends_a_failure() -> None:
    assert verdicts("+--+") == [PASSING, PASSING, FAILING, PASSING]


def test_before_its_deadline_an_instance_that_never_passed_is_not_failing() -> None:
    assert startup_deadline_ms(CHECK, started_at_ms=1000) == 41_000
    assert set(verdicts("-" * 40)) == {UNKNOWN}
    assert verdicts("-" * 41)[-1] is FAILING


def test_an_instance_that_once_passed_has_no_second_start() -> None:
    assert verdicts("+--")[-1] is FAILING


def test_since_is_when_the_verdict_last_changed() -> None:
    health = Health()
    for at_ms in (10, 20, 30):
        passed = CheckResult(at_ms=at_ms, passed=True, detail="HTTP 200")
        health = judge(health, passed, CHECK, started_at_ms=0)
    assert (health.since_ms, health.passes, health.detail) == (10, 3, "HTTP 200")


@given(st.text(alphabet="+-", max_size=60))
def test_a_verdict_never_goes_back_to_unknown(results: str) -> None:
    found = verdicts(results)
    known = [status for status in found if status is not UNKNOWN]
    assert found[len(found) - len(known) :] == known


@pytest.mark.parametrize("threshold", [1, 2, 5])
def test_it_takes_exactly_the_threshold_of_failures(threshold: int) -> None:
    check = HealthCheck(unhealthy_threshold=threshold)
    found = verdicts("+" + "-" * threshold, check=check)
    assert found == [PASSING] * threshold + [FAILING]


def test_a_check_that_could_not_be_made_changes_nothing_but_what_is_said() -> None:
    known = Health(status=PASSING, passes=4, detail="HTTP 200", since_ms=7)
    doubtful = unjudged(known, "no file descriptor left")
    assert doubtful == replace(known, unchecked="no file descriptor left")
    result = CheckResult(at_ms=9, passed=True, detail="HTTP 200")
    assert judge(doubtful, result, CHECK, started_at_ms=0) == replace(known, passes=5)


def test_the_delay_belongs_to_the_time_an_instance_has() -> None:
    check = replace(CHECK, delay_s=10.0)
    assert startup_deadline_ms(check, started_at_ms=1000) == 51_000


def test_a_failing_verdict_is_confirmed_by_a_second_round() -> None:
    assert not is_confirmed(Health(status=FAILING, failures=3), CHECK)
    assert is_confirmed(Health(status=FAILING, failures=4), CHECK)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("200", ((200, 200),)),
        ("200-299,401", ((200, 299), (401, 401))),
        (" 204 , 301 - 302 ", ((204, 204), (301, 302))),
    ],
)
def test_statuses_are_written_as_single_ones_and_ranges(
    text: str, ranges: tuple[tuple[int, int], ...]
) -> None:
    assert parse_statuses(text) == ranges
    assert parse_statuses(statuses_text(ranges)) == ranges


@pytest.mark.parametrize(
    "text", ["", "ok", "20", "2000", "199", "600", "299-200", "200-", "-200", "200,,201", "²00", "200," * 30 + "200"]
)  # fmt: skip
def test_what_names_no_statuses_is_none(text: str) -> None:
    assert parse_statuses(text) is None


def test_an_answer_passes_inside_a_range_only() -> None:
    ranges = ((200, 299), (401, 401))
    assert [s for s in (199, 200, 299, 300, 400, 401, 402) if matches_status(ranges, s)] == [200, 299, 401]  # fmt: skip
