"""The controller dies at every point of every kind of change, not at some of them; the next one brings it to its end.

A point is before and after every call of engine, balancer and store. What a call that only looks leaves behind is
what was there before it, so of the points between two changes of the world the first stands for all. A call on its
way to the engine when the controller dies may still arrive: that is tried too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from unittest import mock

import pytest

from portway.controller import clock as clock_module
from tests.simulation.eventloop import simulate
from tests.simulation.histories import Step
from tests.simulation.machine import LATE_ONES, Machine
from tests.simulation.story import Life
from tests.simulation.surroundings import Letters, listening

SEED = 1
LATE_S = 0.3
WEB, WEB_2, CRASH, SICK = 0, 1, 5, 6


def deploy(image: int = WEB, *, worker: int = 0, count: int = 2, rollout: int = 0) -> Step:
    return Step("deploy", (0, image, worker, count, rollout, 0))


def order(name: str, *arguments: int) -> Step:
    return Step(name, (0, *arguments, 0))


def strategy(kind: str, image: int) -> Step:
    return Step("strategy", (image, 3, kind, False))


def put(image: int = WEB, *, app: int = 0, count: int = 2) -> Step:
    """As ECS does it, in a loose stack."""
    return Step("put", (app, image, count, 1))


def wait(seconds: float) -> Step:
    return Step("wait", (seconds,))


# What runs before, and what is done then.
KINDS: dict[str, tuple[Sequence[Step], Sequence[Step]]] = {
    "a first deploy": ([], [deploy()]),
    "a first deploy that fails": ([], [deploy(CRASH)]),
    "a rolling redeploy": ([deploy(count=3)], [deploy(WEB_2, count=3)]),
    "a redeploy that stops first": (
        [deploy(count=3, rollout=2)],
        [deploy(WEB_2, count=3, rollout=2)],
    ),
    "one at a time on a fixed port": ([deploy(worker=3)], [deploy(WEB_2, worker=3), order("restart")]),
    "a release without one of its apps": ([deploy(worker=1)], [deploy(WEB_2)]),
    "a change in place": ([deploy()], [deploy(rollout=4)]),
    "scaling up": ([deploy(count=1)], [order("scale", 4)]),
    "scaling down": ([deploy(count=4)], [order("scale", 1)]),
    "a restart": ([deploy(worker=1)], [order("restart")]),
    "a rollback": ([deploy(), wait(8.0), deploy(WEB_2)], [order("rollback")]),
    "a failed deploy that goes back": ([deploy(worker=1)], [deploy(CRASH, worker=2)]),
    "a deploy that never gets healthy": ([deploy()], [deploy(SICK)]),
    "a cancelled deploy": ([deploy()], [deploy(SICK), wait(1.0), order("cancel")]),
    "a change of variables": ([deploy()], [order("env", 1)]),
    "a stopped instance": ([deploy()], [order("stop", 0)]),
    "a canary": ([deploy(count=3)], [strategy("canary", WEB_2)]),
    "a canary that fails": ([deploy(count=3)], [strategy("canary", CRASH)]),
    "a blue-green": ([deploy(count=3)], [strategy("blue-green", WEB_2)]),
    "a blue-green that is cancelled": (
        [deploy(count=3)],
        [strategy("blue-green", WEB_2), wait(0.4), order("cancel")],
    ),
    "a pause and its end": (
        [deploy(count=3)],
        [deploy(WEB_2, count=3), order("pause"), wait(1.0), order("resume")],
    ),
    "an aborted first deploy": ([], [deploy(SICK, worker=1), wait(1.0), order("cancel")]),
    "a canary that holds": (
        [deploy(count=3)],
        [Step("strategy", (WEB_2, 3, "canary", True, 0, "40%", 1.0, 4))],
    ),
    "a deletion in the midst of a deploy": ([], [deploy(), order("delete")]),
    "an app put": ([put()], [put(app=1)]),
    "an app put anew": ([put(count=3), put(app=1)], [put(WEB_2, count=3)]),
    "an app put that fails and goes back": ([put()], [put(CRASH)]),
    "an app put over a running deployment": ([put()], [put(SICK), wait(1.0), put(WEB_2, count=3)]),
    "an app taken away": ([put(), put(app=1)], [Step("take away", (0,))]),
    "a deletion": ([deploy(worker=1)], [order("delete")]),
}  # fmt: skip


@dataclass
class World:
    """What a controller left behind that died there, and the call of it that is still to arrive."""

    where: str
    machine: Machine
    late: tuple[str, str] | None = None


@dataclass
class Points:
    """The moments at which the controller could have died, and the machine as it was at each that differs."""

    machine: Machine
    passed: int = 0
    worlds: list[World] = field(default_factory=list)
    _seen: int = -1

    def note(self, operation: str, subject: str, when: str) -> None:
        self.passed += 1
        if self.machine.changes != self._seen:
            self._seen = self.machine.changes
            self.worlds.append(World(f"{when} {operation} {subject}", self.machine.copy()))
        if when == "before" and operation in LATE_ONES:
            where = f"with {operation} {subject} on its way"
            self.worlds.append(World(where, self.machine.copy(), (operation, subject)))


async def walk(kind: str, points: Points) -> None:
    """The kind of change from beginning to end, with every point noted."""
    before, then = KINDS[kind]
    life = Life(points.machine)
    await life.now.open()
    await life.go_through(before)
    await life.settle()
    life.now.gate.on_step = points.note
    await life.go_through(then)
    await life.settle()
    await life.check_rest()
    await life.now.kill()


async def resume(world: World, shouts: list[str]) -> None:
    """The next controller, from there to rest."""
    life = Life(world.machine)
    life.shouts = shouts
    await life.now.open()
    if world.late is not None:
        loop = asyncio.get_running_loop()
        loop.call_later(LATE_S, world.machine.deliver, *world.late)
    await life.do_resume(
        0, 0
    )  # a pause outlives the controller; where nothing is paused it is refused
    await life.rest()
    await life.now.kill()


def enumerated(kind: str) -> Points:
    points = Points(Machine(seed=SEED))
    simulate(walk(kind, points))
    return points


@pytest.mark.parametrize("kind", KINDS)
def test_wherever_the_controller_dies_the_next_one_brings_it_to_its_end(kind: str) -> None:
    with mock.patch.object(clock_module, "secrets", Letters(SEED)), listening() as shouts:
        points = enumerated(kind)
        assert points.worlds
        for world in points.worlds:
            try:
                simulate(resume(world, shouts))
            except AssertionError as error:
                pytest.fail(f"{kind}, died {world.where}: {error}", pytrace=False)
