"""MemoryWorld: the machines, ports, images and instances a MemoryEngine drives, and the faults it is told to show.

The world outlives its engine: hand it (or a `copy()` of it) to a new MemoryEngine and that one is the controller
that came after a crash. Must not know the clock; times are arguments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from enum import StrEnum

from portway.core.errors import EngineError
from portway.core.instance import EngineState, ObservedInstance
from portway.core.ports import ANY_ADDRESS, Lease
from portway.engines.base import LogLine, Node, StartRequest, Stream, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBehaviour:
    """What every instance of an image does; the default runs healthily until it is stopped.

    `exits_with`: it ends at once with that code. `ignores_signals`: only the kill after the grace period ends it.
    `missing`: the image is not here and cannot be pulled.
    """

    exits_with: int | None = None
    lines: tuple[str, ...] = ()
    error_lines: tuple[str, ...] = ()
    healthy: bool = True
    health_detail: str = ""
    ignores_signals: bool = False
    missing: bool = False
    container_ports: tuple[int, ...] = ()


BUILT_IN_BEHAVIOURS: Mapping[str, ImageBehaviour] = {
    "crash": ImageBehaviour(exits_with=1, lines=("about to crash",)),
    "never-healthy": ImageBehaviour(healthy=False, health_detail="HTTP 503 from /"),
    "stubborn": ImageBehaviour(ignores_signals=True),
    "missing": ImageBehaviour(missing=True),
}


class FaultKind(StrEnum):
    """FAIL: nothing is done, the error is raised. HANG: nothing is done and no answer comes until it is cancelled.
    LOSE_ANSWER: it is done, and the error raised all the same."""

    FAIL = "fail"
    HANG = "hang"
    LOSE_ANSWER = "lose_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong the next `times` calls of `operation` (of one instance, when `instance_id` says which).

    `operation` is the engine's method: start, stop, remove, list, nodes, check, exec, pull, build. `times` 0 = until
    `clear_faults`.
    """

    operation: str
    kind: FaultKind = FaultKind.FAIL
    error: EngineError = field(default_factory=lambda: EngineError("The engine did not answer."))
    instance_id: str = ""
    times: int = 1


@dataclass(slots=True)
class MemoryInstance:
    """One instance and everything about it that changes."""

    request: StartRequest
    behaviour: ImageBehaviour
    observed: ObservedInstance
    lines: list[LogLine] = field(default_factory=list)
    health: tuple[bool, str] = (True, "")
    followers: set[asyncio.Event] = field(default_factory=set)

    @property
    def running(self) -> bool:
        return self.observed.state is EngineState.RUNNING

    def write(self, line: LogLine) -> None:
        """Add one line of output and wake whoever follows it."""
        self.lines.append(line)
        self.wake()

    def wake(self) -> None:
        for follower in self.followers:
            follower.set()


PortKey = tuple[str, str, int]  # node, protocol, host_port
STRANGER = ""  # holds a port without being an instance


class MemoryWorld:
    """The state behind one or more MemoryEngines. Every single-instance operation costs the same at any size."""

    def __init__(self, *, nodes: int = 1) -> None:
        assert 1 <= nodes <= 250 * 250, nodes
        names = ("local",) if nodes == 1 else tuple(f"node-{n}" for n in range(1, nodes + 1))
        self.nodes = {
            name: Node(name=name, address=f"10.0.{n // 250}.{n % 250 + 1}")
            for n, name in enumerate(names)
        }
        self.instances: dict[str, MemoryInstance] = {}
        self.behaviours: dict[str, ImageBehaviour] = dict(BUILT_IN_BEHAVIOURS)
        self.image_names: dict[str, str] = {}  # immutable id -> the name it was resolved from
        self.ports: dict[PortKey, dict[str, str]] = {}  # -> address -> instance id or STRANGER
        self.faults: dict[str, list[Fault]] = {}
        self.usage: dict[str, Usage] = {}

    def copy(self) -> MemoryWorld:
        """The same world, sharing nothing that changes; followers and faults stay behind."""
        other = MemoryWorld()
        other.nodes = dict(self.nodes)
        other.behaviours = dict(self.behaviours)
        other.image_names = dict(self.image_names)
        other.usage = dict(self.usage)
        other.ports = {key: dict(holders) for key, holders in self.ports.items()}
        for instance_id, instance in self.instances.items():
            twin = copy(instance)
            twin.lines, twin.followers = list(instance.lines), set()
            other.instances[instance_id] = twin
        return other

    def behaviour_of(self, request: StartRequest) -> ImageBehaviour:
        """By the image as written, then without its tag; by the command where there is no image."""
        app = request.revision.app
        image = self.image_names.get(app.image or "", app.image or "")
        if image:
            return self.image_behaviour(image)
        program = request.command[0] if request.command else request.command_text or ""
        return self.behaviours.get(program, ImageBehaviour())

    def image_behaviour(self, image: str) -> ImageBehaviour:
        """By the image as written, then without its tag, then without its registry too; else the default."""
        name = self.image_names.get(image, image)
        bare = name.partition("@")[0]
        repository, colon, tag = bare.rpartition(":")
        bare = repository if colon and "/" not in tag else bare
        for known in (name, bare, bare.rpartition("/")[2]):
            if known in self.behaviours:
                return self.behaviours[known]
        return ImageBehaviour()

    def take_fault(self, operation: str, instance_id: str = "") -> Fault | None:
        """The fault this call shows, used up by one."""
        waiting = self.faults.get(operation)
        for at, fault in enumerate(waiting or ()):
            if fault.instance_id in ("", instance_id):
                assert waiting is not None
                if fault.times == 1:
                    del waiting[at]
                elif fault.times > 1:
                    waiting[at] = replace(fault, times=fault.times - 1)
                return fault
        return None

    def port_holder(self, lease: Lease) -> str | None:
        """Who has the leased host port (STRANGER = no instance); None when it is free."""
        holders = self.ports.get(port_key(lease))
        if not holders:
            return None
        if lease.address == ANY_ADDRESS:
            return next(iter(holders.values()))
        return holders.get(lease.address, holders.get(ANY_ADDRESS))

    def take_ports(self, instance_id: str, leases: tuple[Lease, ...]) -> None:
        """Note that the instance has these ports from now on."""
        for lease in leases:
            self.ports.setdefault(port_key(lease), {})[lease.address] = instance_id

    def free_ports(self, instance_id: str, leases: tuple[Lease, ...]) -> None:
        """Give back those of these ports that the instance still has."""
        for lease in leases:
            holders = self.ports.get(port_key(lease), {})
            if holders.get(lease.address) == instance_id:
                del holders[lease.address]
            if not holders:
                self.ports.pop(port_key(lease), None)

    def end(
        self,
        instance_id: str,
        *,
        exit_code: int | None,
        oom_killed: bool = False,
        error: str = "",
    ) -> None:
        """A running instance ends; its ports are free again."""
        instance = self.instances[instance_id]
        assert instance.observed.state is not EngineState.EXITED, instance_id
        self.free_ports(instance_id, instance.observed.identity.leases)
        instance.observed = replace(
            instance.observed,
            state=EngineState.EXITED,
            exit_code=exit_code,
            oom_killed=oom_killed,
            error=error,
            engine_health="",
            containers=tuple(
                replace(
                    c,
                    state=EngineState.EXITED,
                    exit_code=exit_code,
                    oom_killed=oom_killed,
                    health="",
                )
                if c.state is EngineState.RUNNING
                else c
                for c in instance.observed.containers
            ),
        )
        instance.wake()

    def print_line(self, instance_id: str, text: str, *, at_ms: int, stream: Stream) -> None:
        """One line of output of an instance."""
        self.instances[instance_id].write(LogLine(at_ms=at_ms, stream=stream, text=text))


def port_key(lease: Lease) -> PortKey:
    """What two leases must share to conflict, addresses apart."""
    return lease.node, lease.protocol.value, lease.host_port
