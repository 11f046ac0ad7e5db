"""Instances that somebody protects for a time: neither a smaller count nor a newer revision lets them go (ECS)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from portway.core.draft import Draft
from portway.core.instance import InstanceRecord
from portway.core.placement import Misfit


def is_protected(record: InstanceRecord, now_ms: int) -> bool:
    """Whether its protection has not run out yet."""
    return record.protected_until_ms is not None and now_ms < record.protected_until_ms


def free_to_go(
    draft: Draft,
    records: Sequence[InstanceRecord],
    *,
    failing: Collection[str] = (),
    wanted: int | None = None,
) -> list[InstanceRecord]:
    """Those of them that may be let go now: unprotected, or failing anyway. Of an App that is deleted all may.

    `wanted`: how many should go; where fewer may, the plan says why, and looks again when a protection ends.
    """
    if draft.state.target is None:
        return list(records)
    held = [r for r in records if r.id not in failing and is_protected(r, draft.now_ms)]
    if not held:
        return list(records)
    draft.wake_at(min(r.protected_until_ms or 0 for r in held))
    free = [r for r in records if r not in held]
    if wanted is not None and len(free) < wanted:
        draft.block(f"{len(held)} of its instances are protected and stay", code=Misfit.PROTECTED)
    return free
