"""Instances whose node is away: waited for as long as their App says, then replaced (Marathon's unreachableStrategy)."""

from __future__ import annotations

from dataclasses import replace

from portway.core.draft import Draft
from portway.core.instance import EngineState, InstanceRecord, ObservedInstance, Phase
from portway.core.observed import is_away


def is_waited_for(draft: Draft, record: InstanceRecord, seen: ObservedInstance | None) -> bool:
    """Whether what is missing may still come back, so that nothing is concluded; the draft remembers since when."""
    runs = seen is not None and seen.state is EngineState.RUNNING
    if runs or not _may_be_waited_for(draft, record):
        if record.unreachable_since_ms is not None and runs:
            draft.amend(replace(record, unreachable_since_ms=None))
        return False
    if record.unreachable_since_ms is None:
        record = replace(record, unreachable_since_ms=draft.now_ms)
        draft.amend(record)
    short = record.id.rpartition("/")[2]
    away = f"{short} cannot be reached, because its node {record.identity.node} is away"
    until_ms = _until_ms(draft, record)
    if until_ms is None:
        draft.block(f"{away}; it is waited for, as its unreachableStrategy is disabled")
        return True
    if draft.now_ms >= until_ms:
        return False
    draft.block(f"{away}; it is replaced in {max(1, (until_ms - draft.now_ms) // 1000)} s")
    draft.wake_at(until_ms)
    return True


def _may_be_waited_for(draft: Draft, record: InstanceRecord) -> bool:
    revision = draft.state.revisions.get(record.identity.revision)
    return (
        Phase.STARTED <= record.phase < Phase.DRAINING
        and revision is not None
        and revision.app.unreachable is not None
        and is_away(draft.observed, record)
    )


def _until_ms(draft: Draft, record: InstanceRecord) -> int | None:
    strategy = draft.state.revisions[record.identity.revision].app.unreachable
    assert strategy is not None
    if strategy.inactive_after_s is None:
        return None
    return (record.unreachable_since_ms or draft.now_ms) + int(strategy.inactive_after_s * 1000)
