"""A release on trial is judged by its requests: enough of them, against the old ones', and only those since it began."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.core.app import Strategy, StrategyKind
from portway.core.routes import Endpoint, ServedEndpoint
from portway.core.state import Deployment, DeploymentStatus
from portway.core.traffic import Traffic
from portway.core.trial import LOOK_AGAIN_MS, percent_failed, verdict
from tests.simulation.world import World, revision

CANARY = Strategy(kind=StrategyKind.CANARY, canary_percents=(50,), bake_s=30)
BLUE_GREEN = Strategy(kind=StrategyKind.BLUE_GREEN, bake_s=30)


def counted(requests: int, failed: int) -> Traffic:
    return Traffic(requests=requests, errors_5xx=min(requests, failed))


COUNTS = st.builds(counted, st.integers(0, 500), st.integers(0, 500))


def judged(new: Traffic, old: Traffic, *, allowed: float = 5, requests_min: int = 20) -> str:
    return verdict(new, old, allowed_percent=allowed, requests_min=requests_min)


def test_the_sentence_names_the_figures_of_both_and_what_went_wrong() -> None:
    new = Traffic(requests=40, errors_5xx=9, redispatched=2, not_connected=1)
    assert judged(new, Traffic(requests=360, errors_5xx=1)) == (
        "12 of 40 requests (30%) to the new release failed (9 answered 5xx, 3 could not connect), "
        "1 of 360 requests (0.3%) to the old; at most 5% more may fail (portway.deploy.max_failed)"
    )


def test_where_nobody_asked_the_old_ones_the_sentence_says_so() -> None:
    said = judged(Traffic(requests=20, broken_off=20), Traffic())
    assert "20 of 20 requests (100%) to the new release failed (20 broke off), none to the" in said


@pytest.mark.parametrize(
    ("new", "old", "condemned"),
    [
        ((19, 19), (100, 0), False),  # too few to tell
        ((20, 20), (100, 0), True),
        ((100, 5), (100, 0), False),  # exactly what may be
        ((100, 6), (100, 0), True),
        ((100, 30), (100, 30), False),  # no worse than before
        ((100, 36), (100, 30), True),
        ((100, 0), (100, 100), False),
        ((0, 0), (0, 0), False),
    ],
)
def test_more_failing_than_of_the_old_ones_condemns_it_once_there_were_enough(
    new: tuple[int, int], old: tuple[int, int], condemned: bool
) -> None:
    counts = [Traffic(requests=requests, errors_5xx=failed) for requests, failed in (new, old)]
    assert bool(judged(*counts)) is condemned


@given(COUNTS, COUNTS)
def test_a_release_no_worse_than_the_old_one_is_never_condemned(one: Traffic, two: Traffic) -> None:
    worse, better = sorted((one, two), key=percent_failed, reverse=True)
    assert not judged(better, worse, allowed=0, requests_min=1) or not better.requests
    assert not judged(worse, better, allowed=100, requests_min=1)


@given(COUNTS, COUNTS, st.integers(0, 100))
def test_one_more_failure_never_acquits(new: Traffic, old: Traffic, allowed: int) -> None:
    more = replace(new, errors_5xx=min(new.requests, new.errors_5xx + 1))
    if judged(new, old, allowed=allowed):
        assert judged(more, old, allowed=allowed)


def test_more_failures_than_requests_are_all_of_them() -> None:
    assert percent_failed(Traffic(requests=3, broken_off=2, errors_5xx=3)) == 100


@dataclass
class Counting(World):
    """A world whose balancer counts by instance."""

    counted: dict[str, Traffic] = field(default_factory=dict)

    def _served_endpoint(self, endpoint: Endpoint) -> ServedEndpoint:
        served = super()._served_endpoint(endpoint)
        return replace(served, traffic=self.counted.get(endpoint.instance_id, Traffic()))

    def count(self, release: str, requests: int, errors: int) -> None:
        """So many more requests to each instance of a release."""
        for record in self.state.live:
            if record.identity.revision == release:
                known = self.counted.get(record.id, Traffic())
                more = Traffic(requests=requests, errors_5xx=errors)
                self.counted[record.id] = known + more

    @property
    def deployment(self) -> Deployment:
        assert self.state.deployment is not None
        return self.state.deployment

    def settle(self) -> None:
        """As far as it goes without time passing."""
        for _ in range(20):
            self.check_health()
            self.step()


def redeploying(strategy: Strategy, *, errors_before: int = 0) -> Counting:
    """R1 has served, R2 is on trial."""
    world = Counting()
    world.deploy(revision("R1"), count=2)
    world.run()
    world.count("R1", 1000, errors_before)
    world.deploy(revision("R2"), count=2)
    deployment = replace(world.deployment, strategy=strategy)
    world.state = replace(world.state, deployment=deployment)
    world.disturbed = True  # the maximum of a blue-green is not the manifest's
    world.settle()
    return world


@pytest.mark.parametrize("strategy", [CANARY, BLUE_GREEN], ids=["canary", "blue-green"])
def test_a_release_on_trial_whose_requests_fail_goes_back_at_once(strategy: Strategy) -> None:
    world = redeploying(strategy)
    world.count("R1", 50, 0)
    world.count("R2", 50, 25)
    world.step()
    assert world.deployment.status is DeploymentStatus.FAILED
    assert "requests (50%) to the new release failed (" in world.deployment.reason
    world.settle()
    assert {world.instances[i].identity.revision for i in world.serving()} == {"R1"}


def test_what_was_counted_before_the_deployment_is_not_judged() -> None:
    world = redeploying(CANARY, errors_before=1000)
    world.count("R1", 50, 0)
    world.count("R2", 50, 5)
    world.step()
    assert world.deployment.status is DeploymentStatus.FAILED


def test_a_release_that_fails_as_often_as_the_old_one_goes_on() -> None:
    world = redeploying(CANARY)
    world.count("R1", 50, 25)
    world.count("R2", 50, 25)
    world.now_ms += 30_000
    world.settle()
    assert world.deployment.status is not DeploymentStatus.FAILED
    assert world.deployment.step == 1


def test_a_release_past_its_steps_is_not_judged_for_the_old_ones_leave() -> None:
    world = redeploying(CANARY)
    world.now_ms += 30_000
    world.settle()
    assert world.deployment.step == 1
    world.count("R2", 50, 50)
    world.run()
    assert world.deployment.status is DeploymentStatus.DONE


def test_a_paused_release_whose_requests_fail_goes_back() -> None:
    world = redeploying(CANARY)
    paused = replace(world.deployment, paused_at_ms=world.now_ms)
    world.state = replace(world.state, deployment=paused)
    world.count("R2", 50, 25)
    world.step()
    assert world.deployment.status is DeploymentStatus.FAILED


def test_a_balancer_that_does_not_answer_condemns_nobody() -> None:
    world = redeploying(CANARY)
    world.count("R2", 50, 50)
    world.balancer_answers = False
    world.step()
    assert world.deployment.status is DeploymentStatus.RUNNING


def test_requests_are_looked_at_every_second_of_a_trial() -> None:
    world = redeploying(CANARY)
    assert world.plan().wake_at_ms == world.now_ms + LOOK_AGAIN_MS


def test_a_rolling_deployment_is_not_judged_by_its_requests() -> None:
    world = redeploying(Strategy())
    assert world.deployment.traffic_before is None
