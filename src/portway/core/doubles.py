"""Slots that are filled twice: the second instance makes way for one in a slot that is empty, or just leaves.

An instance recovers while its replacement comes up and another one dies: then the count is right, and a slot is empty.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from portway.core.capacity import Capacity
from portway.core.draft import Draft
from portway.core.instance import InstanceRecord, Phase
from portway.core.protection import is_protected
from portway.core.starting import has_node_for_one_more
from portway.core.strategy import is_running


def second_ids(
    draft: Draft,
    fresh: Sequence[InstanceRecord],
    *,
    failing: Collection[str],
    serving: Collection[str],
    bounds: Capacity,
) -> frozenset[str]:
    """Of two that are well and in one slot, those to go: who serves is kept, then who is protected, then the oldest.

    None while a deployment says who comes and goes, nor where the bounds or the nodes allow no replacement.
    """
    sound = [r for r in fresh if r.id not in failing]
    well = [r for r in sound if r.phase is Phase.READY]
    well.sort(key=lambda r: (r.id in serving, is_protected(r, draft.now_ms), -r.identity.serial))
    kept = {r.identity.slot: r.id for r in well}  # the last of each slot
    seconds = frozenset(r.id for r in well) - frozenset(kept.values())
    if not seconds or not _may_move(draft):
        return frozenset()
    return seconds if _is_replaceable(draft, sound, bounds) else frozenset()


def _may_move(draft: Draft) -> bool:
    if draft.app is None or draft.app.runs_once:
        return False
    return not (draft.state.halted or is_running(draft.state))


def _is_replaceable(draft: Draft, sound: Sequence[InstanceRecord], bounds: Capacity) -> bool:
    """Whether the replacement is there or on its way, or may come before the second one leaves, or after it."""
    count = draft.state.count
    if len({r.identity.slot for r in sound}) >= count:
        return True
    if bounds.maximum_live > count:
        return draft.app is not None and has_node_for_one_more(draft, draft.app)
    return bounds.minimum_healthy < count
