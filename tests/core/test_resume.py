"""What a controller that takes over makes of the times it finds."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import App
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase
from portway.core.resume import resumed
from portway.core.state import AppState, Deployment, DeploymentStatus, Failure, Revision

NOW_MS = 1_000_000
HOUR_MS = 3_600_000


def record(phase: Phase, at_ms: int) -> InstanceRecord:
    identity = InstanceIdentity(
        id="shop/web.1.1", app_id="shop/web", slot=1, serial=1, revision="R", release="R", node="n"
    )
    times = {"started_at_ms": at_ms, "ready_at_ms": at_ms, "draining_at_ms": at_ms}
    return InstanceRecord(identity=identity, phase=phase, planned_at_ms=at_ms, **times)


def state(at_ms: int, *, phase: Phase = Phase.READY) -> AppState:
    return AppState(
        app_id="shop/web",
        target=None,
        instances=(record(phase, at_ms),),
        deployment=Deployment(id="D", to_revision="R", started_at_ms=at_ms, progressed_at_ms=at_ms),
        failures=(
            Failure(at_ms=at_ms, instance_id="shop/web.1.1", revision="R", reason="it fell"),
        ),
    )


def test_a_clock_that_went_back_leaves_nothing_in_the_future() -> None:
    after = resumed(state(NOW_MS + HOUR_MS, phase=Phase.DRAINING), NOW_MS)
    assert after.deployment is not None
    assert after.deployment.started_at_ms == after.failures[0].at_ms == NOW_MS
    assert after.instances[0].draining_at_ms == NOW_MS


def test_a_deployment_that_runs_has_its_whole_time_to_progress_again() -> None:
    after = resumed(state(NOW_MS - HOUR_MS), NOW_MS)
    assert after.deployment is not None
    assert after.deployment.progressed_at_ms == NOW_MS
    assert after.deployment.started_at_ms == NOW_MS - HOUR_MS


def test_a_step_is_observed_anew_and_a_pause_lasts_from_now_on() -> None:
    before = state(NOW_MS - HOUR_MS)
    assert before.deployment is not None
    since = {"baking_since_ms": NOW_MS - 5000, "paused_at_ms": NOW_MS + 5000, "step_began_ms": 1}
    after = resumed(replace(before, deployment=replace(before.deployment, **since)), NOW_MS)
    assert after.deployment is not None
    assert after.deployment.baking_since_ms == after.deployment.paused_at_ms == NOW_MS
    assert after.deployment.step_began_ms == 1


def test_an_instance_that_starts_has_its_whole_time_to_become_healthy_again() -> None:
    after = resumed(state(NOW_MS - HOUR_MS, phase=Phase.STARTED), NOW_MS)
    assert after.instances[0].started_at_ms == NOW_MS


def test_what_lies_in_the_past_stays_as_it_is() -> None:
    before = state(NOW_MS - HOUR_MS)
    assert before.deployment is not None
    done = replace(before.deployment, status=DeploymentStatus.DONE)
    before = replace(before, deployment=done)
    assert resumed(before, NOW_MS) == before


def test_the_target_is_the_very_value_among_the_revisions_where_it_is_the_same() -> None:
    kept = Revision(id="R", release="R", app=App(id="shop/web"))
    read_apart = replace(kept)
    at_rest = AppState(app_id="shop/web", target=read_apart, revisions={"R": kept})
    assert resumed(at_rest, NOW_MS).target is kept
    changed = replace(kept, app=App(id="shop/web", image="other"))
    assert resumed(replace(at_rest, target=changed), NOW_MS).target is changed
    assert resumed(replace(at_rest, revisions={}), NOW_MS).target is read_apart
