"""The times a controller finds when it takes over: it was away, and the wall clock may have moved meanwhile. Pure."""

from __future__ import annotations

from dataclasses import replace

from portway.core.instance import InstanceRecord, Phase
from portway.core.state import AppState, Deployment, DeploymentStatus, Revision


def resumed(state: AppState, now_ms: int) -> AppState:
    """The App with times this clock can go by.

    Nothing lies in the future. What must happen in time (a deployment's progress, an instance's start) has
    its whole time again: while nobody looked nothing could be seen to happen. A step is observed anew.
    """
    return replace(
        state,
        target=_shared(state),
        deployment=_deployment(state.deployment, now_ms) if state.deployment else None,
        failures=tuple(replace(f, at_ms=min(f.at_ms, now_ms)) for f in state.failures),
        instances=tuple(_record(record, now_ms) for record in state.instances),
    )


def _shared(state: AppState) -> Revision | None:
    """The target as the very value among the revisions, where it is the same: to compare the two costs nothing."""
    known = state.revisions.get(state.target.id) if state.target else None
    return known if known == state.target else state.target


def _deployment(deployment: Deployment, now_ms: int) -> Deployment:
    running = deployment.status is DeploymentStatus.RUNNING
    return replace(
        deployment,
        started_at_ms=min(deployment.started_at_ms, now_ms),
        progressed_at_ms=now_ms if running else min(deployment.progressed_at_ms, now_ms),
        step_began_ms=_past(deployment.step_began_ms, now_ms),
        baking_since_ms=_anew(deployment.baking_since_ms, now_ms, running=running),
        paused_at_ms=_anew(deployment.paused_at_ms, now_ms, running=running),
    )


def _record(record: InstanceRecord, now_ms: int) -> InstanceRecord:
    if record.phase is Phase.GONE:
        return record
    starting = record.phase is Phase.STARTED
    return replace(
        record,
        started_at_ms=now_ms if starting else _past(record.started_at_ms, now_ms),
        ready_at_ms=_past(record.ready_at_ms, now_ms),
        draining_at_ms=_past(record.draining_at_ms, now_ms),
        stopping_at_ms=_past(record.stopping_at_ms, now_ms),
    )


def _anew(since_ms: int | None, now_ms: int, *, running: bool) -> int | None:
    return now_ms if running and since_ms is not None else _past(since_ms, now_ms)


def _past(at_ms: int | None, now_ms: int) -> int | None:
    return None if at_ms is None else min(at_ms, now_ms)
