"""How many to start, which to let go: the App moves from what runs to what should, within its bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from portway.core.app import StrategyKind
from portway.core.capacity import Capacity, capacity, replaces_in_place, two_sets
from portway.core.doubles import second_ids
from portway.core.draft import Draft
from portway.core.instance import InstanceRecord, Phase
from portway.core.lifecycle import has_completed, in_grace
from portway.core.node_rules import has_to_move, too_many
from portway.core.placement import Misfit
from portway.core.pooled import is_served_by_its_groups
from portway.core.protection import free_to_go
from portway.core.routes import EndpointState
from portway.core.routing import failing_among, unready_among
from portway.core.starting import may_start, start_instances
from portway.core.strategy import has_room, is_stepwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """The App's instances, sorted by what they are worth right now.

    `fresh`: current revision and staying; `stale`: another revision, or to be replaced. `serving`: healthy and, where
    the App has routes, confirmed behind them by the balancer.
    """

    count: int
    live: tuple[InstanceRecord, ...]
    fresh: tuple[InstanceRecord, ...]
    stale: tuple[InstanceRecord, ...]
    failing: frozenset[str]
    unready: frozenset[str]
    serving: frozenset[str]
    completed: int

    @property
    def sound(self) -> tuple[InstanceRecord, ...]:
        """Current instances that are not known to fail."""
        return tuple(r for r in self.fresh if r.id not in self.failing)


def take_census(draft: Draft) -> Census:
    """Count from what is, never from what was."""
    target = draft.state.target
    target_id = target.id if target is not None else None
    active = [r for r in draft.live if r.phase < Phase.DRAINING]
    moving = has_to_move(draft)
    fresh = [r for r in active if r.identity.revision == target_id and r.id not in moving]
    stale = [r for r in active if r.identity.revision != target_id or r.id in moving]
    ids = [r.id for r in active]
    ill, unready = failing_among(draft.observed, ids), unready_among(draft.observed, ids)
    failing = ill and frozenset(r.id for r in active if r.id in ill and not in_grace(draft, r))
    routed = _routed_ids(draft)
    here = (r for r in active if r.phase is Phase.READY and r.unreachable_since_ms is None)
    serving = {r.id for r in here} - ill - unready
    if routed is not None:
        # Whoever goes is missed on every listener that has it; whoever comes must be on all of them.
        leaving = {r.id for r in stale}
        serving &= {i for i, on_all in routed.items() if on_all or i in leaving}
    if draft.observed.pooled:
        serving = {r.id for r in active if r.id in serving and _is_pooled(draft, r)}
    completed = 0
    if len(draft.live) < len(draft.state.instances):
        ended = [r for r in draft.state.instances if r.phase is Phase.GONE]
        ended = [r for r in ended if r.identity.revision == target_id]
        completed = sum(1 for r in ended if has_completed(r) or _ran_once(draft, r))
    census = Census(
        count=draft.state.count if target is not None else 0,
        live=draft.live,
        fresh=tuple(fresh),
        stale=tuple(stale),
        failing=failing,
        unready=unready,
        serving=frozenset(serving),
        completed=completed,
    )
    return _without_seconds(draft, census)


def _without_seconds(draft: Draft, census: Census) -> Census:
    """Of a slot that is filled twice one is stale: its replacement is in another slot."""
    if len({r.identity.slot for r in census.fresh}) == len(census.fresh):
        return census
    seconds = second_ids(
        draft,
        census.fresh,
        failing=census.failing,
        serving=census.serving,
        bounds=bounds_of(draft, census.count),
    )
    fresh = tuple(r for r in census.fresh if r.id not in seconds)
    stale = tuple(r for r in census.fresh if r.id in seconds)
    return replace(census, fresh=fresh, stale=(*census.stale, *stale))


def _ran_once(draft: Draft, record: InstanceRecord) -> bool:
    """Whether the instance was the only one its slot gets; one that was moved off a taken port never ran."""
    app = draft.app
    return (
        app is not None
        and app.runs_once
        and (record.failed or record.draining_at_ms is not None or record.started_at_ms is not None)
    )


def _routed_ids(draft: Draft) -> dict[str, bool] | None:
    """The instances the balancer confirms on a listener, and whether on every one meant for them.

    None when the App has no routes.
    """
    if not draft.routes:
        return None
    served = draft.observed.served or {}
    confirmed: set[str] = set()
    missed: set[str] = set()
    for route in draft.routes:
        have = served.get(route.key)
        ready = {
            e.instance_id
            for e in (have.endpoints if have else ())
            if e.state is EndpointState.READY
        }
        meant = {e.instance_id for e in route.endpoints}
        confirmed |= meant & ready
        missed |= meant - ready
    return {instance_id: instance_id not in missed for instance_id in confirmed}


def _is_pooled(draft: Draft, record: InstanceRecord) -> bool:
    return is_served_by_its_groups(draft.state, draft.observed, record)


def plan_rollout(draft: Draft) -> None:
    """Let go of what is too much or stale, then start what is missing."""
    census, before = take_census(draft), draft.state
    if _call_off(draft, census):
        census = take_census(draft)
    bounds = bounds_of(draft, census.count)
    _let_go(draft, census, bounds)
    _start(draft, census if draft.state is before else take_census(draft), bounds)
    if draft.state is before:
        _say_when_stuck(draft, census, bounds)


def _say_when_stuck(draft: Draft, census: Census, bounds: Capacity) -> None:
    """Bounds that are kept to the letter can leave a deployment nothing to do: 3 instances, 100 % to 125 %."""
    if draft.app is None or not draft.app.rollout.strict_bounds or not census.stale:
        return
    waits = any(r.phase is not Phase.READY for r in census.live)
    if not waits and missing(census) and len(census.live) >= bounds.maximum_live:
        rollout = draft.app.rollout
        draft.block(
            f"nothing may start and nothing may stop: of {census.count}, at least {bounds.minimum_healthy} "
            f"({rollout.minimum_percent}%) stay and at most {bounds.maximum_live} ({rollout.maximum_percent}%) run",
            code=Misfit.BOUNDS,
        )


def bounds_of(draft: Draft, count: int) -> Capacity:
    """The App's minimum and maximum; a blue-green has room for both sets whatever the manifest says."""
    if draft.app is None:
        return Capacity(minimum_healthy=0, maximum_live=0)
    one_at_a_time = not has_room(draft.state) and replaces_in_place(
        draft.app, count=count, nodes=sum(1 for node in draft.observed.nodes if node.available)
    )
    bounds = capacity(count, draft.app.rollout, one_at_a_time=one_at_a_time)
    deployment = draft.state.deployment
    if deployment is None or not is_stepwise(draft.state):
        return bounds
    if deployment.strategy.kind is StrategyKind.BLUE_GREEN:
        return two_sets(bounds, count, deployment.from_count or 0)
    return bounds


def _call_off(draft: Draft, census: Census) -> bool:
    """Stale ones that were never started have nothing to wait for: their image may not exist."""
    if draft.state.halted or draft.state.target is None:
        return False
    unstarted = [r for r in census.stale if r.phase is Phase.PLANNED]
    _drain_stale(draft, unstarted)
    return bool(unstarted)


def _let_go(draft: Draft, census: Census, bounds: Capacity) -> None:
    if draft.state.halted and census.stale and draft.state.target is not None:
        # Nothing will come in their place.
        return
    if not sees_who_serves(draft):
        return
    fresh_serving = [r for r in census.fresh if r.id in census.serving]
    if len(fresh_serving) + census.completed >= census.count:
        _drain_stale(
            draft, free_to_go(draft, census.stale, failing=census.failing, wanted=len(census.stale))
        )
        _drain_surplus(draft, census)
        return
    excess = len(census.serving) - census.count
    leaving = sum(1 for r in census.live if r.phase >= Phase.DRAINING)
    room = len(census.live) - leaving + missing(census) - bounds.maximum_live
    spare = len(census.serving) - bounds.minimum_healthy
    allowed = max(0, min(spare, max(excess, room)))
    if not drain_stale(draft, census, serving_allowed=allowed, room=room):
        # Of the old none may go, so one that fails has to, or nothing would ever move.
        _drain_failing(draft, census, room=room)
        _drain_unready_surplus(draft, census)


def sees_who_serves(draft: Draft) -> bool:
    """Whether the balancer could be read; while it cannot, nobody is known to be idle, so nobody is let go for it."""
    if draft.observed.served is not None or not (draft.routes or draft.observed.pooled):
        return True
    draft.wake_at(draft.now_ms + 1000)
    return False


def _drain_stale(draft: Draft, records: Sequence[InstanceRecord]) -> None:
    for record in records:
        draft.advance(record, Phase.DRAINING, reason=_successor(draft, record))


def _successor(draft: Draft, record: InstanceRecord) -> str:
    """Why a stale instance leaves, as a phrase."""
    target = draft.state.target
    if target is not None and record.identity.revision == target.id:
        if record.id in has_to_move(draft):
            return f"its node {record.identity.node} is being drained"
        return f"another instance fills slot {record.identity.slot} as well"
    return f"release {target.release} takes its place" if target else "its app is deleted"


def _drain_all(draft: Draft, records: Sequence[InstanceRecord], reason: str) -> None:
    for record in records:
        draft.advance(record, Phase.DRAINING, reason=reason)


def _drain_surplus(draft: Draft, census: Census) -> None:
    """Too many current ones: failing first, then those not serving, then as the App chooses among the others."""
    surplus = len(census.fresh) - census.count
    if surplus <= 0:
        return
    first = {r.identity.slot: r.id for r in sorted(census.fresh, key=_is_worth_less(census))}
    order = sorted(
        census.fresh,
        key=lambda r: (
            r.id not in census.failing,
            r.id in census.serving,
            *_by_choice(draft, r, is_first=first[r.identity.slot] == r.id),
        ),
    )
    order = free_to_go(draft, order, failing=census.failing, wanted=surplus)
    for record in too_many(draft, order, min(surplus, len(order)), serving=census.serving):
        failing = record.id in census.failing
        health = draft.observed.health.get(record.id)
        detail = f"unhealthy: {health.detail}" if failing and health else "scaled down"
        draft.advance(record, Phase.DRAINING, reason=detail, failed=failing)


def _by_choice(draft: Draft, record: InstanceRecord, *, is_first: bool) -> tuple[int, ...]:
    """Of those that serve alike: a slot's second, then the highest slots; or the oldest, where the App says so."""
    if draft.app is not None and draft.app.kill_oldest:
        return (record.identity.serial,)
    return (is_first, -record.identity.slot, record.identity.serial)


def _is_worth_less(census: Census) -> Callable[[InstanceRecord], tuple[bool, bool, int]]:
    """An order in which the one to keep of a slot comes last."""
    return lambda r: (r.id not in census.failing, r.id in census.serving, -r.identity.serial)


def drain_stale(draft: Draft, census: Census, *, serving_allowed: int, room: int) -> int:
    """Stale ones leave as replacements serve, or to make room where the maximum leaves none; how many do.

    One that serves nobody is let go first, but only for room: it may be about to recover. Those that
    were never healthy go before one that only fails its check, for it may be all that answers.
    """
    stale = free_to_go(draft, census.stale, failing=census.failing)
    idle = [r for r in stale if r.id not in census.serving]
    idle.sort(key=lambda r: r.phase is Phase.READY)
    idle_leaving = idle[: max(0, room)]
    _drain_stale(draft, idle_leaving)
    replaced = {r.identity.slot for r in census.fresh if r.id in census.serving}
    serving = sorted(
        (r for r in stale if r.id in census.serving),
        key=lambda r: (r.identity.slot not in replaced, -r.identity.slot),
    )
    allowed = max(0, serving_allowed - len(idle_leaving)) if room > 0 else serving_allowed
    _drain_stale(draft, serving[:allowed])
    return len(idle_leaving) + len(serving[:allowed])


def _drain_failing(draft: Draft, census: Census, *, room: int) -> None:
    """A failing current one goes before its replacement only where the maximum leaves no room for both."""
    room = in_place(census, room)
    for record in sorted(census.fresh, key=lambda r: r.identity.serial):
        if room <= 0:
            return
        if record.id in census.failing:
            drain_failed(draft, record)
            room -= 1


def in_place(census: Census, room: int) -> int:
    """How many failing ones may leave before their replacements come: half of the App stays whatever its checks say.

    Where all fail, something has to go on answering; where the checks err, little is lost until they do not.
    """
    settled = sum(1 for r in (*census.fresh, *census.stale) if r.phase is Phase.READY)
    staying = census.count - max(1, census.count // 2)
    return max(0, min(room, settled - staying))


def _drain_unready_surplus(draft: Draft, census: Census) -> None:
    """Too many that are well, while too few of them are ready: those that are not ready are the ones too many."""
    settled = [r for r in census.sound if r.phase is Phase.READY]
    idle = free_to_go(draft, [r for r in settled if r.id in census.unready])
    idle.sort(key=lambda r: -r.identity.slot)
    _drain_all(draft, idle[: max(0, len(settled) - census.count)], "scaled down")


def drain_failed(draft: Draft, record: InstanceRecord) -> None:
    """Let go of an instance because its check fails."""
    health = draft.observed.health.get(record.id)
    detail = f"unhealthy: {health.detail}" if health else "unhealthy"
    draft.advance(record, Phase.DRAINING, reason=detail, failed=True)


def missing(census: Census) -> int:
    """How many current instances there are too few."""
    return max(0, census.count - len(census.sound) - census.completed)


def _start(draft: Draft, census: Census, bounds: Capacity) -> None:
    wanted = missing(census)
    target = draft.state.target
    if not wanted or target is None:
        return
    if may_start(draft, target):
        room = min(bounds.maximum_live - len(census.live), _at_once(census, wanted))
        start_instances(draft, target, min(wanted, room, batch(draft, census)), count=census.count)


def _at_once(census: Census, wanted: int) -> int:
    """Of those that fail, at most half of the App is replaced at a time; empty places are all filled at once."""
    empty = max(0, census.count - len(census.fresh) - census.completed)
    starting = sum(1 for r in census.fresh if r.phase < Phase.READY)
    half = max(1, -(-census.count // 2))
    return empty + max(0, min(wanted - empty, half - starting))


def batch(draft: Draft, census: Census) -> int:
    """`parallelism` caps how many are on their way at once; `delay_s` keeps batches apart."""
    assert draft.app is not None
    rollout = draft.app.rollout
    if not rollout.parallelism:
        return census.count
    on_their_way = sum(1 for r in census.fresh if r.phase < Phase.READY)
    if on_their_way == 0 and rollout.delay_s and census.stale:
        ready_at = max((r.ready_at_ms or 0 for r in census.fresh), default=0)
        next_at = ready_at + int(rollout.delay_s * 1000)
        if ready_at and draft.now_ms < next_at:
            draft.wake_at(next_at)
            return 0
    return max(0, rollout.parallelism - on_their_way)
