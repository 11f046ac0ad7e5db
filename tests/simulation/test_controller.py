"""Seeded crashes of the whole controller: whenever it dies, the next one on the same store and engine gets there."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from portway.core.errors import EngineError, PortwayError, StoreError
from portway.core.instance import Phase
from portway.engines.memory import Fault, FaultKind
from tests.controller.inprocess import Portway, VirtualLoop, compose

SEEDS = int(os.environ.get("SEEDS", "60"))
LIVES = 6
STACKS = ("blog", "shop")
IMAGES = ("web", "web:2", "web:3", "crash", "never-healthy")


class Fate:
    """One history: orders given, faults met, controllers that die in the middle of it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.portway = Portway(nodes=self.random.choice([1, 1, 3]))

    async def live(self) -> None:
        await self.portway.open()
        for _ in range(LIVES):
            for _ in range(self.random.randint(1, 4)):
                await self.order()
                self.disturb()
                await self.pass_time()
                self.portway.check_invariants()
            self.portway = await self.portway.successor()
            self.portway.check_invariants()
        await self.rest()
        await self.portway.crash()

    async def pass_time(self) -> None:
        """A few turns of the event loop, or a while."""
        if self.random.random() < 0.6:
            for _ in range(self.random.randint(0, 60)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(self.random.choice([0.05, 0.5, 3.0, 45.0]))

    async def order(self) -> None:
        """Whatever somebody may ask; a refusal is an answer too."""
        stack = self.random.choice(STACKS)
        operations = self.portway.operations
        orders = {
            "deploy": lambda: self.portway.promote(stack, self.manifest(stack)),
            "scale": lambda: operations.scale(stack, {"web": self.random.randint(0, 4)}),
            "restart": lambda: operations.restart(stack),
            "rollback": lambda: operations.rollback(stack),
            "cancel": lambda: operations.cancel(stack),
            "delete": lambda: operations.delete_stack(stack),
            "stop": lambda: operations.stop_instance(stack, "web"),
        }
        weights = [6, 3, 2, 2, 2, 1, 2]
        (name,) = self.random.choices(list(orders), weights)
        order = asyncio.get_running_loop().create_task(orders[name]())
        if self.random.random() < 0.2:
            for _ in range(self.random.randint(0, 6)):
                await asyncio.sleep(0)
            order.cancel()  # the caller went away
        await asyncio.wait([order])
        if not order.cancelled() and (error := order.exception()) is not None:
            assert isinstance(error, PortwayError), (name, error)

    def manifest(self, stack: str) -> str:
        first = 8000 + 100 * STACKS.index(stack)
        services = {
            "web": f"image: {self.random.choice(IMAGES)}; ports: ['{first}:80', '5000']; "
            f"scale: {self.random.randint(1, 3)}"
        }
        if self.random.random() < 0.5:
            services["worker"] = (
                f"image: {self.random.choice(IMAGES)}; depends_on: [web]; links: ['web:front']"
            )
        return compose(**services)

    def disturb(self) -> None:
        """One thing the world may do to us."""
        kind = self.random.choice(
            ["nothing", "engine", "store", "balancer", "death", "connections"]
        )
        portway = self.portway
        running = portway.running()
        match kind:
            case "engine":
                portway.engine.inject(
                    Fault(
                        operation=self.random.choice(["start", "stop", "remove", "list", "nodes"]),
                        kind=self.random.choice([FaultKind.FAIL, FaultKind.LOSE_ANSWER]),
                        error=EngineError("no answer", retryable=self.random.random() < 0.8),
                    )
                )
            case "store":
                portway.store.fail_saves(
                    StoreError("the disk is full"), times=self.random.randint(1, 3)
                )
            case "balancer":
                setattr(
                    portway.balancer,
                    self.random.choice(["fail_next_apply", "fail_next_observe"]),
                    "the socket is gone",
                )
            case "death" if running:
                portway.engine.kill(
                    self.random.choice(running), exit_code=self.random.choice([0, 1])
                )
            case "connections" if running:
                portway.balancer.connections[self.random.choice(running)] = 2
            case _:
                pass

    async def rest(self) -> None:
        """No more faults: everything comes to rest, whole and clean."""
        portway = self.portway
        portway.engine.clear_faults()
        portway.store.heal()
        portway.balancer.connections.clear()
        await portway.until(
            lambda: all(self.is_still(s) for s in portway.world.stacks), within_s=7200
        )
        await asyncio.sleep(120)
        await portway.until(
            lambda: all(self.is_still(s) for s in portway.world.stacks), within_s=7200
        )
        portway.check_nothing_left_over()
        for state in portway.world.apps.values():
            healthy = state.target.app.image not in ("crash", "never-healthy")
            if healthy and not state.halted:
                assert len([r for r in state.live if r.phase is Phase.READY]) == state.count, state

    def is_still(self, name: str) -> bool:
        """Rests, save that what cannot get healthy after a failed first deployment stays as it is."""
        portway = self.portway
        if portway.rests(name):
            return True
        stack = portway.world.stacks[name]
        moving = [
            state
            for state in portway.world.of_stack(name)
            if not state.halted
            and (
                state.target is None
                or state.target.app.image not in ("crash", "never-healthy")
                or (state.deployment and state.deployment.status == "running")
            )
            and any(r.phase is not Phase.READY for r in state.live)
        ]
        return not moving and not stack.deleting and stack.promoting is None


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whenever_the_controller_dies_the_next_one_comes_to_rest_with_nothing_lost(
    seed: int,
) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(live(seed))


async def live(seed: int) -> None:
    await Fate(seed).live()
