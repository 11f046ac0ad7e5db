"""The verdict on a running deployment: done, failed, or not yet. A failed one goes back to what ran before."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import Rollout
from portway.core.capacity import failure_threshold
from portway.core.draft import Draft
from portway.core.instance import InstanceRecord, Phase
from portway.core.lifecycle import explained, is_absent_from_routes, standing
from portway.core.rollout import Census, take_census
from portway.core.routing import is_routed
from portway.core.state import AppState, Deployment, DeploymentStatus, Failure, Revision
from portway.core.strategy import is_midway, is_strict
from portway.core.trial import failed_requests, note_traffic_before


def judge_deployment(draft: Draft) -> None:
    """End the deployment once all of it serves and nothing old does any more, or once it cannot."""
    deployment = draft.state.deployment
    if deployment is None or deployment.status is not DeploymentStatus.RUNNING:
        return
    note_traffic_before(draft)
    deployment = draft.state.deployment or deployment
    failure = _failure_reason(draft, deployment)
    if failure:
        _fail(draft, deployment, failure)
    elif _is_done(draft):
        _finish(draft, deployment)
    elif not _stands_still(draft, deployment) and not _is_patient(draft):
        draft.wake_at(_deadline_ms(draft, deployment))


def deployment_failures(state: AppState, deployment: Deployment) -> tuple[Failure, ...]:
    """The instances of the new revision that failed since the deployment began, or where it says so since one was well."""
    resets = state.target is not None and state.target.app.rollout.breaker.reset
    since_ms = deployment.progressed_at_ms if resets else deployment.started_at_ms
    return tuple(
        failure
        for failure in state.failures
        if failure.revision == deployment.to_revision and failure.at_ms >= since_ms
    )


def _is_done(draft: Draft) -> bool:
    census = take_census(draft)
    if draft.state.target is None:
        return not census.live
    if not _is_complete(draft, census) or len(census.fresh) > census.count:
        return False
    fresh = {r.id for r in census.fresh}
    if any(r.id not in fresh and not _is_out_of_service(draft, r) for r in census.live):
        return False
    watched_until_ms = _watched_until_ms(draft, census)
    if draft.now_ms < watched_until_ms:
        draft.wake_at(watched_until_ms)
        return False
    return True


def _is_out_of_service(draft: Draft, record: InstanceRecord) -> bool:
    """Whether an old instance only has to end: it answers on listeners alone, and the balancer has let go of it.

    Of one without a listener, or with a port beside the balancer, nobody can say that it does nothing more.
    """
    target, revision = draft.state.target, draft.state.revisions.get(record.identity.revision)
    if record.phase is not Phase.STOPPING or target is None or revision is None:
        return False
    ports = revision.app.ports
    is_old, is_behind = revision.id != target.id, bool(ports) and all(map(is_routed, ports))
    return is_old and is_behind and is_absent_from_routes(draft, record)


def _is_complete(draft: Draft, census: Census) -> bool:
    """Whether all the new ones serve; what is left is to let the old ones go."""
    serving = sum(1 for r in census.fresh if r.id in census.serving)
    return serving + census.completed >= census.count and not is_midway(draft.state)


def _watched_until_ms(draft: Draft, census: Census) -> int:
    """Until when new instances that replaced old ones are watched (compose `monitor`); what fails by then still counts."""
    deployment = draft.state.deployment
    if draft.app is None or deployment is None or not draft.app.rollout.monitor_s:
        return 0
    if deployment.from_revision in (None, deployment.to_revision):
        return 0
    last_ms = max((r.ready_at_ms or 0 for r in census.fresh), default=0)
    return last_ms + int(draft.app.rollout.monitor_s * 1000)


def _failure_reason(draft: Draft, deployment: Deployment) -> str:
    failures = deployment_failures(draft.state, deployment)
    on_trial = tuple(f for f in failures if f.at_ms >= (deployment.step_began_ms or 0))
    if is_strict(draft.state) and (trial := _failed_trial(draft, on_trial)):
        return trial
    rollout = draft.app.rollout if draft.app is not None else Rollout()
    threshold = rollout.breaker.threshold
    if threshold is None:
        threshold = failure_threshold(draft.state.count, rollout.failure_ratio)
    if rollout.is_patient:
        return _tripped(failures, threshold) if rollout.breaker.enabled else ""
    failed = _given_up(draft, failures, threshold) if rollout.breaker.enabled else ""
    if failed:
        return failed
    if draft.now_ms >= _deadline_ms(draft, deployment) and not _stands_still(draft, deployment):
        return _stalled_reason(draft, failures)
    return ""


def _given_up(draft: Draft, failures: tuple[Failure, ...], threshold: int) -> str:
    """Why trying on is of no use, where somebody waits for it; "" while it may be."""
    hopeless = [f for f in failures if _is_hopeless(draft, f)]
    if hopeless:
        return hopeless[-1].reason
    given_up = [f for f in failures if f.never_healthy]
    # Each of these has had its whole start-up time; a second round would only keep the user waiting.
    if given_up and len(given_up) >= min(draft.state.count, threshold):
        return given_up[-1].reason
    return _tripped(failures, threshold)


def _tripped(failures: tuple[Failure, ...], threshold: int) -> str:
    """That the breaker's threshold is reached; "" while it is not."""
    if len(failures) < threshold:
        return ""
    return f"{len(failures)} instances failed; the last one: {failures[-1].reason}"


def _failed_trial(draft: Draft, failures: tuple[Failure, ...]) -> str:
    """Why the new instances that have traffic did not stand the trial; "" as long as they do."""
    if failures:
        return failures[-1].reason
    census = take_census(draft)
    for record in census.fresh:
        health = draft.observed.health.get(record.id)
        if record.phase is Phase.READY and record.id in census.failing and health is not None:
            name = record.id.rpartition("/")[2]
            return f"{name} became unhealthy: {explained(draft.observed, record.id, health.detail)}"
    return failed_requests(draft)


def _stands_still(draft: Draft, deployment: Deployment) -> bool:
    """Whether nothing is meant to become healthy: it is paused, a step is being observed, or only old ones are left."""
    if deployment.paused_at_ms is not None or deployment.baking_since_ms is not None:
        return True
    return draft.app is not None and _is_complete(draft, take_census(draft))


def _is_patient(draft: Draft) -> bool:
    return draft.app is not None and draft.app.rollout.is_patient


def _is_hopeless(draft: Draft, failure: Failure) -> bool:
    """An instance the engine refused to start for a reason that trying again cannot mend."""
    start = draft.observed.start_failures.get(failure.instance_id)
    return start is not None and start.retry_at_ms is None and not start.port_taken


def _stalled_reason(draft: Draft, failures: tuple[Failure, ...]) -> str:
    assert draft.app is not None
    seconds = draft.app.rollout.progress_deadline_s
    why = failures[-1].reason if failures else "; ".join(b.reason for b in draft.blocked)
    why = why or draft.observed.waiting_for or _unhealthy_detail(draft)
    return f"nothing became healthy for {seconds:.0f} s" + (f": {why}" if why else "")


def _unhealthy_detail(draft: Draft) -> str:
    for record in take_census(draft).fresh:
        if said := standing(draft.observed, record.id):
            return said
    return ""


def _deadline_ms(draft: Draft, deployment: Deployment) -> int:
    if draft.app is None:
        return draft.now_ms + 3_600_000
    # A step that is observed has the time for that besides; interrupted again and again, it has no more.
    observed_s = deployment.strategy.bake_s if is_midway(draft.state) else 0.0
    observed_s += draft.app.rollout.monitor_s
    return max(deployment.progressed_at_ms, _leaving_until_ms(draft)) + int(
        (draft.app.rollout.progress_deadline_s + observed_s) * 1000
    )


def _leaving_until_ms(draft: Draft) -> int:
    """How long old ones may take to make room: their connections and their stop have limits of their own."""
    until_ms = 0
    for record in draft.live:
        revision = draft.state.revisions.get(record.identity.revision)
        if record.phase not in (Phase.DRAINING, Phase.STOPPING) or revision is None:
            continue
        allowed_s = revision.app.stop_grace_s
        if record.phase is Phase.DRAINING:
            allowed_s += revision.app.rollout.drain_timeout_s
        since_ms = record.stopping_at_ms or record.draining_at_ms or 0
        until_ms = max(until_ms, since_ms + int(allowed_s * 1000))
    return until_ms


def _finish(draft: Draft, deployment: Deployment) -> None:
    done = replace(deployment, status=DeploymentStatus.DONE, ended_at_ms=draft.now_ms)
    draft.change(deployment=done, halted="")
    if draft.state.target is not None:
        census = take_census(draft)
        message = f"deployed: {len(census.serving)}/{census.count} healthy"
    else:
        message = "removed"
    draft.event("deployment.done", message, release=_release(draft))


def _fail(draft: Draft, deployment: Deployment, reason: str) -> None:
    failed = replace(
        deployment, status=DeploymentStatus.FAILED, ended_at_ms=draft.now_ms, reason=reason
    )
    release = _release(draft)
    draft.change(deployment=failed)
    draft.event("deployment.failed", f"failed: {reason}", release=release)
    if draft.app is not None and not draft.app.rollout.breaker.rollback:
        draft.change(
            halted=f"the deployment failed and is to go back nowhere, so nothing more is started: {reason}"
        )
        return
    go_back(draft, deployment, reason)


def go_back(draft: Draft, deployment: Deployment, reason: str) -> None:
    """Make what ran before the target again; without any, start nothing more."""
    before = revision_before(draft.state, deployment)
    if before is None:
        draft.change(halted=f"the first deployment failed, so nothing more is started: {reason}")
    elif deployment.release or before.id != deployment.to_revision:
        draft.change(target=before, count=count_before(draft.state, deployment))
        draft.event(
            "deployment.reverted", f"going back to {before.release}", release=before.release
        )


def revision_before(state: AppState, deployment: Deployment) -> Revision | None:
    """What the App was aimed at before the deployment; None when that was nothing."""
    before = state.revisions.get(deployment.from_revision or "")
    if before is None or deployment.from_app is None:
        return before
    return replace(before, app=deployment.from_app)


def count_before(state: AppState, deployment: Deployment) -> int:
    """The count the App had before the deployment."""
    return state.count if deployment.from_count is None else deployment.from_count


def _release(draft: Draft) -> str:
    return draft.state.target.release if draft.state.target else ""
