"""Several checks on one instance: one verdict; and checks that cost an instance its traffic, never its life."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import HealthCheck
from portway.core.health import CheckResult, Health, HealthStatus, judge, together
from portway.core.instance import Phase
from tests.simulation.world import World, revision

UNKNOWN, PASSING, FAILING = HealthStatus.UNKNOWN, HealthStatus.PASSING, HealthStatus.FAILING


def verdict(*statuses: HealthStatus) -> Health:
    return together([Health(status=s, detail=f"{n}") for n, s in enumerate(statuses)])


@pytest.mark.parametrize(
    ("statuses", "expected", "said"),
    [
        ((PASSING, PASSING), PASSING, "0"),
        ((PASSING, UNKNOWN), UNKNOWN, "1"),
        ((UNKNOWN, FAILING), FAILING, "1"),
        ((FAILING, PASSING), FAILING, "0"),
    ],
)
def test_all_must_pass_and_the_one_that_does_not_speaks(
    statuses: tuple[HealthStatus, ...], expected: HealthStatus, said: str
) -> None:
    found = verdict(*statuses)
    assert (found.status, found.detail) == (expected, said)


def test_of_two_that_fail_the_one_that_may_end_it_counts() -> None:
    spared = Health(status=FAILING, spared=True, detail="spared")
    lethal = Health(status=FAILING, detail="lethal")
    assert together([spared, lethal]).detail == "lethal"
    assert together([spared, Health(status=PASSING)]).spared


def test_failures_and_passes_are_those_of_the_worst() -> None:
    found = together([Health(passes=3, failures=0), Health(passes=0, failures=2, unchecked="why")])
    assert (found.passes, found.failures, found.unchecked) == (0, 2, "why")


@pytest.mark.parametrize("consecutive", [0, 1, 3])
def test_marathons_count_of_failures_is_one_less_than_ends_an_instance(consecutive: int) -> None:
    """`maxConsecutiveFailures` m: the task is killed on failure number m + 1; 0 never kills."""
    check = HealthCheck(unhealthy_threshold=consecutive + 1, lethal=consecutive > 0)
    health = judge(Health(), CheckResult(at_ms=0, passed=True, detail=""), check, started_at_ms=0)
    for nth in range(1, consecutive + 2):
        assert health.status is PASSING
        failure = CheckResult(at_ms=nth, passed=False, detail="")
        health = judge(health, failure, check, started_at_ms=0)
    assert health.status is FAILING
    assert health.spared is (consecutive == 0)


def test_the_grace_period_is_over_with_the_first_pass() -> None:
    check = HealthCheck(start_period_s=300.0, interval_s=10.0, unhealthy_threshold=4)
    failure = CheckResult(at_ms=299_000, passed=False, detail="")
    never = Health()
    for _ in range(20):
        never = judge(never, failure, check, started_at_ms=0)
    assert never.status is UNKNOWN
    once = judge(Health(), CheckResult(at_ms=1000, passed=True, detail=""), check, started_at_ms=0)
    for _ in range(4):
        once = judge(once, failure, check, started_at_ms=0)
    assert once.status is FAILING


def test_what_may_not_be_ended_gets_no_traffic_and_lives() -> None:
    world = World(disturbed=True)
    world.deploy(revision("R1"), count=2)
    world.run()
    sick, well = (r.id for r in world.state.live)
    failing = Health(status=FAILING, failures=99, spared=True, detail="HTTP 500")
    world.health[sick] = failing
    world.run()
    assert {r.id: r.phase for r in world.state.live} == {sick: Phase.READY, well: Phase.READY}
    assert world.serving() == {well}
    world.health[sick] = replace(failing, spared=False)
    world.run()
    assert sick not in {r.id for r in world.state.live}
