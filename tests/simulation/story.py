"""The life of a portway that goes through the steps of a history."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any
from unittest import mock

from portway.controller import clock as clock_module
from portway.controller.views import ReleaseRequest, StrategyRequest
from portway.core.app import Protocol
from portway.core.errors import PortwayError
from portway.core.instance import Phase
from portway.core.ports import Lease
from portway.core.routes import RouteKey
from portway.core.state import AppState, DeploymentStatus
from portway.core.strategy import is_holding, is_paused
from tests.simulation import invariants, steps
from tests.simulation.eventloop import StuckError, simulate
from tests.simulation.histories import LOOSE, STACKS, Step, loose_app, manifest
from tests.simulation.incarnation import HOST_PORTS, Incarnation
from tests.simulation.invariants import BrokenError
from tests.simulation.machine import HOPELESS, CallFault, Lie, Machine
from tests.simulation.surroundings import Letters, listening

REST_WITHIN_S = 1500.0
# Longer than the slowest check takes to call an instance ill.
QUIET_S = 16.0


class Life:
    """A portway on a machine, from its first controller to its rest."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.shouts: list[str] = []
        self.orders: list[asyncio.Task[Any]] = []
        self.now = Incarnation(self.machine)

    async def live(self, steps: Sequence[Step]) -> None:
        """All of the steps, then rest."""
        await self.now.open()
        await self.go_through(steps)
        await self.rest()
        await self.now.kill()

    async def go_through(self, steps: Sequence[Step]) -> None:
        """One step after the other, with a look at the invariants after each."""
        for step in steps:
            self.machine.note(f"--- {step}")
            act = getattr(self, "do_" + step.name.replace(" ", "_"))
            await act(*step.arguments)
            await self.look()

    async def look(self) -> None:
        """The invariants between two steps; a controller that died is followed by the next."""
        if self.machine.broken is not None:
            raise self.machine.broken
        if self.now.gate.severed:
            await self.succeed()
        self.now.check_now(self.shouts)

    async def succeed(self) -> None:
        """The next controller, on whatever the last one left."""
        while True:
            await self.now.kill()
            self.machine.note("a new controller")
            before, self.now = self.now, Incarnation(self.machine)
            if self.now.clock.offset_ms > before.clock.offset_ms:
                self.machine.resting.clear()  # how long ago anything was, no clock knows any more
            opening = asyncio.get_running_loop().create_task(self.now.open())
            died = asyncio.get_running_loop().create_task(self.now.gate.died.wait())
            await asyncio.wait([opening, died], return_when=asyncio.FIRST_COMPLETED)
            died.cancel()
            if opening.done():
                opening.result()
                return

    async def pass_time(self, seconds: float) -> None:
        """So long, or until the controller dies."""
        try:
            async with asyncio.timeout(seconds):
                await self.now.gate.died.wait()
        except TimeoutError:
            return
        await self.look()

    async def do_wait(self, seconds: float) -> None:
        await self.pass_time(seconds)

    async def do_turns(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def do_crash(self, after: int, late: bool) -> None:
        gate = self.now.gate
        gate.late, gate.dies_in = late, after
        await self.pass_time(10)
        gate.sever()

    async def _order(self, order: Coroutine[Any, Any, Any], patience: int) -> None:
        """Whatever somebody asks; a refusal is an answer, and so is a dead controller."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(order)
        died = loop.create_task(self.now.gate.died.wait())
        if patience:
            for _ in range(patience):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task, died], return_when=asyncio.FIRST_COMPLETED, timeout=30)
        died.cancel()
        if not task.done():
            self.orders.append(task)
        elif not task.cancelled() and (error := task.exception()) is not None:
            self.machine.note(f"refused: {error}")
            if not isinstance(error, PortwayError):
                raise error

    async def do_deploy(
        self, stack: int, image: int, worker: int, count: int, rollout: int, patience: int
    ) -> None:
        text = manifest(stack, image, worker, count, rollout)
        await self._order(self._deploy(STACKS[stack], text), patience)

    async def _deploy(self, stack: str, text: str, asked: StrategyRequest | None = None) -> None:
        operations = self.now.operations
        release = await operations.create_release(stack, ReleaseRequest(manifest=text))
        await operations.promote(stack, release.id, strategy=asked)

    async def do_strategy(
        self,
        image: int,
        count: int,
        kind: str,
        hold: bool,
        stack: int = 0,
        canary: str = "",
        bake_s: float = 1.0,
        worker: int = 0,
        rollout: int = 0,
        patience: int = 0,
    ) -> None:
        """A deploy in another way than rolling."""
        asked = StrategyRequest(strategy=kind, bake_s=bake_s, hold=hold, canary=canary)
        text = manifest(stack, image, worker, count, rollout)
        await self._order(self._deploy(STACKS[stack], text, asked), patience)

    async def do_pause(self, stack: int, patience: int) -> None:
        await self._order(self.now.operations.pause(STACKS[stack]), patience)

    async def do_resume(self, stack: int, patience: int) -> None:
        await self._order(self.now.operations.resume(STACKS[stack]), patience)

    async def do_scale(self, stack: int, count: int, patience: int) -> None:
        await self._order(self.now.operations.scale(STACKS[stack], {"web": count}), patience)

    async def do_restart(self, stack: int, patience: int) -> None:
        await self._order(self.now.operations.restart(STACKS[stack]), patience)

    async def do_rollback(self, stack: int, patience: int) -> None:
        await self._order(self.now.operations.rollback(STACKS[stack]), patience)

    async def do_cancel(self, stack: int, patience: int) -> None:
        await self._order(self.now.operations.cancel(STACKS[stack]), patience)

    async def do_delete(self, stack: int, patience: int) -> None:
        await self._order(self.now.operations.delete_stack(STACKS[stack]), patience)

    async def do_put(
        self,
        nth: int,
        image: int,
        count: int,
        kind: int = 0,
        force: bool = False,
        patience: int = 0,
    ) -> None:
        app = loose_app(nth, image, kind)
        order = self.now.operations.put_app(LOOSE, app, count=count, force=force)
        await self._order(order, patience)

    async def do_take_away(self, nth: int, patience: int = 0) -> None:
        await self._order(self.now.operations.remove_app(LOOSE, f"app{nth}"), patience)

    async def do_resize(self, nth: int, count: int, patience: int = 0) -> None:
        await self._order(self.now.operations.scale(LOOSE, {f"app{nth}": count}), patience)

    async def do_mark(self, nth: int, draining: bool, patience: int = 0) -> None:
        name = sorted(self.machine.world.nodes)[nth]
        await self._order(self.now.operations.mark_node(name, draining=draining), patience)

    async def _fill_again(self) -> None:
        """What is emptied at the end of a history could leave nothing to run on."""
        for node in self.now.world.nodes:
            if node.draining:
                await self._order(self.now.operations.mark_node(node.name, draining=False), 0)

    async def do_env(self, stack: int, value: int, patience: int) -> None:
        await self._order(self._env(STACKS[stack], value), patience)

    async def _env(self, stack: str, value: int) -> None:
        operations = self.now.operations
        view = await operations.change_environment(stack, set_={"LEVEL": str(value)}, unset=())
        if view.release:
            await operations.promote(stack, view.release)

    async def do_stop(self, stack: int, nth: int, patience: int) -> None:
        names = [
            record.id.rpartition("/")[2]
            for state in self.now.world.of_stack(STACKS[stack])
            for record in state.live
        ]
        if names:
            name = names[nth % len(names)]
            await self._order(self.now.operations.stop_instance(STACKS[stack], name), patience)

    def _victim(self, nth: int) -> str | None:
        running = self.machine.running()
        return running[nth % len(running)] if running else None

    async def do_call(self, operation: str, kind: str, times: int, retryable: bool) -> None:
        fault = CallFault(operation=operation, kind=kind, times=times, retryable=retryable)
        self.machine.faults.setdefault(operation, []).append(fault)

    async def do_die(self, nth: int, code: int) -> None:
        if victim := self._victim(nth):
            self.machine.hands.kill(victim, exit_code=code)

    async def do_sicken(self, nth: int) -> None:
        if victim := self._victim(nth):
            self.machine.hands.set_health(victim, passed=False, detail="it is ill")

    async def do_lie(
        self, nth: int, passed: bool | None, times: int, takes_s: float, readiness: bool = False
    ) -> None:
        if victim := self._victim(nth):
            key = f"{victim} readiness" if readiness else victim
            self.machine.lies[key] = Lie(passed, times, takes_s)

    async def do_unready(self, nth: int, period_ms: int) -> None:
        """It does not want traffic, or changes its mind again and again; asked once more it is itself again."""
        if (victim := self._victim(nth)) and self.machine.unready.pop(victim, None) is None:
            self.machine.unready[victim] = period_ms

    async def do_connections(self, nth: int, count: int) -> None:
        if victim := self._victim(nth):
            self.machine.balancer.connections[victim] = count

    async def do_steal(self, nth: int, count: int) -> None:
        node = sorted(self.machine.world.nodes)[0]
        for number in range(nth, nth + count):
            lease = Lease(
                port_name="", node=node, protocol=Protocol.TCP, container_port=0,
                host_port=HOST_PORTS.first + number % 24, address="127.0.0.1",
            )  # fmt: skip
            if self.machine.world.port_holder(lease) is None:
                self.machine.hands.steal_port(lease)

    async def do_claim(self, nth: int) -> None:
        number = HOST_PORTS.first + nth
        mine = self.now.guard.mine if self.now.guard else set()
        if (Protocol.TCP, number) not in mine:
            self.machine.claims["elsewhere", number] = True

    async def do_block(self, stack: int) -> None:
        key = RouteKey(address="", service_port=8000 + 100 * stack)
        if key not in self.machine.balancer.served:
            self.machine.balancer.blocked[key] = "a stranger has it"

    async def do_unblock(self) -> None:
        self.machine.balancer.blocked.clear()

    async def do_silence(self, silent: bool) -> None:
        self.machine.silent = silent

    async def do_clock(self, by_ms: int) -> None:
        self.machine.wall_offset_ms += by_ms

    async def do_lose_node(self, nth: int) -> None:
        nodes = sorted(self.machine.world.nodes)
        name = nodes[nth % len(nodes)]
        if self.machine.world.nodes[name].available:
            self.machine.hands.lose_node(name)

    async def do_regain_nodes(self) -> None:
        for name, node in self.machine.world.nodes.items():
            if not node.available:
                self.machine.hands.regain_node(name)

    async def rest(self) -> None:
        """The faults stop; everything comes to rest within a bound, and stays so."""
        self.now.gate.dies_in = None
        await self.look()
        self.machine.heal()
        self.machine.note("--- the faults stop")
        await self.settle()
        await self.check_rest()

    async def settle(self) -> None:
        """Let time pass until nothing has happened for a while."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + REST_WITHIN_S
        calm_s = 0.0
        while calm_s < QUIET_S:
            before = self.machine.changes
            await self.pass_time(1.0)
            await self.look()
            await self._say_go_on()
            unrest = self.unrest() or self._just_done(before)
            if calm_s or loop.time() > end_s - REST_WITHIN_S / 2:
                await self._fill_again()
            calm_s = 0.0 if unrest else calm_s + 1.0
            if loop.time() > end_s:
                invariants.everything_comes_to_rest(unrest or ["no calm"], REST_WITHIN_S)

    async def _say_go_on(self) -> None:
        """Whatever waits for somebody's word gets it."""
        for nth, name in enumerate(STACKS):
            states = self.now.world.of_stack(name)
            if any(s.target and (is_paused(s) or is_holding(s)) for s in states):
                await self.do_resume(nth, 0)

    def _just_done(self, before: int) -> list[str]:
        """What was done since, no matter that all looks well again; what is hopeless is tried for ever."""
        if any(map(_is_hopeless, self.now.world.apps.values())):
            return []
        done = self.machine.changes - before
        return [f"{done} calls did something"] if done else []

    def unrest(self) -> list[str]:
        """Why this is no rest."""
        world = self.now.world
        found = [
            f"{s.name} is {'deleted' if s.deleting else 'promoted'}"
            for s in world.stacks.values()
            if s.deleting or s.promoting
        ]
        for state in world.apps.values():
            found += _unrest_of(state)
        for node, instance in self.machine.world.instances.items():
            if not instance.running:
                found.append(f"{node} has ended and is still there")
        found += [f"{key} is under way" for key in self.now.controller.executor._running]
        return found + [f"{part}: {what}" for part, what in world.problems.items()]

    async def check_rest(self) -> None:
        """Whole, clean, and with nothing more to do."""
        machine, world = self.machine, self.now.world
        hopeless = [state for state in world.apps.values() if _is_hopeless(state)]
        routes = machine.balancer.served.values()
        invariants.what_was_asked_for_runs(world.apps, HOPELESS)
        steps.what_was_called_off_leaves(tuple(world.apps.values()))
        invariants.leases_are_what_the_records_hold(
            world.apps.values(), self.now.leases.host_pool.leases()
        )
        if not hopeless:
            invariants.rest_leaves_no_orphan_and_no_double(
                world.apps, list(machine.world.instances), routes
            )
            await self.check_empty_plans()

    async def check_empty_plans(self) -> None:
        """7 and 8 of every App, asked of the controller's own planner."""
        controller = self.now.controller
        async with controller.lock:
            for state in list(controller.world.apps.values()):
                plan = controller._plan(state)
                invariants.planning_twice_gives_the_same_plan(plan, controller._plan(state))
                invariants.rest_means_an_empty_plan(state, plan)


def _is_hopeless(state: AppState) -> bool:
    return state.target is not None and state.target.app.image in HOPELESS


def _unrest_of(state: AppState) -> list[str]:
    if state.target is None:
        return [f"{state.app_id} is going"]
    if state.deployment and state.deployment.status is DeploymentStatus.RUNNING:
        return [f"{state.app_id} is being deployed"]
    if _is_hopeless(state):
        return []
    ready = [r for r in state.live if r.phase is Phase.READY]
    moving = [f"{r.id} is {r.phase.name}" for r in state.live if r.phase is not Phase.READY]
    if state.halted:
        return moving
    return moving + ([] if len(ready) == state.count else [f"{state.app_id} has {len(ready)}"])


def run(
    seed: int, steps: Sequence[Step], *, nodes: int, trace: list[str] | None = None
) -> BrokenError | None:
    """Live through the steps; what broke, if anything did."""
    with mock.patch.object(clock_module, "secrets", Letters(seed)), listening() as shouts:

        async def live() -> None:
            machine = Machine(seed=seed, nodes=nodes)
            machine.trace = trace
            life = Life(machine)
            life.shouts = shouts
            await life.live(steps)

        try:
            simulate(live())
        except BrokenError as error:
            return error
        except StuckError as error:
            return BrokenError("everything_comes_to_rest", error)
    return None
