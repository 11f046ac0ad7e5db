"""One controller at work on a simulated machine: the real one, with adapters that pass the machine's gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from portway.balancers.base import BalancerInfo
from portway.config import Config
from portway.controller.health.probes import ProbeTarget
from portway.controller.loop import Controller
from portway.controller.operations import PortwayOperations
from portway.controller.ports.leases import Leases
from portway.core.app import Protocol
from portway.core.events import Event
from portway.core.health import Health, HealthStatus
from portway.core.instance import EngineState, Phase
from portway.core.plan import ApplyRoutes, Plan
from portway.core.port_words import PortKind
from portway.core.ports import Holder, Lease, PortPool, PortRange
from portway.core.request import ServedRequest
from portway.core.routes import EndpointState, Route, ServedRoute
from portway.core.stack import Certificate
from portway.core.state import AppState
from portway.engines.base import EngineChange, StartRequest
from portway.engines.memory import MemoryEngine
from portway.store.base import Batch, Snapshot
from portway.store.memory import MemoryStore
from tests.simulation import invariants, steps
from tests.simulation.eventloop import run_now
from tests.simulation.machine import READY_AFTER_S, SLOW_START_S, Gate, Lie, Machine

T = TypeVar("T")

HOST_PORTS = PortRange(first=31000, last=31047)
SERVICE_PORTS = PortRange(first=10000, last=10099)
HOLD_DOWN_MS = 5000


class SimClock:
    """The wall clock of the moment it was made, and steady from then on, as SystemClock is."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.offset_ms = machine.wall_offset_ms

    def now_ms(self) -> int:
        return self._machine.true_ms() + self.offset_ms


class SimEngine(MemoryEngine):
    """The memory engine behind the gate."""

    def __init__(self, machine: Machine, gate: Gate) -> None:
        super().__init__(world=machine.world, clock=machine.wall_ms)
        self._machine = machine
        self._gate = gate
        self._feed = machine.hands._feed

    def changes(self) -> AsyncIterator[EngineChange]:
        return self._heard()

    async def _heard(self) -> AsyncIterator[EngineChange]:
        async for change in super().changes():
            if not self._machine.silent:
                yield change

    async def _shown(self, operation: str, instance_id: str, act: Callable[[], T]) -> T:
        check = {"start": self._may_start, "stop": self._may_end, "remove": self._may_end}.get(
            operation
        )

        def checked() -> T:
            if check is not None:
                check(instance_id)
            return act()

        return await self._gate.call(operation, instance_id, checked)

    def _may_start(self, instance_id: str) -> None:
        stored = self._machine.disk.apps.get(instance_id.rsplit(".", 2)[0])
        invariants.nothing_is_done_before_it_is_saved(instance_id, stored, at_least=Phase.PLANNED)

    def _may_end(self, instance_id: str) -> None:
        if instance_id in self._machine.running():
            invariants.nothing_is_stopped_while_routed(instance_id, self._machine.balancer.served)

    async def start(self, request: StartRequest) -> None:
        self._machine.requests[request.identity.id] = request
        await super().start(request)

    async def stop(self, instance_id: str, *, signal: str, grace_s: float) -> None:
        await self._shown("stop", instance_id, lambda: self._stop_saved(instance_id))

    def _stop_saved(self, instance_id: str) -> None:
        stored = self._machine.disk.apps.get(instance_id.rsplit(".", 2)[0])
        invariants.nothing_is_done_before_it_is_saved(instance_id, stored, at_least=Phase.STOPPING)
        self._stop(instance_id)

    def _start(self, request: StartRequest) -> None:
        known = request.identity.id in self.world.instances
        super()._start(request)
        if not known:
            image = request.revision.app.image or ""
            self._machine.end_of(request.identity.id, image)


class SimBalancer:
    """The machine's balancer behind the gate."""

    def __init__(self, machine: Machine, gate: Gate) -> None:
        self._machine = machine
        self._real = machine.balancer
        self._gate = gate

    async def open(self) -> None:
        await self._real.open()

    async def close(self) -> None:
        """It goes on serving."""

    async def shutdown(self) -> None:
        await self._real.shutdown()

    async def apply(self, owner: str, routes: Sequence[Route]) -> None:
        def act() -> None:
            machine = self._machine
            invariants.nothing_is_routed_that_never_was_healthy(routes, machine.ever_healthy)
            steps.nothing_is_routed_that_never_was_ready(
                routes, machine.asked_for_readiness(), machine.ever_ready
            )
            run_now(self._real.apply(owner, routes))

        await self._gate.call("apply", owner, act)

    async def certificates(self, certificates: Sequence[Certificate]) -> None:
        await self._gate.call(
            "certificates", "", lambda: run_now(self._real.certificates(certificates))
        )

    async def observe(self, owners: Collection[str] | None = None) -> tuple[ServedRoute, ...]:
        return await self._gate.call("observe", "", lambda: run_now(self._real.observe(owners)))

    async def report(self, owners: Collection[str]) -> None:
        await self._gate.call("report", "", lambda: run_now(self._real.report(owners)))

    def take_requests(self, take: Callable[[Sequence[ServedRequest], int], None]) -> None:
        self._real.take_requests(take)

    def when_back(self, tell: Callable[[], None]) -> None:
        self._real.when_back(tell)

    async def info(self) -> BalancerInfo:
        return await self._real.info()


class SimStore(MemoryStore):
    """The memory store behind the gate. A commit without an answer is undone by the next save, as SqlStore does it."""

    def __init__(self, machine: Machine, gate: Gate, judge: Callable[[Batch], None]) -> None:
        super().__init__(machine.disk)
        self._machine = machine
        self._gate = gate
        self._judge = judge
        self._in_doubt: Batch | None = None
        self.found: dict[str, int | None] = {}  # since when a step was observed, as it was stored

    async def load(self) -> Snapshot:
        snapshot = await super().load()
        self._machine.acknowledged = {state.app_id: state for state in snapshot.apps}
        running = {s.app_id: s.deployment for s in snapshot.apps}
        self.found = {i: d.baking_since_ms for i, d in running.items() if d}
        return snapshot

    async def save(self, batch: Batch) -> tuple[Event, ...]:
        committed = False

        def act() -> tuple[Event, ...]:
            nonlocal committed
            self._settle()
            events = run_now(MemoryStore.save(self, batch))
            self._judge(batch)
            committed = True
            return events

        try:
            events = await self._gate.call("save", _of(batch), act)
        except Exception:
            self._in_doubt = batch if committed else self._in_doubt
            raise
        self._acknowledge(batch)
        return events

    def _acknowledge(self, batch: Batch) -> None:
        known = self._machine.acknowledged
        known.update({s.app_id: self.disk.apps[s.app_id] for s in batch.apps})
        for app_id in batch.deleted_apps:
            known.pop(app_id, None)

    def _settle(self) -> None:
        for state in self._in_doubt.apps if self._in_doubt else ():
            stored = self.disk.apps.get(state.app_id)
            if stored is not None and stored.version == state.version + 1:
                self.disk.apps[state.app_id] = replace(stored, version=state.version)
        self._in_doubt = None


def _of(batch: Batch) -> str:
    return " ".join([s.app_id for s in batch.apps] + [s.name for s in batch.stacks])


class SimChecker:
    """Asks the machine how an instance is; lies, dawdles and breaks when told to."""

    def __init__(self, machine: Machine, gate: Gate) -> None:
        self._machine = machine
        self._gate = gate

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        machine, instance_id = self._machine, target.instance_id
        if self._gate.severed:
            await asyncio.Event().wait()
        lie = machine.lies.get(target.key)
        if lie is None:
            await asyncio.sleep(0)
            passed, detail = self._truth(instance_id, is_readiness=target.is_readiness)
        else:
            passed, detail = await self._lie(target.key, lie)
        if passed:
            (machine.ever_ready if target.is_readiness else machine.ever_healthy).add(instance_id)
        return passed, detail

    async def _lie(self, key: str, lie: Lie) -> tuple[bool, str]:
        lie.times -= 1
        if lie.times <= 0:
            self._machine.lies.pop(key, None)
        await asyncio.sleep(lie.takes_s)
        if lie.passed is None:
            raise OSError("too many open files")
        return lie.passed, "so they say"

    def _truth(self, instance_id: str, *, is_readiness: bool) -> tuple[bool, str]:
        instance = self._machine.world.instances.get(instance_id)
        if instance is None or not instance.running:
            return False, "connection refused"
        passed, detail = instance.health
        image = instance.request.revision.app.image
        age_ms = self._machine.wall_ms() - (instance.observed.started_at_ms or 0)
        if is_readiness:
            return self._readiness(instance_id, age_ms)
        if image == "slow" and 0 <= age_ms < SLOW_START_S * 1000:
            return False, "it is still loading"
        return passed, detail

    def _readiness(self, instance_id: str, age_ms: int) -> tuple[bool, str]:
        machine = self._machine
        if 0 <= age_ms < READY_AFTER_S * 1000:
            return False, "it warms up"
        period_ms = machine.unready.get(instance_id)
        if period_ms is None or (period_ms and machine.true_ms() // period_ms % 2):
            return True, "it is ready"
        return False, "it is busy"


class SimGuard:
    """The kernel of the only node: who has bound what, and which portway has claimed it."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.mine: set[tuple[Protocol, int]] = set()

    def occupied(self) -> Mapping[tuple[Protocol, int], Holder]:
        return {}

    def bind_test(self, protocol: Protocol, address: str, number: int) -> str | None:
        taken = self._machine.world.ports.get(("local", protocol.value, number))
        return f"{number} is in use" if taken else None

    def claim(self, protocol: Protocol, number: int) -> bool:
        if ("elsewhere", number) in self._machine.claims:
            return False
        self.mine.add((protocol, number))
        return True

    def release_claim(self, protocol: Protocol, number: int) -> None:
        self.mine.discard((protocol, number))

    def holder(self, protocol: Protocol, number: int) -> Holder | None:
        taken = self._machine.world.ports.get(("local", protocol.value, number))
        return Holder(description="a stranger") if taken else None


@dataclass(frozen=True, slots=True)
class Picture:
    """What the planner could know of an App: who runs and is not called ill, who is, and who is not ready; and when."""

    at_ms: int
    sound: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()
    unready: frozenset[str] = frozenset()


class Incarnation:
    """One life of the controller."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.gate = Gate(machine)
        self.clock = SimClock(machine)
        self.guard = SimGuard(machine) if machine.nodes == 1 else None
        self.leases = Leases(
            PortPool(HOST_PORTS, hold_down_ms=HOLD_DOWN_MS),
            PortPool(SERVICE_PORTS, hold_down_ms=HOLD_DOWN_MS, kind=PortKind.LISTENER),
            self.guard,
            hold_down_ms=HOLD_DOWN_MS,
        )
        self.store = SimStore(machine, self.gate, self._judge_batch)
        self.controller = Controller(
            engine=SimEngine(machine, self.gate),
            balancer=SimBalancer(machine, self.gate),
            store=self.store,
            leases=self.leases,
            checker=SimChecker(machine, self.gate),
            clock=self.clock,
            publish_address="127.0.0.1",
        )
        config = Config(home=Path("/nowhere"), engine="memory")
        self.blank = Picture(machine.true_ms())
        self.picture: dict[str, Picture] = {}  # by App, of when it was last planned
        self.since_ms = self.clock.now_ms()
        self.controller._plan = self._plan  # type: ignore[method-assign]
        self.operations = PortwayOperations(self.controller, config, asyncio.Event())
        self.work: asyncio.Task[None] | None = None

    @property
    def world(self) -> Any:
        return self.controller.world

    async def open(self) -> None:
        """Take over and begin to work."""
        await self.store.open()
        await self.machine.balancer.open()
        await self.controller.open()
        self.work = asyncio.get_running_loop().create_task(self.controller.run())

    async def kill(self) -> None:
        """As kill -9 does it: nothing of it reaches the machine any more."""
        self.gate.sever()
        if self.work is not None:
            self.work.cancel()
            await asyncio.wait([self.work], timeout=5)
        self.store.crash()

    def _plan(self, state: AppState) -> Plan:
        """As ever, with a note of what the planner could know; more is learnt while it saves."""
        picture = self.picture[state.app_id] = self._picture(state)
        plan = Controller._plan(self.controller, state)
        for action in plan.actions:
            if isinstance(action, ApplyRoutes):
                self._judge_routes(plan.state, action.routes, picture)
        return plan

    def _judge_routes(self, state: AppState, routes: Sequence[Route], picture: Picture) -> None:
        try:
            out = picture.failing | picture.unready
            steps.a_canary_gets_its_share(state, routes, out=out)
            steps.a_blue_green_switches_at_once(state, routes, out=out)
            steps.who_is_not_ready_gets_no_traffic(
                state, routes, failing=picture.failing, unready=picture.unready
            )
        except invariants.BrokenError as error:
            self.machine.break_with(error)
            raise

    def _judge_batch(self, batch: Batch) -> None:
        """What every save is asked, against what was acknowledged before it."""
        machine = self.machine
        before = machine.acknowledged
        apps = machine.disk.apps
        told = any(event.kind == "release.resumed" for event in batch.events)
        for state in batch.apps:
            known = before.get(state.app_id)
            if known is not None:
                self._judge_state(known, state)
                self._judge_steps(known, state, told=told)
            self._judge_leases(known, state)
        invariants.no_two_live_instances_share_a_port(apps.values())
        invariants.listeners_are_unique_and_stay(before, apps)

    def _judge_state(self, before: AppState, after: AppState) -> None:
        served = self.machine.balancer.served
        invariants.states_only_move_forward(before, after)
        invariants.no_look_removes_more_than_half(before, after, self.machine.running())
        if after.target is not None:
            invariants.enough_stay_serving(before, after, self._serving(after))
            invariants.no_more_start_than_the_maximum(before, after)
        invariants.done_means_served(before, after, served)

    def _judge_steps(self, before: AppState, after: AppState, *, told: bool) -> None:
        picture = self.picture.get(after.app_id, self.blank)
        failing, unready = picture.failing, picture.unready
        steps.a_pause_moves_nothing(before, after, sound=picture.sound, failing=failing)
        since_ms = self._observed_since_ms(before)
        now_ms = self.clock.now_ms()
        steps.a_step_takes_its_time(before, after, told=told, now_ms=now_ms, since_ms=since_ms)
        moving = self._on_emptied_nodes(after)
        steps.no_step_starts_more_than_its_own(before, after, failing=failing | moving)
        steps.nobody_is_replaced_for_being_unready(
            before, after, failing=failing | moving, unready=unready
        )
        steps.an_ended_deployment_goes_back(before, after)
        steps.a_newer_deployment_goes_back_to_what_came_up(before, after)

    def _on_emptied_nodes(self, state: AppState) -> frozenset[str]:
        emptied = {node.name for node in self.world.nodes if node.draining}
        return frozenset(r.id for r in state.live if r.identity.node in emptied)

    def _observed_since_ms(self, state: AppState) -> int | None:
        """What was observed before this controller came, nobody has observed."""
        since_ms = state.deployment.baking_since_ms if state.deployment else None
        is_old = since_ms is not None and since_ms == self.store.found.get(state.app_id)
        return self.since_ms if is_old else since_ms

    def _judge_leases(self, before: AppState | None, after: AppState) -> None:
        machine, now_ms = self.machine, self.machine.true_ms()
        was = {r.id: r for r in before.instances} if before else {}
        given_up_ms = self.picture.get(after.app_id, self.blank).at_ms
        added = [x for r in after.live if r.id not in was for x in r.identity.leases]
        invariants.a_freed_port_rests(added, machine.resting, now_ms)
        for record in after.instances:
            known = was.get(record.id)
            if record.phase is Phase.GONE and known is not None and known.phase < Phase.GONE:
                for lease in record.identity.leases:
                    # From when it was given up: saving that may have taken long.
                    machine.resting[_port(lease)] = given_up_ms + HOLD_DOWN_MS

    def _serving(self, state: AppState) -> set[str]:
        """Who the balancer gives requests to on every listener of the App, as far as the planner could know."""
        picture = self.picture.get(state.app_id, self.blank)
        alive = set(picture.sound - picture.unready)
        for route in self.machine.balancer.served.values():
            if route.owner == state.app_id:
                alive &= {e.instance_id for e in route.endpoints if e.state is EndpointState.READY}
        return alive

    def _picture(self, state: AppState) -> Picture:
        seen = self.world.seen(state.app_id) or {}
        running = {i for i, one in seen.items() if one.state is EngineState.RUNNING}
        ids = {record.id for record in state.live}
        failing = _verdict_against(self.world.health, ids)
        unready = _verdict_against(self.world.readiness, ids)
        at_ms = self.machine.true_ms()
        return Picture(at_ms, frozenset(running - failing), failing, unready)

    def check_now(self, logged: Sequence[str]) -> None:
        """What must hold between any two steps of the controller."""
        invariants.nothing_breaks_inside(self.world.problems, logged)
        invariants.leases_are_what_the_records_hold(
            self.world.apps.values(), self.leases.host_pool.leases()
        )
        if self.guard is not None:
            held = {(x.protocol, x.host_port) for x, _ in self.leases.host_pool.leases()}
            missing = held - self.guard.mine
            if missing and not any(("elsewhere", n) in self.machine.claims for _, n in missing):
                raise invariants.BrokenError("leases_are_what_the_records_hold", missing)


def _verdict_against(verdicts: Mapping[str, Health], ids: Collection[str]) -> frozenset[str]:
    return frozenset(i for i in ids if i in verdicts and verdicts[i].status is HealthStatus.FAILING)


def _port(lease: Lease) -> tuple[str, str, int]:
    return lease.node, lease.protocol.value, lease.host_port
