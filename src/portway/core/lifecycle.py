"""What happened to each instance since the last look, turned into phases. Decides nothing about counts."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import App, Restart
from portway.core.containers import OUT_OF_MEMORY, waiting_for
from portway.core.draft import Draft
from portway.core.ecs.labels import origin_of
from portway.core.health import HealthStatus
from portway.core.instance import EngineState, InstanceRecord, ObservedInstance, Phase
from portway.core.observed import Observed, StartFailure
from portway.core.plan import RemoveInstance
from portway.core.pooled import endpoints_in_pools
from portway.core.routes import RouteKey
from portway.core.routing import is_failing
from portway.core.unreachable import is_waited_for

GONE_KEPT = 20
_SIGNALS = {
    134: "SIGABRT: it gave up",
    137: "SIGKILL: it was killed",
    139: "SIGSEGV: it crashed",
    143: "SIGTERM: it was told to end",
}


def note_what_happened(draft: Draft) -> None:
    """Bring every record up to what the engine and the checks say; adopt what runs without a record."""
    assert draft.observed.instances is not None
    _adopt(draft)
    for record in draft.live:
        _note(draft, record, draft.observed.instances.get(record.id))
    _clean_up(draft)


def _note(draft: Draft, record: InstanceRecord, seen: ObservedInstance | None) -> None:
    if is_waited_for(draft, record, seen) or _is_being_ended(draft, record, seen):
        return
    if seen is None:
        _note_absent(draft, record)
    elif seen.state is EngineState.EXITED:
        _note_exit(draft, record, seen)
    elif seen.state is EngineState.RUNNING:
        _note_running(draft, record)
    elif record.id in draft.observed.start_failures:
        _note_start_failure(draft, record, draft.observed.start_failures[record.id])
    elif record.phase < Phase.DRAINING:
        _note_waiting(draft, record, seen)


def _is_being_ended(draft: Draft, record: InstanceRecord, seen: ObservedInstance | None) -> bool:
    """Whether something is still being done about one that leaves: it holds its ports until that is over.

    Its start may be on the way, and what comes up after it is forgotten would be an orphan; its first process or
    container may have ended, and what that started be finishing its work.
    """
    ended = seen is None or seen.state is EngineState.EXITED
    return ended and record.phase >= Phase.DRAINING and record.id in draft.observed.underway


def _note_absent(draft: Draft, record: InstanceRecord) -> None:
    failure = draft.observed.start_failures.get(record.id)
    if record.phase is Phase.PLANNED:
        if failure is not None:
            _note_start_failure(draft, record, failure)
    elif record.phase >= Phase.DRAINING:
        draft.advance(record, Phase.GONE)
    else:
        reason = (
            "it disappeared from the engine (removed by someone else, or the machine restarted)"
        )
        draft.advance(record, Phase.GONE, reason=reason, failed=True)


def _note_start_failure(draft: Draft, record: InstanceRecord, failure: StartFailure) -> None:
    if record.phase >= Phase.DRAINING:
        draft.advance(record, Phase.GONE)
    elif failure.port_taken and not any(lease.fixed for lease in record.identity.leases):
        draft.advance(record, Phase.GONE, reason=f"{failure.reason}; another host port is tried")
        draft.event("port.moved", failure.reason, instance_id=record.id)
    elif failure.retry_at_ms is not None:
        draft.block(f"{_short(record)} cannot start yet: {failure.reason}")
        if failure.retry_at_ms > draft.now_ms:  # else it is being tried again at this moment
            draft.wake_at(failure.retry_at_ms)
    else:
        draft.advance(record, Phase.GONE, reason=failure.reason, failed=True)


def _note_waiting(draft: Draft, record: InstanceRecord, seen: ObservedInstance) -> None:
    """Say which of its containers waits for which; the next start goes on from there."""
    revision = draft.state.revisions.get(record.identity.revision)
    why = waiting_for(revision.app, seen.containers) if revision and seen.containers else ""
    if why:
        draft.block(f"{_short(record)} is not whole yet: {why}")


def _note_exit(draft: Draft, record: InstanceRecord, seen: ObservedInstance) -> None:
    wanted = record.phase >= Phase.DRAINING
    completed = not wanted and _is_completion(draft, record, seen)
    draft.advance(
        record,
        Phase.GONE,
        reason="it completed" if completed else _exit_reason(draft, record, seen),
        failed=not wanted and not completed,
        exit_code=seen.exit_code,
    )


def _is_completion(draft: Draft, record: InstanceRecord, seen: ObservedInstance) -> bool:
    revision = draft.state.revisions.get(record.identity.revision)
    may_end = revision is not None and revision.app.restart is not Restart.ALWAYS
    return may_end and seen.exit_code == 0


def _exit_reason(draft: Draft, record: InstanceRecord, seen: ObservedInstance) -> str:
    who = f"its container {seen.failed_container}" if seen.failed_container else "it"
    if seen.oom_killed:
        how = f"{who} {OUT_OF_MEMORY}"
    elif seen.error:
        how = f"{who}: {seen.error}" if seen.failed_container else seen.error
    elif seen.exit_code is None:
        how = f"{who} ended"
    else:
        revision = draft.state.revisions.get(record.identity.revision)
        app = revision.app if revision is not None else None
        how = f"{who} exited with code {seen.exit_code}{_meaning(seen.exit_code, app)}"
    return how + last_words(draft, record)


def _meaning(exit_code: int, app: App | None) -> str:
    """What an exit code says that is not plain from its number."""
    if exit_code == 0:
        return f", but it is meant to keep running ({_why_kept(app)})"
    if exit_code in _SIGNALS:
        return f" ({_SIGNALS[exit_code]})"
    return ""


def _why_kept(app: App | None) -> str:
    """In the language that the App was written in."""
    if app is not None and app.environment_form:
        return "what ends is started again, as Marathon does; `portway run` is for what ends"
    if app is not None and origin_of(app) is not None:
        return "a service starts again what ends; RunTask is for what ends"
    return "`restart: on-failure` lets it complete"


def last_words(draft: Draft, record: InstanceRecord) -> str:
    """The instance's last log lines, indented, to end a reason with."""
    words = draft.observed.last_words.get(record.id, "").strip()
    return "".join(f"\n    {line}" for line in words.splitlines()) if words else ""


def _note_running(draft: Draft, record: InstanceRecord) -> None:
    if record.phase >= Phase.READY:
        return
    health = draft.observed.health.get(record.id)
    is_well = health is not None and health.status is HealthStatus.PASSING
    if is_well and not _awaits_readiness(draft, record):
        draft.advance(record, Phase.READY)
        _note_progress(draft, record)
    elif record.phase is Phase.PLANNED:
        draft.advance(record, Phase.STARTED)
    elif is_failing(draft.observed, record.id) and health is not None:
        if in_grace(draft, record):
            return
        since_s = (draft.now_ms - (record.started_at_ms or draft.now_ms)) // 1000
        detail = explained(draft.observed, record.id, health.detail)
        reason = f"it did not become healthy within {since_s} s: {detail}"
        draft.advance(
            record, Phase.DRAINING, reason=reason + last_words(draft, record), failed=True
        )


def in_grace(draft: Draft, record: InstanceRecord) -> bool:
    """Whether failing checks do not end an instance: it is too young, and looked at again afterwards, or they never do."""
    revision = draft.state.revisions.get(record.identity.revision)
    health = draft.observed.health.get(record.id)
    if health is not None and health.spared:
        return True
    if revision is None or not revision.app.health_grace_s:
        return False
    began_ms = record.started_at_ms or draft.now_ms
    end_ms = began_ms + int(revision.app.health_grace_s * 1000)
    if draft.now_ms >= end_ms:
        return False
    draft.wake_at(end_ms)
    return True


def _awaits_readiness(draft: Draft, record: InstanceRecord) -> bool:
    """Whether an instance that starts has a readiness check and has not passed it: until then nothing is routed to it."""
    revision = draft.state.revisions.get(record.identity.revision)
    if revision is None or revision.app.readiness is None:
        return False
    readiness = draft.observed.readiness.get(record.id)
    return readiness is None or readiness.status is not HealthStatus.PASSING


def standing(observed: Observed, instance_id: str) -> str:
    """What the checks last said of an instance, as a phrase; "" when they said nothing."""
    health = observed.health.get(instance_id)
    readiness = observed.readiness.get(instance_id)
    if health is None or (health.status is HealthStatus.PASSING and readiness is not None):
        unready = readiness is not None and readiness.status is not HealthStatus.PASSING
        return f"not ready: {readiness.detail}" if unready and readiness else ""
    return explained(observed, instance_id, health.detail) if health.detail else ""


def explained(observed: Observed, instance_id: str, detail: str) -> str:
    """What a check said of an instance, with what was found out about it."""
    explanation = observed.explanations.get(instance_id, "")
    return "; ".join(part for part in (detail, explanation) if part)


def _note_progress(draft: Draft, record: InstanceRecord) -> None:
    """One that replaces a dead one of the old revision brings no deployment further."""
    deployment = draft.state.deployment
    if deployment is not None and record.identity.revision == deployment.to_revision:
        draft.change(deployment=replace(deployment, progressed_at_ms=draft.now_ms))


def _adopt(draft: Draft) -> None:
    """Take over what runs under this App's name without a record: a store restored from a backup, a lost save."""
    assert draft.observed.instances is not None
    known = {record.id for record in draft.state.instances}
    if draft.observed.instances.keys() <= known:
        return
    for seen in draft.observed.instances.values():
        identity = seen.identity
        if identity.app_id != draft.state.app_id or identity.slot == 0 or seen.id in known:
            continue
        draft.add(InstanceRecord(identity=identity, planned_at_ms=seen.started_at_ms or 0))
        draft.event(
            "instance.adopted",
            f"{seen.id.rpartition('/')[2]} was found running and taken over",
            instance_id=seen.id,
        )


def _clean_up(draft: Draft) -> None:
    """Remove from the engine what has ended; forget old records that nothing refers to."""
    assert draft.observed.instances is not None
    gone = [r for r in draft.state.instances if r.phase is Phase.GONE]
    for record in gone:
        seen = draft.observed.instances.get(record.id)
        if seen is None:
            continue
        # One that a wrong listing declared gone still serves; it ends as any other does, out of the routes.
        if seen.state is EngineState.RUNNING and not is_absent_from_routes(draft, record):
            draft.wake_at(draft.now_ms + 100)
            continue
        draft.act(RemoveInstance(instance_id=record.id))
    forgettable = [
        r for r in gone if r.id not in draft.observed.instances and not _is_completed(draft, r)
    ]
    for record in forgettable[: max(0, len(forgettable) - GONE_KEPT)]:
        draft.forget(record)


def _is_completed(draft: Draft, record: InstanceRecord) -> bool:
    target = draft.state.target
    return target is not None and record.identity.revision == target.id and has_completed(record)


def has_completed(record: InstanceRecord) -> bool:
    """Whether the instance ended by itself, successfully, and is not to be replaced."""
    return (
        record.phase is Phase.GONE
        and not record.failed
        and record.draining_at_ms is None
        and (record.exit_code == 0)
    )


def is_absent_from_routes(draft: Draft, record: InstanceRecord) -> bool:
    """Whether the balancer itself says that it does not serve the instance; False while it cannot say."""
    return draft.observed.served is not None and not connections_of(draft, record)


def connections_of(draft: Draft, record: InstanceRecord) -> dict[RouteKey, int]:
    """The listeners that still have the instance, and how many connections each keeps to it."""
    found = {
        key: endpoint.connections
        for key, route in (draft.observed.served or {}).items()
        for endpoint in route.endpoints
        if endpoint.instance_id == record.id
    }
    for key, endpoint in endpoints_in_pools(draft.observed, record.id):
        found[key] = found.get(key, 0) + endpoint.connections
    return found


def _short(record: InstanceRecord) -> str:
    return record.id.rpartition("/")[2]
