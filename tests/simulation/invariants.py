"""What must hold whatever happens: one function an invariant, numbered as the design numbers them.

Safety is asked after every step that changed anything; liveness (9, 10) is asked by whoever ended the faults.
They count for themselves and borrow nothing from the code they judge.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from portway.core.app import Exposure, Protocol, StrategyKind
from portway.core.instance import InstanceRecord, Phase
from portway.core.plan import Plan
from portway.core.ports import Lease
from portway.core.routes import EndpointState, Route, RouteKey
from portway.core.state import AppState, DeploymentStatus

Check = TypeVar("Check", bound=Callable[..., None])
INVARIANTS: dict[str, Callable[..., None]] = {}


class BrokenError(AssertionError):
    """An invariant does not hold. `name` is the function that found out."""

    def __init__(self, name: str, detail: object) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name


def invariant(check: Check) -> Check:
    """Whatever it asserts is said under its name."""
    name = getattr(check, "__name__", "")

    @functools.wraps(check)
    def checked(*arguments: Any, **fields: Any) -> None:
        try:
            check(*arguments, **fields)
        except BrokenError:
            raise
        except AssertionError as error:
            raise BrokenError(name, error) from None

    INVARIANTS[name] = checked
    return checked  # type: ignore[return-value]


@invariant
def no_two_live_instances_share_a_port(apps: Iterable[AppState]) -> None:
    """1: nor do two ports of one instance."""
    seen: dict[tuple[str, str, int], str] = {}
    for state in apps:
        for record in state.live:
            for lease in record.identity.leases:
                key = (lease.node, lease.protocol.value, lease.host_port)
                assert key not in seen, f"{key} belongs to {seen[key]} and to {record.id}"
                seen[key] = record.id


@invariant
def enough_stay_serving(before: AppState, after: AppState, serving: Collection[str]) -> None:
    """2: no decision of ours takes the App below its minimum. `serving`: who the balancer has and nobody calls ill."""
    leaving = _let_go_by_us(before, after)
    if not leaving or after.target is None:
        return
    minimum, _ = bounds(after)
    left = sum(1 for record in after.live if record.phase is Phase.READY and record.id in serving)
    useful = [record_id for record_id in leaving if record_id in serving]
    assert left >= minimum or not useful, (
        f"{after.app_id} lets go of {useful} and keeps {left} of at least {minimum}"
    )


def _let_go_by_us(before: AppState, after: AppState) -> list[str]:
    """Healthy instances that leave now because the planner said so."""
    was = {record.id: record.phase for record in before.live}
    return [
        record.id
        for record in after.instances
        if record.phase in (Phase.DRAINING, Phase.STOPPING)
        and was.get(record.id) is Phase.READY
        and not record.failed
        and record.reason != "stopped by the user"
    ]


@invariant
def no_more_start_than_the_maximum(before: AppState, after: AppState) -> None:
    """3: whoever is added finds room below the maximum."""
    known = {record.id for record in before.instances}
    added = [r.id for r in after.instances if r.id not in known and r.phase is Phase.PLANNED]
    if not added:
        return
    _, maximum = bounds(after)
    assert len(after.live) <= maximum, (
        f"{after.app_id} has {len(after.live)} of at most {maximum} with {added}"
    )


def bounds(state: AppState) -> tuple[int, int]:
    """(at least serving, at most live), as the user asked for them."""
    assert state.target is not None, f"{state.app_id} is to run nowhere"
    rollout, count = state.target.app.rollout, state.count
    minimum = min(count, (count * rollout.minimum_percent + 99) // 100)
    maximum = max(count, count * rollout.maximum_percent // 100)
    if state.called_off:
        return 0, maximum
    if _two_sets_at_once(state) and state.deployment is not None:
        maximum = max(maximum, count + max(count, state.deployment.from_count or 0))
    if any(spec.host_port is not None for spec in state.target.app.ports):
        return max(0, min(minimum, count - 1)), maximum + 1
    return minimum, maximum + (1 if minimum == maximum else 0)


def _two_sets_at_once(state: AppState) -> bool:
    deployment = state.deployment
    return (
        deployment is not None
        and deployment.status is DeploymentStatus.RUNNING
        and deployment.strategy.kind is StrategyKind.BLUE_GREEN
        and deployment.from_revision not in (None, deployment.to_revision)
        and bool(deployment.from_count and state.count)
    )


@invariant
def nothing_is_stopped_while_routed(instance_id: str, routes: Mapping[RouteKey, Route]) -> None:
    """4: the balancer has let go of whatever is ended."""
    at = [key for key, route in routes.items() if instance_id in _ids(route)]
    assert not at, f"{instance_id} is ended while it serves {at}"


@invariant
def nothing_is_routed_that_never_was_healthy(
    routes: Iterable[Route], healthy: Collection[str]
) -> None:
    """4: no request is the first to try an instance."""
    strangers = [i for route in routes for i in _ids(route) if i not in healthy]
    assert not strangers, f"{strangers} are routed and have passed no check"


def _ids(route: Route) -> list[str]:
    return [endpoint.instance_id for endpoint in route.endpoints]


@invariant
def states_only_move_forward(before: AppState, after: AppState) -> None:
    """5: and serials are never used twice."""
    was = {record.id: record.phase for record in before.instances}
    back = [r.id for r in after.instances if r.id in was and r.phase < was[r.id]]
    assert not back, f"{back} went back"
    assert after.next_serial >= before.next_serial, (
        f"{after.app_id} counts again from an old serial"
    )
    again = [
        r.id
        for r in after.instances
        if r.id not in was and r.phase is Phase.PLANNED and r.identity.serial < before.next_serial
    ]
    assert not again, f"{again} have the serial of somebody else"


@invariant
def listeners_are_unique_and_stay(
    before: Mapping[str, AppState], after: Mapping[str, AppState]
) -> None:
    """6: a listener port belongs to one App, and stays its own over redeploys."""
    owners: dict[int, str] = {}
    for app_id, state in after.items():
        for name, number in state.service_ports.items():
            assert number not in owners, f"{number} is {owners[number]}'s and {app_id}'s"
            owners[number] = app_id
            known = before[app_id].service_ports.get(name, number) if app_id in before else number
            assert known == number, f"{name} of {app_id} moved from {known} to {number}"


@invariant
def rest_means_an_empty_plan(state: AppState, plan: Plan) -> None:
    """7: where nothing happens, nothing is planned."""
    assert plan.state == state, f"{state.app_id} rests, and yet {_changes(state, plan.state)}"
    assert not plan.actions, f"{state.app_id} rests, and yet {plan.actions}"
    assert not plan.events, f"{state.app_id} rests, and yet {plan.events}"


def _changes(before: AppState, after: AppState) -> str:
    names = [n for n in type(after).__dataclass_fields__ if getattr(before, n) != getattr(after, n)]
    return f"{', '.join(names)} would change"


@invariant
def planning_twice_gives_the_same_plan(one: Plan, other: Plan) -> None:
    """8: a plan depends on what it is made from, and on nothing else."""
    assert one == other, f"{one} and {other}"


@invariant
def everything_comes_to_rest(unrest: Sequence[str], within_s: float) -> None:
    """9 and 10: once the faults stop, from any interruption."""
    assert not unrest, f"after {within_s:g} s there is still: {'; '.join(unrest)}"


@invariant
def rest_leaves_no_orphan_and_no_double(
    apps: Mapping[str, AppState], in_engine: Collection[str], routes: Iterable[Route]
) -> None:
    """10: the engine runs what is recorded, each slot once, and the balancer serves nobody else."""
    records = {record.id for state in apps.values() for record in state.live}
    assert set(in_engine) == records, f"{sorted(set(in_engine) ^ records)} run or are recorded only"
    for state in apps.values():
        slots = [record.identity.slot for record in state.live]
        assert len(slots) == len(set(slots)), f"{state.app_id} fills a slot twice: {slots}"
    strangers = {i for route in routes for i in _ids(route)} - records
    assert not strangers, f"{strangers} are routed and unknown"


@invariant
def what_was_asked_for_runs(apps: Mapping[str, AppState], hopeless: Collection[str]) -> None:
    """10: as many as wanted of the revision wanted, unless its image cannot."""
    for state in apps.values():
        if state.target is None or state.halted or state.target.app.image in hopeless:
            continue
        ready = [r for r in state.live if r.phase is Phase.READY]
        completed = [r for r in state.instances if _completed(r, state)]
        assert len(ready) + len(completed) == state.count, (
            f"{state.app_id} has {len(ready)} of {state.count}"
        )
        assert {r.identity.revision for r in ready} <= {state.target.id}, (
            f"{state.app_id} runs an old revision"
        )


def _completed(record: InstanceRecord, state: AppState) -> bool:
    assert state.target is not None
    return (
        record.phase is Phase.GONE
        and record.exit_code == 0
        and not record.failed
        and record.draining_at_ms is None
        and record.identity.revision == state.target.id
    )


@invariant
def nothing_is_done_before_it_is_saved(
    instance_id: str, stored: AppState | None, *, at_least: Phase
) -> None:
    """Whoever comes after a crash must know of everything that may have been done."""
    record = next((r for r in stored.instances if r.id == instance_id), None) if stored else None
    assert record is not None, f"{instance_id} is acted on and not in the store"
    assert record.phase >= at_least, f"{instance_id} is acted on and stored as {record.phase.name}"


@invariant
def no_look_removes_more_than_half(
    before: AppState, after: AppState, really_running: Collection[str]
) -> None:
    """C10: one wrong answer never takes most of an App away, except of those that are more than was asked for."""
    was = {r.id for r in before.live if r.phase in (Phase.STARTED, Phase.READY)}
    now = {r.id: r for r in after.instances}
    vanished = [i for i in was if i in really_running and i in now and now[i].phase is Phase.GONE]
    assert 2 * len(vanished) <= len(was), f"{vanished} run and are given up on one look"
    ready = [r.id for r in before.live if r.phase is Phase.READY]
    condemned = [i for i in ready if i in really_running and i in now and now[i].failed]
    left = [i for i in ready if i in really_running and i in now and now[i].phase is Phase.READY]
    assert len(condemned) <= max(1, len(ready) // 2) or len(left) >= after.count, (
        f"{condemned} of {ready} are condemned at once"
    )


@invariant
def a_freed_port_rests(added: Iterable[Lease], resting: Mapping[object, int], now_ms: int) -> None:
    """P6: nobody gets a port that somebody gave back a moment ago."""
    for lease in added:
        until_ms = resting.get((lease.node, lease.protocol.value, lease.host_port), 0)
        assert lease.fixed or now_ms >= until_ms, (
            f"{lease.host_port} of {lease.node} is given out {until_ms - now_ms} ms too early"
        )


@invariant
def leases_are_what_the_records_hold(
    apps: Iterable[AppState], pool: Iterable[tuple[Lease, str]]
) -> None:
    """P9: the pool and the store know the same leases."""
    held = sorted(_key(lease) for s in apps for r in s.live for lease in r.identity.leases)
    pooled = sorted(_key(lease) for lease, _ in pool)
    assert held == pooled, f"records hold {held}, the pool {pooled}"


def _key(lease: Lease) -> tuple[str, str, int]:
    return lease.node, lease.protocol.value, lease.host_port


@invariant
def done_means_served(before: AppState, after: AppState, routes: Mapping[RouteKey, Route]) -> None:
    """A deployment that ends as done has its new instances behind every public listener it names."""
    target = after.target
    if target is None or not _has_just_become_done(before, after):
        return
    ready = {r.id for r in after.live if r.phase is Phase.READY}
    for spec in target.app.ports:
        if spec.exposure is Exposure.HOST or spec.protocol is not Protocol.TCP or not ready:
            continue
        for number in spec.service_ports[:1]:
            routed = {
                e.instance_id
                for key, route in routes.items()
                if key.service_port == number
                for e in route.endpoints
                if e.state is EndpointState.READY
            }
            assert routed & ready, f"{after.app_id} is deployed and nobody serves {number}"


def _has_just_become_done(before: AppState, after: AppState) -> bool:
    one, other = before.deployment, after.deployment
    if other is None or other.status is not DeploymentStatus.DONE:
        return False
    return one is None or one.id != other.id or one.status is not DeploymentStatus.DONE


@invariant
def nothing_breaks_inside(problems: Mapping[str, str], logged: Iterable[str]) -> None:
    """No assertion of ours fails and no exception is met that nobody expected."""
    ours = [text for text in problems.values() if "inside portway" in text]
    assert not [*ours, *logged], [*ours, *logged]
