"""Metrics: what is counted, and when."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.telemetry.metrics import (
    DEPLOYMENT_SECONDS,
    DEPLOYMENTS_ENDED,
    REACTION_SECONDS,
    STEP_SECONDS,
    Metrics,
)
from portway.core.exposition import Histogram
from portway.core.state import AppState, Deployment, DeploymentStatus

RUNNING = AppState(
    app_id="shop/web",
    target=None,
    deployment=Deployment(id="D1", to_revision="R1", started_at_ms=1000, progressed_at_ms=1000),
)


def ended(status: DeploymentStatus) -> AppState:
    assert RUNNING.deployment is not None
    return replace(RUNNING, deployment=replace(RUNNING.deployment, status=status, ended_at_ms=4000))


def histogram(metrics: Metrics, family, *labels: str) -> Histogram:
    found = metrics.series(family)[labels]
    assert isinstance(found, Histogram)
    return found


def test_a_deployment_is_counted_once_when_it_ends():
    metrics, done = Metrics(), ended(DeploymentStatus.DONE)
    metrics.note_deployment(None, RUNNING)
    metrics.note_deployment(RUNNING, RUNNING)
    metrics.note_deployment(RUNNING, done)
    metrics.note_deployment(done, done)
    assert metrics.series(DEPLOYMENTS_ENDED)[("done",)] == 1
    assert histogram(metrics, DEPLOYMENT_SECONDS, "done").sum == 3


def test_a_deployment_that_another_takes_the_place_of_is_not_counted_as_ended_twice():
    metrics, failed = Metrics(), ended(DeploymentStatus.FAILED)
    assert failed.deployment is not None
    metrics.note_deployment(RUNNING, failed)
    metrics.note_deployment(failed, replace(failed, deployment=replace(failed.deployment, id="D2")))
    assert metrics.series(DEPLOYMENTS_ENDED)[("failed",)] == 1


def test_the_reaction_is_timed_from_the_first_event_to_the_confirmation():
    times = iter([10.0, 11.0, 10.004])
    metrics = Metrics(now_s=lambda: next(times))
    metrics.event_seen("shop/web", "health")
    metrics.event_seen("shop/web", "engine")
    times = iter([10.004])
    metrics.event_planned("shop/web")
    metrics.routes_confirmed("shop/web")
    assert round(histogram(metrics, REACTION_SECONDS, "health").sum, 6) == 0.004
    assert histogram(metrics, REACTION_SECONDS, "engine").counts == []


def test_an_event_that_asks_for_no_other_routes_is_not_timed():
    metrics = Metrics()
    metrics.event_seen("shop/web", "health")
    metrics.event_planned("shop/web")
    metrics.event_settled("shop/web")
    metrics.routes_confirmed("shop/web")
    assert histogram(metrics, REACTION_SECONDS, "health").counts == []


def test_what_happens_while_a_plan_is_carried_out_waits_for_the_next() -> None:
    metrics = Metrics()
    metrics.event_planned("shop/web")
    metrics.event_seen("shop/web", "health")
    metrics.routes_confirmed("shop/web")
    assert histogram(metrics, REACTION_SECONDS, "health").counts == []
    metrics.event_planned("shop/web")
    metrics.routes_confirmed("shop/web")
    assert sum(histogram(metrics, REACTION_SECONDS, "health").counts) == 1


def test_a_block_that_fails_is_timed_too():
    metrics = Metrics(now_s=iter([1.0, 3.0]).__next__)
    try:
        with metrics.timed(STEP_SECONDS):
            raise ValueError
    except ValueError:
        pass
    assert histogram(metrics, STEP_SECONDS).sum == 2
