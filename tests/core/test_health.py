"""The one judge: when results of checks become a verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.core.app import HealthCheck
from portway.core.health import CheckResult, Health, HealthStatus, judge, startup_deadline_ms

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
