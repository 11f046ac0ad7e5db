"""What the nodes mean for an App's instances: how many daemons, who has to move away, who goes when there are too many."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from portway.core.app import Placement
from portway.core.draft import Draft
from portway.core.instance import InstanceRecord
from portway.core.observed import emptied_nodes
from portway.core.placement import Ground, is_eligible, leaves_first
from portway.core.starting import ground_of


def count_daemons(draft: Draft) -> None:
    """A daemon's count is the number of nodes it belongs on; a listing without any node says nothing."""
    app, nodes = draft.app, draft.observed.nodes
    if app is None or not app.placement.daemon or not nodes:
        return
    count = sum(1 for node in nodes if is_eligible(node, app.placement))
    if count != draft.state.count:
        draft.change(count=count)


def has_to_move(draft: Draft) -> frozenset[str]:
    """The live instances whose node is being drained; one that runs once ends where it is."""
    emptied = emptied_nodes(draft.observed)
    if not emptied or draft.app is None or draft.app.runs_once:
        return frozenset()
    return frozenset(r.id for r in draft.live if r.identity.node in emptied)


def too_many(
    draft: Draft, order: Sequence[InstanceRecord], surplus: int, *, serving: Collection[str]
) -> list[InstanceRecord]:
    """Who goes of those that are too many: as `order` says, and of the serving ones as the strategies have it."""
    if draft.app is None or draft.app.placement == Placement():
        return list(order[:surplus])
    chosen = [r for r in order if r.id not in serving][:surplus]
    rest = [r for r in order if r.id in serving]
    ground = ground_of(draft)
    while len(chosen) < surplus:
        node = leaves_first(draft.app, _with(ground, rest))
        victim = next((r for r in rest if r.identity.node == node), rest[0])
        rest.remove(victim)
        chosen.append(victim)
    return chosen


def _with(ground: Ground, records: Sequence[InstanceRecord]) -> Ground:
    mine: dict[str, int] = {}
    for record in records:
        mine[record.identity.node] = mine.get(record.identity.node, 0) + 1
    known = {node.name for node in ground.nodes}
    return replace(ground, mine={name: n for name, n in mine.items() if name in known})
