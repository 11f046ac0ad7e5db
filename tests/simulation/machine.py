"""The machine of a simulated portway: all that outlives its controllers, what goes wrong with it, and what was seen.

Every call a controller makes of engine, balancer, store or checker passes the gate of its incarnation. There it takes
its time, may fail in every way it can fail in, and there the controller may die: before the call or right after it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from portway.balancers.memory import MemoryBalancer
from portway.core.errors import BalancerError, EngineError, PortwayError, StoreError
from portway.core.instance import EngineState
from portway.core.state import AppState
from portway.engines.base import StartRequest
from portway.engines.memory import ImageBehaviour, MemoryEngine, MemoryWorld
from portway.store.memory import MemoryDisk
from tests.simulation.invariants import BrokenError

T = TypeVar("T")

EPOCH_MS = 1_700_000_000_000
SLOW_START_S = 3.0
FRAGILE_LIVES_S = 15.0
READY_AFTER_S = 2.0
IMAGES = ("web", "web:2", "web:3", "slow", "fragile", "crash", "never-healthy")
HOPELESS = ("fragile", "crash", "never-healthy")
ERRORS: dict[str, Callable[[], PortwayError]] = {
    "apply": lambda: BalancerError("The socket is gone."),
    "observe": lambda: BalancerError("The socket is gone."),
    "save": lambda: StoreError("The disk is full."),
    "read": lambda: StoreError("The disk cannot be read."),
}
LATE_ONES = ("start", "stop", "remove")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFault:
    """What the next calls of `operation` meet.

    fail: nothing is done, an error comes back. lose: it is done, and an error comes back. twice: it is done two
    times. hang: nothing is done, no answer comes. slow: the answer takes long. stale: an old answer. empty: "there is
    nothing".
    """

    operation: str
    kind: str
    times: int = 1
    retryable: bool = True

    def error(self) -> PortwayError:
        """What the caller is told."""
        known = ERRORS.get(self.operation)
        return known() if known else EngineError("no answer", retryable=self.retryable)


@dataclass(slots=True)
class Lie:
    """What a checker says of an instance whatever is true: False, True, or None for "I broke"."""

    passed: bool | None
    times: int
    takes_s: float = 0.0


@dataclass
class Machine:
    """Instances, routes, the disk and the wall clock. One seed decides how long everything takes."""

    seed: int
    nodes: int = 1
    world: MemoryWorld = field(init=False)
    balancer: MemoryBalancer = field(default_factory=MemoryBalancer)
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    wall_offset_ms: int = 0
    faults: dict[str, list[CallFault]] = field(default_factory=dict)
    lies: dict[str, Lie] = field(
        default_factory=dict
    )  # by what is asked: an instance, or its readiness
    unready: dict[str, int] = field(
        default_factory=dict
    )  # every so many ms it changes its mind; 0: it stays so
    silent: bool = False
    quiet_end_ms: int = 0
    stale: dict[str, object] = field(default_factory=dict)
    ever_healthy: set[str] = field(default_factory=set)
    ever_ready: set[str] = field(default_factory=set)
    acknowledged: dict[str, AppState] = field(default_factory=dict)
    resting: dict[object, int] = field(default_factory=dict)
    claims: dict[object, object] = field(default_factory=dict)
    broken: BrokenError | None = None
    trace: list[str] | None = None
    requests: dict[str, StartRequest] = field(default_factory=dict)
    epoch_ms: int = EPOCH_MS
    changes: int = 0  # how many calls did something

    def __post_init__(self) -> None:
        self.random = random.Random(f"machine {self.seed}")
        self.world = MemoryWorld(nodes=self.nodes)
        self.world.behaviours["fragile"] = ImageBehaviour()
        self.hands = MemoryEngine(world=self.world, clock=self.wall_ms)

    def copy(self) -> Machine:
        """The same machine at this moment, to go on from; faults and what is on its way stay behind."""
        other = Machine(seed=self.seed, nodes=self.nodes)
        other.world = self.world.copy()
        other.hands = MemoryEngine(world=other.world, clock=other.wall_ms)
        other.balancer.served = dict(self.balancer.served)
        other.disk = replace(
            self.disk,
            apps=dict(self.disk.apps),
            stacks=dict(self.disk.stacks),
            releases=dict(self.disk.releases),
            certificates=dict(self.disk.certificates),
            events=list(self.disk.events),
            holder=None,
        )
        other.ever_healthy = set(self.ever_healthy)
        other.ever_ready = set(self.ever_ready)
        other.resting = dict(self.resting)
        other.requests = dict(self.requests)
        other.epoch_ms = self.true_ms()
        return other

    def wall_ms(self) -> int:
        """What a clock on the wall of this machine shows."""
        return self.true_ms() + self.wall_offset_ms

    def true_ms(self) -> int:
        """How long it really is since the epoch: no clock here knows."""
        return self.epoch_ms + int(asyncio.get_running_loop().time() * 1000)

    def running(self) -> list[str]:
        """What really runs, whatever anybody says."""
        return [
            i.observed.id
            for i in self.world.instances.values()
            if i.observed.state is EngineState.RUNNING
        ]

    def asked_for_readiness(self) -> set[str]:
        """The instances that have a check for it."""
        found = self.world.instances.items()
        return {i for i, one in found if one.request.revision.app.readiness is not None}

    def take_fault(self, operation: str) -> CallFault | None:
        """What this call meets."""
        waiting = self.faults.get(operation)
        if not waiting:
            return None
        fault = waiting.pop(0)
        if fault.times > 1:
            waiting.insert(
                0, CallFault(operation=operation, kind=fault.kind, times=fault.times - 1)
            )
        return fault

    def latency_s(self, operation: str) -> float:
        """How long one call takes; most are quick, some are not."""
        dice = self.random.random()
        if dice < 0.5:
            return 0.0
        return 0.004 * dice if dice < 0.97 else (0.4 if operation == "save" else 1.5)

    def note(self, text: str) -> None:
        """Keep a line for whoever looks into this history."""
        if self.trace is not None:
            self.trace.append(f"{asyncio.get_running_loop().time():9.3f}  {text}")

    def break_with(self, error: BrokenError) -> None:
        """The first thing that broke is what the history is about."""
        self.broken = self.broken or error
        self.note(f"BROKEN {error}")

    def deliver(self, operation: str, instance_id: str) -> None:
        """What a controller that is dead now asked the engine for arrives after all."""
        with suppress(PortwayError):
            match operation:
                case "start":
                    self.hands._start(self.requests[instance_id])
                case "stop":
                    self.hands._stop(instance_id)
                case "remove":
                    self.hands._remove(instance_id)
                case _:
                    return

    def heal(self) -> None:
        """No more faults of any kind."""
        self.faults.clear()
        self.lies.clear()
        self.unready.clear()
        self.claims.clear()
        self.stale.clear()
        self.silent = False
        self.balancer.connections.clear()
        self.balancer.blocked.clear()
        self.hands.clear_faults()
        for name, node in self.world.nodes.items():
            if not node.available:
                self.hands.regain_node(name)
        for holders in list(self.world.ports.values()):
            for address in [a for a, holder in holders.items() if holder == ""]:
                del holders[address]

    def end_of(self, instance_id: str, image: str) -> None:
        """What the image does later by itself."""
        if image == "fragile":
            loop = asyncio.get_running_loop()
            loop.call_later(FRAGILE_LIVES_S, self._die, instance_id)

    def _die(self, instance_id: str) -> None:
        if instance_id in self.running():
            self.hands.kill(instance_id, exit_code=1)


class Gate:
    """What stands between one incarnation of the controller and the machine. Severed, nothing passes any more."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.severed = False
        self.late = False
        self.dies_in: int | None = None
        self.died = asyncio.Event()
        self.on_step: Callable[[str, str, str], None] = lambda _operation, _subject, _when: None

    def sever(self) -> None:
        """The controller is dead."""
        self.severed = True
        self.died.set()

    async def call(self, operation: str, subject: str, act: Callable[[], T]) -> T:
        """Do it as the machine is disposed to at this moment."""
        machine = self.machine
        await self._step(operation, subject, "before", act)
        fault = machine.take_fault(operation)
        kind = fault.kind if fault else ""
        wait_s = 5.0 if kind == "slow" else machine.latency_s(operation)
        if wait_s:
            await asyncio.sleep(wait_s)
            await self._step(operation, subject, "before", act)
        if machine.trace is not None and (kind or operation not in ("list", "nodes", "observe")):
            machine.note(f"{operation} {subject} {kind}")
        if fault is not None and kind == "fail":
            raise fault.error()
        if kind == "hang":
            await asyncio.Event().wait()
        answer = self._done(operation, kind, act)
        await self._step(operation, subject, "after", None)
        if fault is not None and kind == "lose":
            raise fault.error()
        return answer

    def _done(self, operation: str, kind: str, act: Callable[[], T]) -> T:
        stale = self.machine.stale
        if kind == "stale" and operation in stale:
            return stale[operation]  # type: ignore[return-value]
        if kind == "empty":
            return ()  # type: ignore[return-value]
        try:
            answer = act()
            if kind == "twice":
                answer = act()
        except BrokenError as error:
            self.machine.break_with(error)
            self.sever()
            raise
        if operation in ("list", "observe"):
            stale[operation] = answer
        elif operation != "nodes":
            self.machine.changes += 1
        return answer

    async def _step(
        self, operation: str, subject: str, when: str, act: Callable[[], object] | None
    ) -> None:
        """A moment at which the controller may die."""
        if not self.severed:
            self.on_step(operation, subject, when)
            if self.dies_in is not None:
                self.dies_in -= 1
                if self.dies_in < 0:
                    self.machine.note(f"the controller dies {when} {operation} {subject}")
                    self.sever()
        if self.severed:
            if self.late and act is not None and operation in LATE_ONES:
                self._later(operation, subject)
            await asyncio.Event().wait()

    def _later(self, operation: str, subject: str) -> None:
        """What was sent before the controller died arrives after its successor has come."""

        self.late = False
        asyncio.get_running_loop().call_later(0.3, self.machine.deliver, operation, subject)
