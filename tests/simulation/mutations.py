"""Portways that are broken on purpose, one rule each. A simulation that does not notice proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from portway.controller import loop, observer, promotion, settle, strangers
from portway.controller.loop import Controller
from portway.controller.observer import Observer
from portway.controller.ports.leases import Leases
from portway.controller.saving import Doubts
from portway.core import (
    capacity,
    deployment,
    draft,
    lifecycle,
    reconcile,
    rollout,
    routing,
    stepwise,
    strategy,
)
from portway.core.app import Strategy, StrategyKind
from portway.core.capacity import Capacity
from portway.core.draft import Draft
from portway.core.instance import InstanceRecord, Phase
from portway.core.observed import Observed
from portway.core.plan import Blocked, Plan
from portway.core.ports import Lease, PortPool
from portway.core.routes import Endpoint
from portway.core.state import AppState, DeploymentStatus
from portway.core.strategy import stepped
from tests.simulation import story
from tests.simulation.found import FOUND
from tests.simulation.histories import Step

Patch = tuple[object, str, Any]


def drain_before_routed() -> list[Patch]:
    return [(rollout, "_routed_ids", lambda _draft: None)]


def stop_while_routed() -> list[Patch]:
    return [(reconcile, "is_absent_from_routes", lambda _draft, _record: True)]


def no_hold_down() -> list[Patch]:
    free = PortPool.free

    def at_once(self: PortPool, leases: Any, **fields: Any) -> None:
        free(self, leases, **{**fields, "hold_down_ms": 0})

    return [
        (PortPool, "free", at_once),
        (Leases, "cooling_with", lambda _self, _freed, *, now_ms: ()),
    ]


def hold_down_forgotten_by_a_restart() -> list[Patch]:
    restore = Leases.restore

    def without(self: Leases, apps: Any, _cooling: Any, *, now_ms: int) -> None:
        restore(self, apps, (), now_ms=now_ms)

    return [(Leases, "restore", without)]


def act_before_save() -> list[Patch]:
    save = Controller._save_plan

    async def hasty(self: Controller, plan: Plan) -> None:
        self.executor.perform(plan.actions)
        await save(self, plan)

    return [(Controller, "_save_plan", hasty)]


def forget_a_lease() -> list[Patch]:
    take = Leases.take

    def most(self: Leases, leases: Sequence[Lease], owner: str) -> None:
        take(self, leases[1:], owner)

    return [(Leases, "take", most)]


def leases_forgotten_by_a_restart() -> list[Patch]:
    restore = Leases.restore

    def without(self: Leases, _apps: Any, cooling: Any, *, now_ms: int) -> None:
        restore(self, (), cooling, now_ms=now_ms)

    return [(Leases, "restore", without)]


def route_before_healthy() -> list[Patch]:
    endpoint = routing._endpoint

    def early(record: InstanceRecord, *others: Any) -> Endpoint | None:
        if record.phase is Phase.STARTED:
            record = replace(record, phase=Phase.READY, ready_at_ms=1)
        return endpoint(record, *others)

    return [(routing, "_endpoint", early)]


def start_above_the_maximum() -> list[Patch]:
    def generous(*arguments: Any, **fields: Any) -> Capacity:
        right = capacity.capacity(*arguments, **fields)
        return replace(right, maximum_live=right.maximum_live + 1)

    return [(rollout, "capacity", generous)]


def drain_below_the_minimum() -> list[Patch]:
    def careless(*arguments: Any, **fields: Any) -> Capacity:
        return replace(capacity.capacity(*arguments, **fields), minimum_healthy=0)

    return [(rollout, "capacity", careless)]


def an_unread_balancer_serves_nobody() -> list[Patch]:
    let_go = rollout._let_go

    def blind(draft_: Draft, *arguments: Any) -> None:
        seen = draft_.observed
        if seen.served is None:
            draft_.observed = replace(seen, served={})
        let_go(draft_, *arguments)
        draft_.observed = seen

    return [(rollout, "_let_go", blind)]


def a_failed_listing_is_an_empty_one() -> list[Patch]:
    refresh = Observer._refresh_engine

    async def hopeful(self: Observer) -> set[str]:
        changed = await refresh(self)
        if self._world.instances is None:
            self._world.instances = {}
        return changed

    return [(Observer, "_refresh_engine", hopeful)]


def one_look_is_believed() -> list[Patch]:
    return [(observer, "doubted", lambda *_a, **_f: {})]


def listeners_move_on_redeploy() -> list[Patch]:
    plan = Controller._plan

    def restless(self: Controller, state: AppState) -> Plan:
        running = state.deployment is not None and state.deployment.status.value == "running"
        if running and state.live and state.service_ports:
            moved = {name: number + 1 for name, number in state.service_ports.items()}
            done = plan(self, state)
            return replace(done, state=replace(done.state, service_ports=moved))
        return plan(self, state)

    return [(Controller, "_plan", restless)]


def the_old_are_taken_for_the_new() -> list[Patch]:
    count = rollout.take_census

    def lenient(draft_: Draft) -> Any:
        census = count(draft_)
        return replace(census, fresh=(*census.fresh, *census.stale), stale=())

    return [(rollout, "take_census", lenient), (deployment, "take_census", lenient)]


def serials_are_used_again() -> list[Patch]:
    add = Draft.add

    def again(self: Draft, record: InstanceRecord) -> None:
        serial = self.state.next_serial
        add(self, record)
        if serial > 2:
            self.change(next_serial=serial - 1)

    return [(Draft, "add", again)]


def phases_go_back() -> list[Patch]:
    note = lifecycle._note_running

    def undecided(draft_: Draft, record: InstanceRecord) -> None:
        note(draft_, record)
        if record.phase is Phase.DRAINING and draft_.state.live[0].id == record.id:
            draft_._put(replace(record, phase=Phase.READY))

    return [(lifecycle, "_note_running", undecided)]


def the_dead_are_not_noticed() -> list[Patch]:
    return [
        (lifecycle, "_note_exit", lambda _draft, _record, _seen: None),
        (story, "REST_WITHIN_S", 60.0),
    ]


def the_draining_never_stop() -> list[Patch]:
    return [(reconcile, "_retire", lambda _draft: None), (story, "REST_WITHIN_S", 60.0)]


def the_next_plan_depends_on_the_last() -> list[Patch]:
    plan = loop.reconcile
    calls: list[int] = []

    def moody(*arguments: Any, **fields: Any) -> Plan:
        calls.append(1)
        done = plan(*arguments, **fields)
        return replace(done, blocked=(*done.blocked, Blocked(app_id="", reason=f"{len(calls)}")))

    return [(loop, "reconcile", moody)]


def always_something_to_do() -> list[Patch]:
    return [
        (reconcile, "_routes_differ", lambda _draft, _routes: True),
        (story, "REST_WITHIN_S", 60.0),
    ]


def failed_saves_are_forgotten() -> list[Patch]:
    return [(Doubts, "settled", lambda _self, batch, _world: batch)]


def all_the_ill_are_replaced_at_once() -> list[Patch]:
    return [(rollout, "in_place", lambda census, _room: census.count)]


def a_broken_promise_breaks_the_plan() -> list[Patch]:
    def event(self: Draft, kind: str, _message: str, **_fields: Any) -> None:
        assert kind != "deployment.done"

    return [(draft.Draft, "event", event)]


def a_pause_pauses_nothing() -> list[Patch]:
    return [(stepwise, "is_paused", lambda _state: False)]


def a_paused_one_starts_what_is_new() -> list[Patch]:
    return [(stepwise, "_revision_before", lambda _draft: None)]


def steps_take_no_time() -> list[Patch]:
    def at_once(draft_: Draft) -> None:
        running = draft_.state.deployment
        assert running is not None
        draft_.change(deployment=stepped(running, now_ms=draft_.now_ms))

    return [(stepwise, "_end_bake", at_once)]


def a_canary_too_many() -> list[Patch]:
    right = strategy.step_counts

    def generous(asked: Strategy, count: int) -> tuple[int, ...]:
        if asked.kind is not StrategyKind.CANARY:
            return right(asked, count)
        return tuple(number + 1 for number in right(asked, count))

    return [(strategy, "step_counts", generous)]


def nobody_stands_by(kind: StrategyKind) -> list[Patch]:
    right = routing.standby_ids

    def busy(state: AppState, usable: Any) -> frozenset[str]:
        asked = state.deployment.strategy.kind if state.deployment else None
        return frozenset() if asked is kind else right(state, usable)

    return [(routing, "standby_ids", busy)]


def a_canary_gets_more_than_its_share() -> list[Patch]:
    return nobody_stands_by(StrategyKind.CANARY)


def a_blue_green_is_seen_before_it_is_whole() -> list[Patch]:
    return nobody_stands_by(StrategyKind.BLUE_GREEN)


def a_canary_keeps_what_it_finds_begun() -> list[Patch]:
    return [(strategy, "_beyond_the_share", lambda *_: [])]


def a_step_makes_room_unseen() -> list[Patch]:
    return [(stepwise, "sees_who_serves", lambda _draft: True)]


def the_unready_get_traffic() -> list[Patch]:
    right = routing.kept_out_ids

    def lax(state: AppState, observed: Observed) -> frozenset[str]:
        return right(state, replace(observed, readiness={}))

    return [(routing, "kept_out_ids", lax)]


def the_unready_are_replaced() -> list[Patch]:
    count = rollout.take_census

    def harsh(draft_: Draft) -> Any:
        census = count(draft_)
        return replace(census, failing=census.failing | census.unready)

    return [(rollout, "take_census", harsh)]


def who_is_well_is_ready() -> list[Patch]:
    return [(lifecycle, "_awaits_readiness", lambda _draft, _record: False)]


def there_is_no_way_back() -> list[Patch]:
    def ended(state: AppState, _reason: str, now_ms: int) -> AppState:
        if state.deployment is None:
            return state
        cancelled = DeploymentStatus.CANCELLED
        over = replace(state.deployment, status=cancelled, ended_at_ms=now_ms)
        return replace(state, deployment=over, leaving=False)

    return [
        (deployment, "go_back", lambda *_arguments: None),
        (settle, "gone_back", ended),
    ]


def what_is_called_off_stays() -> list[Patch]:
    return [(stepwise, "_call_off", lambda _draft: None)]


def a_late_start_is_a_stranger() -> list[Patch]:
    return [(strangers, "_is_late", lambda _world, _seen: False)]


# Which of the invariants may notice; the first to do so depends on the seed.
def what_is_taken_over_is_gone_back_to() -> list[Patch]:
    return [(promotion, "_going_back_to", lambda before: before.target and before.target.id)]


MUTATIONS: dict[Callable[[], list[Patch]], set[str]] = {
    drain_before_routed: {"enough_stay_serving", "done_means_served"},
    stop_while_routed: {"nothing_is_stopped_while_routed"},
    no_hold_down: {"a_freed_port_rests"},
    hold_down_forgotten_by_a_restart: {"a_freed_port_rests"},
    act_before_save: {"nothing_is_done_before_it_is_saved"},
    forget_a_lease: {"leases_are_what_the_records_hold", "listeners_are_unique_and_stay"},
    leases_forgotten_by_a_restart: {
        "leases_are_what_the_records_hold",
        "no_two_live_instances_share_a_port",
    },
    route_before_healthy: {
        "nothing_is_routed_that_never_was_healthy",
        "nothing_is_routed_that_never_was_ready",
    },
    start_above_the_maximum: {"no_more_start_than_the_maximum"},
    drain_below_the_minimum: {"enough_stay_serving"},
    a_failed_listing_is_an_empty_one: {"no_look_removes_more_than_half"},
    one_look_is_believed: {"no_look_removes_more_than_half"},
    listeners_move_on_redeploy: {"listeners_are_unique_and_stay"},
    the_old_are_taken_for_the_new: {"what_was_asked_for_runs", "everything_comes_to_rest"},
    serials_are_used_again: {"states_only_move_forward"},
    phases_go_back: {"states_only_move_forward"},
    the_dead_are_not_noticed: {"everything_comes_to_rest", "rest_leaves_no_orphan_and_no_double"},
    the_draining_never_stop: {"everything_comes_to_rest"},
    the_next_plan_depends_on_the_last: {"planning_twice_gives_the_same_plan"},
    always_something_to_do: {"rest_means_an_empty_plan", "everything_comes_to_rest"},
    a_broken_promise_breaks_the_plan: {"nothing_breaks_inside"},
    a_pause_pauses_nothing: {"a_pause_moves_nothing"},
    a_paused_one_starts_what_is_new: {"a_pause_moves_nothing"},
    steps_take_no_time: {"a_step_takes_its_time"},
    a_canary_too_many: {"no_step_starts_more_than_its_own"},
    a_canary_gets_more_than_its_share: {"a_canary_gets_its_share"},
    a_blue_green_is_seen_before_it_is_whole: {"a_blue_green_switches_at_once"},
    the_unready_get_traffic: {"who_is_not_ready_gets_no_traffic"},
    the_unready_are_replaced: {"nobody_is_replaced_for_being_unready"},
    who_is_well_is_ready: {"nothing_is_routed_that_never_was_ready"},
    there_is_no_way_back: {"an_ended_deployment_goes_back"},
    what_is_called_off_stays: {"what_was_called_off_leaves"},
}


# What takes several rare things at once is shown by the history that once found it.
SHOWN_BY: dict[Callable[[], list[Patch]], tuple[set[str], Sequence[Step]]] = {
    what_is_taken_over_is_gone_back_to: (
        {"a_newer_deployment_goes_back_to_what_came_up"},
        (
            Step("put", (0, 0, 2, 1)),
            Step("wait", (8.0,)),
            Step("put", (0, 6, 2, 1)),
            Step("wait", (1.0,)),
            Step("put", (0, 1, 3, 1)),
        ),
    ),
    failed_saves_are_forgotten: (
        {"everything_comes_to_rest"},
        (
            Step("deploy", (0, 2, 0, 2, 0, 0)),
            Step("wait", (8.0,)),
            Step("call", ("save", "lose", 1, True)),
            Step("delete", (0, 3)),
            Step("die", (0, 1)),
            Step("wait", (3.0,)),
            Step("crash", (3, False)),
        ),
    ),
    an_unread_balancer_serves_nobody: (
        {"enough_stay_serving"},
        (
            Step("deploy", (0, 1, 0, 3, 0, 0)),
            Step("wait", (8.0,)),
            Step("deploy", (0, 2, 1, 3, 2, 0)),
            Step("deploy", (1, 1, 1, 1, 4, 0)),
            Step("call", ("observe", "fail", 2, True)),
            Step("wait", (20.0,)),
        ),
    ),
    a_canary_keeps_what_it_finds_begun: ({"a_canary_gets_its_share"}, FOUND[4880][1]),
    a_step_makes_room_unseen: ({"enough_stay_serving"}, FOUND[1888][1]),
    a_late_start_is_a_stranger: (
        {"everything_comes_to_rest"},
        (
            Step("deploy", (0, 0, 0, 1, 0, 0)),
            Step("crash", (6, True)),
            Step("delete", (0, 0)),
            Step("wait", (3.0,)),
        ),
    ),
    all_the_ill_are_replaced_at_once: (
        {"no_look_removes_more_than_half"},
        (
            Step("deploy", (0, 0, 0, 4, 1, 0)),
            Step("wait", (20.0,)),
            *(Step("lie", (nth, False, 9, 0.0)) for nth in range(4)),
            Step("wait", (20.0,)),
        ),
    ),
}


@contextmanager
def mutated(patches: Sequence[Patch]) -> Generator[None]:
    """That portway, for the length of the block."""
    undone = [mock.patch.object(where, name, new) for where, name, new in patches]
    for patch in undone:
        patch.start()
    try:
        yield
    finally:
        for patch in reversed(undone):
            patch.stop()
