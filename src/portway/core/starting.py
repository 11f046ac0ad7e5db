"""Start instances of a revision: whether now, on which node, in which slot, with which host ports."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from portway.core.app import App, Exposure, NetworkMode, Placement, PortSpec, Protocol
from portway.core.backoff import delay_of
from portway.core.draft import Draft
from portway.core.failures import BACK_OFF_FIRST_S, recent_failures, rounds
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase, instance_id
from portway.core.observed import emptied_nodes
from portway.core.placement import (
    NOTHING,
    Ground,
    Misfit,
    Refusal,
    demand_of,
    fitting,
    place,
)
from portway.core.ports import ANY_ADDRESS, Lease, PortRefusal, PortRequest
from portway.core.routing import is_failing
from portway.core.state import AppState, Revision

BACK_OFF_MAX_S = 60.0
THROTTLE_MAX_S = 1620.0
CRASH_LOOP_FAILURES = 3


def may_start(draft: Draft, revision: Revision) -> bool:
    """Whether anything may start now; where not, the plan says why."""
    if draft.state.halted:
        draft.block(draft.state.halted)
        return False
    if draft.observed.waiting_for:
        draft.block(draft.observed.waiting_for)
        return False
    return not _backs_off(draft, revision)


def start_instances(draft: Draft, revision: Revision, number: int, *, count: int) -> None:
    """Decide on so many new instances of the revision, as far as nodes and ports allow."""
    for _ in range(number):
        if not _start_one(draft, revision, count):
            return


def is_crash_looping(state: AppState, *, now_ms: int) -> bool:
    """Whether instances of what should run die again and again, also while the latest try still lives."""
    if state.target is None:
        return False
    recent = recent_failures(state, state.target.id, now_ms=now_ms)
    if len(rounds(recent)) < CRASH_LOOP_FAILURES:
        return False
    return now_ms - recent[-1].at_ms < 2 * BACK_OFF_MAX_S * 1000


def _backs_off(draft: Draft, target: Revision) -> bool:
    """Crash loops slow down: 1 s, 2 s, 4 s ... up to a minute between replacements, or as the App says."""
    if target.app.backoff is not None:
        return _is_delayed(draft)
    if _is_throttled(draft, target):
        return True
    recent = recent_failures(draft.state, target.id, now_ms=draft.now_ms)
    if not recent:
        return False
    firsts = rounds(recent)
    delay_s = min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2.0 ** min(16, len(firsts) - 1))
    next_at = firsts[-1].at_ms + int(delay_s * 1000)
    if draft.now_ms >= next_at:
        return False
    wait_s = (next_at - draft.now_ms) / 1000
    loop = "crash looping: " if len(firsts) >= CRASH_LOOP_FAILURES else ""
    draft.block(f"{loop}the next try is in {wait_s:.0f} s, after: {recent[-1].reason}")
    draft.wake_at(next_at)
    return True


def _is_delayed(draft: Draft) -> bool:
    delay = delay_of(draft.state, now_ms=draft.now_ms)
    if delay is None or delay.is_over(draft.now_ms):
        return False
    wait_s = (delay.until_ms - draft.now_ms) / 1000
    draft.block(f"the next start is in {wait_s:.0f} s, after: {delay.reason}", code=Misfit.DELAYED)
    draft.wake_at(delay.until_ms)
    return True


def _is_throttled(draft: Draft, target: Revision) -> bool:
    """Instances that do not even run slow their own starts down to one in 27 minutes, where no deadline ends it (ECS).

    A new revision begins anew, and so does whoever has run.
    """
    if not target.app.rollout.is_patient:
        return False
    failures = [f for f in draft.state.failures if f.revision == target.id]
    in_a_row = 0
    for failure in reversed(failures):
        if not failure.never_started:
            break
        in_a_row += 1
    if not in_a_row:
        return False
    delay_s = min(THROTTLE_MAX_S, BACK_OFF_FIRST_S * 2.0 ** min(16, in_a_row - 1))
    next_at = failures[-1].at_ms + int(delay_s * 1000)
    if draft.now_ms >= next_at:
        return False
    wait_s = (next_at - draft.now_ms) / 1000
    draft.block(
        f"it does not start; the next try is in {wait_s:.0f} s, after: {failures[-1].reason}",
        code=Misfit.THROTTLED if in_a_row >= CRASH_LOOP_FAILURES else "",
    )
    draft.wake_at(next_at)
    return True


def _start_one(draft: Draft, target: Revision, count: int) -> bool:
    slot = _free_slot(draft, target, count)
    refusal: Refusal | None = None
    for node in _nodes_for(draft, target.app):
        if isinstance(node, Refusal):
            refusal = node
            break
        leases = draft.host_pool.propose(
            node,
            [
                _request(draft, spec, slot, node, target.app)
                for spec in target.app.ports
                if spec.leased
            ],
            now_ms=draft.now_ms,
            occupied=draft.observed.occupied,
            pending=draft.taken,
        )
        if not isinstance(leases, PortRefusal):
            _add(draft, target, slot, node, leases)
            return True
        refusal = refusal or Refusal(code=Misfit.PORTS, node=node, reason=leases.reason)
    assert refusal is not None
    draft.block(refusal.reason, code=refusal.code, node=refusal.node)
    draft.wake_at(draft.now_ms + 1000)
    return False


def _add(draft: Draft, target: Revision, slot: int, node: str, leases: tuple[Lease, ...]) -> None:
    serial = draft.state.next_serial
    identity = InstanceIdentity(
        id=instance_id(draft.state.app_id, slot=slot, serial=serial),
        app_id=draft.state.app_id,
        slot=slot,
        serial=serial,
        revision=target.id,
        release=target.release,
        node=node,
        leases=leases,
    )
    draft.add(InstanceRecord(identity=identity, planned_at_ms=draft.now_ms))


def _nodes_for(draft: Draft, app: App) -> Iterator[str | Refusal]:
    """The nodes to try, the best first; a Refusal where there is none."""
    ground = ground_of(draft)
    if app.placement != Placement():
        fit = fitting(app, ground)
        yield from (fit,) if isinstance(fit, Refusal) else fit
        return
    best = place(ground.nodes, app_instances=ground.mine, all_instances=ground.load)
    if best is None:
        yield Refusal(code=Misfit.NO_NODES, node="", reason="no node is available to run on")
        return
    yield best
    if len(ground.nodes) > 1:
        fit = fitting(app, ground)
        yield from () if isinstance(fit, Refusal) else (name for name in fit if name != best)


def has_node_for_one_more(draft: Draft, app: App) -> bool:
    """Whether some node would take one more instance, its ports apart."""
    return not isinstance(next(_nodes_for(draft, app)), Refusal)


def ground_of(draft: Draft) -> Ground:
    """What placing looks at, with what this very plan has added."""
    mine: dict[str, int] = {}
    for record in draft.live:
        mine[record.identity.node] = mine.get(record.identity.node, 0) + 1
    used = draft.observed.node_use
    known = {record.id for record in draft.before.instances}
    for record in draft.live:
        revision = draft.state.revisions.get(record.identity.revision)
        if record.id not in known and revision is not None:
            node = record.identity.node
            used = {**used, node: used.get(node, NOTHING).plus(demand_of(revision.app))}
    return Ground(
        nodes=draft.observed.nodes,
        mine=mine,
        load=draft.observed.node_load,
        used=used,
        groups=draft.observed.node_groups,
        bits=draft.state.next_serial,
        alike=_alike(draft),
        count=draft.state.count,
    )


def _alike(draft: Draft) -> tuple[str, ...]:
    """The nodes of the instances of what should run, the oldest first; those of older revisions do not count (Marathon)."""
    target = draft.state.target
    if target is None or not target.app.placement.constraints:
        return ()
    alike = [r for r in draft.live if r.identity.revision == target.id]
    alike.sort(key=lambda r: r.identity.serial)
    return tuple(r.identity.node for r in alike)


def _free_slot(draft: Draft, target: Revision, count: int) -> int:
    """The lowest slot that is empty; else the lowest whose instance fails or has to move."""
    emptied = emptied_nodes(draft.observed)
    there = [r for r in draft.live if r.identity.revision == target.id and r.phase < Phase.DRAINING]
    taken = {r.identity.slot for r in there}
    filled = {
        r.identity.slot
        for r in there
        if r.identity.node not in emptied and not is_failing(draft.observed, r.id)
    }
    slots = range(1, count + 1)
    empty = (slot for slot in slots if slot not in taken)
    return next(empty, next((slot for slot in slots if slot not in filled), count))


def _start_of(draft: Draft, slot: int) -> int:
    """Where in the range an instance begins to look: anywhere, and the same place for the same instance."""
    name = instance_id(draft.state.app_id, slot=slot, serial=draft.state.next_serial)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])


def _request(draft: Draft, spec: PortSpec, slot: int, node: str, app: App) -> PortRequest:
    """Sticky: the slot asks for the host port it had last on that node."""
    previous = [
        lease.host_port
        for r in draft.state.instances
        if r.identity.slot == slot and r.identity.node == node
        for lease in r.identity.leases
        if lease.port_name == spec.name
    ]
    everywhere = app.network_mode is NetworkMode.HOST or spec.exposure is Exposure.HOST
    published = ANY_ADDRESS if everywhere else draft.observed.publish_address
    return PortRequest(
        port_name=spec.name,
        protocol=Protocol(spec.protocol),
        container_port=spec.container_port,
        host_port=app.fixed_host_port(spec),
        preferred=previous[-1] if previous and not spec.shuffled else None,
        address=(spec.address or published) if spec.exposure is Exposure.HOST else published,
        ephemeral=spec.ephemeral,
        run=spec.run,
        start=_start_of(draft, slot) if spec.shuffled else None,
        same_as=spec.same_as,
    )
