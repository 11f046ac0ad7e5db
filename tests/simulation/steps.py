"""What must hold of deployments by steps, of pauses, of aborts and of readiness; one function an invariant, as beside it.

They count for themselves and borrow nothing from the code they judge.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from portway.core.app import Strategy, StrategyKind
from portway.core.instance import InstanceRecord, Phase
from portway.core.routes import EndpointState, Route
from portway.core.state import AppState, Deployment, DeploymentStatus
from tests.simulation.invariants import bounds, invariant

ENDED_BADLY = (DeploymentStatus.FAILED, DeploymentStatus.CANCELLED)
BY_THE_USER = "stopped by the user"


def running(state: AppState | None) -> Deployment | None:
    """The deployment that is under way."""
    deployment = state.deployment if state else None
    return deployment if deployment and deployment.status is DeploymentStatus.RUNNING else None


def by_steps(state: AppState, kind: StrategyKind) -> Deployment | None:
    """The running deployment, where it goes by the steps of this strategy."""
    deployment = running(state)
    if deployment is None or state.target is None or deployment.strategy.kind is not kind:
        return None
    if deployment.from_revision in (None, deployment.to_revision):
        return None
    if kind is StrategyKind.BLUE_GREEN and any(p.host_port for p in state.target.app.ports):
        return None
    return deployment if deployment.from_count and state.count else None


def shares(strategy: Strategy, count: int) -> list[int]:
    """How many new ones may serve at each step of a canary."""
    return sorted({max(1, (count * percent + 99) // 100) for percent in strategy.canary_percents})


def _share(state: AppState) -> int | None:
    """How many new ones may serve now; None when as many as there are."""
    deployment = by_steps(state, StrategyKind.CANARY)
    if deployment is None:
        return None
    all_of_them = shares(deployment.strategy, state.count)
    return all_of_them[deployment.step] if deployment.step < len(all_of_them) else None


def _active(state: AppState) -> list[InstanceRecord]:
    return [r for r in state.live if r.phase < Phase.DRAINING]


def _added(before: AppState, after: AppState) -> list[InstanceRecord]:
    known = {r.id for r in before.instances}
    return [r for r in after.instances if r.id not in known and r.phase is Phase.PLANNED]


def _let_go(before: AppState, after: AppState) -> list[InstanceRecord]:
    """Whoever was settled and leaves now, unless its user said so."""
    settled = {r.id for r in before.live if r.phase is Phase.READY}
    return [
        r
        for r in after.live
        if r.id in settled and r.phase >= Phase.DRAINING and r.reason != BY_THE_USER
    ]


@invariant
def a_pause_moves_nothing(
    before: AppState, after: AppState, *, sound: Collection[str], failing: Collection[str]
) -> None:
    """Who is well stays; only what the count lacks is started, of what ran before; no step is done."""
    one, other = running(before), running(after)
    if one is None or other is None or one.id != other.id or after.target is None:
        return
    if one.paused_at_ms is None or other.paused_at_ms is None:
        return
    leaving = [r.id for r in _let_go(before, after) if r.id in sound]
    assert not leaving, f"{after.app_id} is paused and lets go of {leaving}"
    assert one.step == other.step, f"{after.app_id} is paused and goes on to step {other.step}"
    if not (added := _added(before, after)):
        return
    proven = other.from_revision if other.from_revision in after.revisions else other.to_revision
    wrong = [r.id for r in added if r.identity.revision != proven]
    assert not wrong, f"{after.app_id} is paused and starts {wrong}, which are not of {proven}"
    well = [r.id for r in _active(after) if r.id not in failing]
    assert len(well) <= after.count, f"{after.app_id} is paused and has {well} of {after.count}"


@invariant
def a_step_takes_its_time(
    before: AppState, after: AppState, *, told: bool, now_ms: int, since_ms: int | None
) -> None:
    """One step at a time, each observed for its time or until somebody says so. `since_ms`: observed since then."""
    one, other = running(before), running(after)
    if one is None or other is None or one.id != other.id or one.step == other.step:
        return
    assert other.step == one.step + 1, f"{after.app_id} goes from step {one.step} to {other.step}"
    unseen = by_steps(before, StrategyKind.BLUE_GREEN) is not None and one.step == 0
    if unseen or (told and one.paused_at_ms is None):
        return
    assert not one.strategy.hold, f"{after.app_id} holds at step {one.step} and goes on"
    observed_ms = 0 if since_ms is None else now_ms - since_ms
    assert observed_ms >= one.strategy.bake_s * 1000, (
        f"{after.app_id} goes on from step {one.step}, observed for {observed_ms} ms"
    )


@invariant
def no_step_starts_more_than_its_own(
    before: AppState, after: AppState, *, failing: Collection[str]
) -> None:
    """Of the new revision a canary has as many as its step says."""
    share, deployment = _share(after), after.deployment
    if share is None or deployment is None:
        return
    added = [r.id for r in _added(before, after) if r.identity.revision == deployment.to_revision]
    new = [r for r in _active(after) if r.identity.revision == deployment.to_revision]
    well = [r.id for r in new if r.id not in failing]
    assert not added or len(well) <= share, f"{after.app_id} has {well}, and its share is {share}"


@invariant
def a_canary_gets_its_share(
    state: AppState, routes: Iterable[Route], *, out: Collection[str]
) -> None:
    """Of the traffic: so many new ones, and the old ones for all the rest."""
    share, deployment = _share(state), state.deployment
    if share is None or deployment is None:
        return
    whole = max(state.count, deployment.from_count or 0)
    for route in routes:
        new, old, resting = _sides(state, deployment, route, out)
        # Those that came up before the step was so small go on where nobody else keeps the minimum.
        needed = len(new) + len(old) <= bounds(state)[0] or not (old or resting)
        assert len(new) <= share or needed, (
            f"{new} get traffic, and the share is {share} of {state.count}"
        )
        left = max(1, state.count - len(new))
        assert len(old) >= min(left, len(old) + len(resting)), f"only {old} serve beside {new}"
        most = max(1, whole - len(new))
        assert not new or len(old) <= most, f"{old} take from the share of {new}"


@invariant
def a_blue_green_switches_at_once(
    state: AppState, routes: Iterable[Route], *, out: Collection[str]
) -> None:
    """New ones get nothing before the switch, and the old ones nothing after it while the new are whole."""
    deployment = by_steps(state, StrategyKind.BLUE_GREEN)
    if deployment is None:
        return
    for route in routes:
        new, old, resting = _sides(state, deployment, route, out)
        if deployment.step == 0:
            assert not new or not (old or resting), f"{new} get traffic before the switch"
        else:
            assert not old or len(new) < state.count, f"{old} get traffic after the switch"


def _sides(
    state: AppState, deployment: Deployment, route: Route, out: Collection[str]
) -> tuple[list[str], list[str], list[str]]:
    """(new ones with traffic, old ones with traffic, old ones that are well and have none) of a listener."""
    settled = {r.id: r.identity.revision for r in state.live if r.phase is Phase.READY}
    new: list[str] = []
    old: list[str] = []
    resting: list[str] = []
    for endpoint in route.endpoints:
        revision = settled.get(endpoint.instance_id)
        ready = endpoint.state is EndpointState.READY
        if revision is None or (endpoint.instance_id in out and not ready):
            continue
        if revision == deployment.to_revision:
            side = new if ready else []
        else:
            side = old if ready else resting
        side.append(endpoint.instance_id)
    return new, old, resting


@invariant
def who_is_not_ready_gets_no_traffic(
    state: AppState,
    routes: Iterable[Route],
    *,
    failing: Collection[str],
    unready: Collection[str],
) -> None:
    """While half of the App is well at the least; more than that is asked twice first."""
    settled = [r.id for r in state.live if r.phase is Phase.READY]
    out = [i for i in settled if i in failing or i in unready]
    if 2 * len(out) > len(settled):
        return
    wrong = [
        e.instance_id
        for route in routes
        for e in route.endpoints
        if e.instance_id in out and e.state is EndpointState.READY
    ]
    assert not wrong, f"{wrong} get traffic, and said that they are not ready for it"


@invariant
def nobody_is_replaced_for_being_unready(
    before: AppState, after: AppState, *, failing: Collection[str], unready: Collection[str]
) -> None:
    """It is well, and will be ready; only of too many, or of two in one slot, it is the first to go."""
    if after.target is None or after.called_off:
        return
    mine, share = after.target.id, _share(after)
    was = [r for r in _active(before) if r.identity.revision == mine]
    settled = [r for r in was if r.phase is Phase.READY and r.id not in failing]
    slots = [r.identity.slot for r in settled]
    twice = {r.id for r in settled if slots.count(r.identity.slot) > 1}
    if len(was) <= (after.count if share is None else share):
        gone = [r.id for r in _let_go(before, after) if r.identity.revision == mine]
        wrong = [i for i in gone if i in unready and i not in failing and i not in twice]
        assert not wrong, f"{wrong} are let go of for not being ready"
    well = [r.id for r in _active(after) if r.identity.revision == mine and r.id not in failing]
    added = [r.id for r in _added(before, after) if r.identity.revision == mine]
    # One that came up at this very look may be the second of its slot.
    filled = [r.identity.slot for r in _active(after) if r.id in well and r.phase is Phase.READY]
    assert not added or len(well) <= after.count + len(filled) - len(set(filled)), (
        f"{added} are started beside {well} of {after.count}"
    )


@invariant
def nothing_is_routed_that_never_was_ready(
    routes: Iterable[Route], asked: Collection[str], ready: Collection[str]
) -> None:
    """Who has a check for it gets no request before it has passed it once."""
    early = [e.instance_id for route in routes for e in route.endpoints]
    early = [i for i in early if i in asked and i not in ready]
    assert not early, f"{early} are routed and have never said that they are ready"


@invariant
def an_ended_deployment_goes_back(before: AppState, after: AppState) -> None:
    """To the revision and the count that were before; where nothing was, nothing more is started."""
    rollout = after.target.app.rollout if after.target else None
    if rollout is not None and not rollout.breaker.rollback:
        return
    one, other = running(before), after.deployment
    if one is None or other is None or other.id != one.id or other.status not in ENDED_BADLY:
        return
    if after.target is None:
        return
    if one.from_revision is None or one.from_revision not in before.revisions:
        assert after.halted, f"{after.app_id} failed at first and goes on trying"
        return
    if one.from_revision == one.to_revision and other.status is DeploymentStatus.FAILED:
        return  # what was asked for is another count or listener, and may come about later
    found = (after.target.id, after.count)
    wanted = (one.from_revision, one.from_count if one.from_count is not None else after.count)
    assert found == wanted, f"{after.app_id} goes back to {found} and not to {wanted}"


@invariant
def a_newer_deployment_goes_back_to_what_came_up(before: AppState, after: AppState) -> None:
    """One that takes a running one over may fail too; what that had begun is nothing to go back to."""
    one, other = running(before), running(after)
    if one is None or other is None or one.id == other.id or after.target is None:
        return
    found, wanted = other.from_revision, one.from_revision
    assert found == wanted, f"{after.app_id} would go back to {found}, which is not {wanted}"


@invariant
def what_was_called_off_leaves(states: Sequence[AppState]) -> None:
    """An aborted first deployment leaves nothing of itself."""
    left = [
        r.id
        for state in states
        if state.called_off and state.target is not None
        for r in state.live
        if r.identity.revision == state.target.id
    ]
    assert not left, f"{left} were called off and run"
