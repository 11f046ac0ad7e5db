"""A whole controller in one process, on engines without machines and on time that passes only when nothing happens."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from portway.assemble import MemoryChecker, MemoryTargetChecker
from portway.balancers.memory import MemoryBalancer
from portway.config import Config
from portway.controller.loop import Controller
from portway.controller.operations import PortwayOperations
from portway.controller.ports.leases import Leases, PortGuard
from portway.controller.views import PromotionView, ReleaseRequest, ReleaseView
from portway.core.app import Protocol
from portway.core.events import Event
from portway.core.instance import EngineState, Phase
from portway.core.port_words import PortKind
from portway.core.ports import Holder, PortPool, PortRange
from portway.core.state import AppState, DeploymentStatus
from portway.engines.memory import MemoryEngine, MemoryWorld
from portway.store.memory import MemoryDisk, MemoryStore

EPOCH_MS = 1_700_000_000_000
HOST_PORTS = PortRange(first=31000, last=31999)
SERVICE_PORTS = PortRange(first=10000, last=10999)


class _SkippingSelector:
    """Looks at real files without waiting; what it is asked to wait for, it lets pass at once."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = self._real.select(0 if timeout is not None else None)
        if not ready and timeout:
            self.now_s += max(0.0, timeout)
        return ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on which nobody ever really waits; hours pass in a moment."""

    def __init__(self) -> None:
        self._skipping = _SkippingSelector()
        super().__init__(self._skipping)  # type: ignore[arg-type]

    def time(self) -> float:
        return self._skipping.now_s

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Threads end in real time, of which Python 3.12 would skip all that it allows them."""
        await super().shutdown_default_executor()


class LoopClock:
    """What the running loop calls now."""

    def now_ms(self) -> int:
        return EPOCH_MS + int(asyncio.get_running_loop().time() * 1000)


class FakeGuard:
    """A kernel with other programs in it."""

    def __init__(self) -> None:
        self.foreign: dict[int, str] = {}  # port -> who has it
        self.claimed_elsewhere: set[int] = set()
        self.in_use: set[int] = set()  # bound by our own instances
        self.claims: set[int] = set()

    def occupied(self) -> Mapping[tuple[Protocol, int], Holder]:
        return {}

    def bind_test(self, protocol: Protocol, address: str, number: int) -> str | None:
        taken = number in self.foreign or number in self.in_use
        return f"{number} is in use" if taken else None

    def claim(self, protocol: Protocol, number: int) -> bool:
        if number in self.claimed_elsewhere:
            return False
        self.claims.add(number)
        return True

    def release_claim(self, protocol: Protocol, number: int) -> None:
        self.claims.discard(number)

    def holder(self, protocol: Protocol, number: int) -> Holder | None:
        return Holder(description=self.foreign[number]) if number in self.foreign else None


def compose(**services: str) -> str:
    """A manifest of services, each with its keys as lines: compose(web="image: web; ports: ['80:80']")."""
    lines = ["services:"]
    for name, keys in services.items():
        lines.append(f"  {name.replace('_', '-')}:")
        lines.extend(f"    {key.strip()}" for key in keys.split(";"))
    return "\n".join(lines) + "\n"


WEB = compose(web="image: web; ports: ['80:8080']")


class Portway:
    """One controller at work, and everything around it."""

    def __init__(
        self,
        *,
        disk: MemoryDisk | None = None,
        world: MemoryWorld | None = None,
        balancer: MemoryBalancer | None = None,
        guard: PortGuard | None = None,
        nodes: int = 1,
        host_ports: PortRange = HOST_PORTS,
        hold_down_ms: int = 5000,
        store: MemoryStore | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.clock = LoopClock()
        self.engine = MemoryEngine(nodes=nodes, clock=self.clock.now_ms, world=world)
        self.balancer = balancer or MemoryBalancer()
        self.store = store or MemoryStore(disk)
        self.leases = Leases(
            PortPool(host_ports, hold_down_ms=hold_down_ms),
            PortPool(SERVICE_PORTS, hold_down_ms=hold_down_ms, kind=PortKind.LISTENER),
            guard,
            hold_down_ms=hold_down_ms,
        )
        self.controller = Controller(
            engine=self.engine,
            balancer=self.balancer,
            store=self.store,
            leases=self.leases,
            checker=MemoryChecker(self.engine),
            target_checker=MemoryTargetChecker(self.engine),
            clock=self.clock,
            publish_address="127.0.0.1",
        )
        config = Config(home=Path("/nowhere"), engine="memory", **(settings or {}))
        self.operations = PortwayOperations(self.controller, config, asyncio.Event())
        self._work: asyncio.Task[None] | None = None

    @property
    def world(self) -> Any:
        return self.controller.world

    async def open(self) -> None:
        """Start to work."""
        await self.store.open()
        await self.balancer.open()
        await self.controller.open()
        self._work = asyncio.get_running_loop().create_task(self.controller.run())

    async def crash(self) -> None:
        """Stop wherever it is; what runs goes on running."""
        assert self._work is not None
        self._work.cancel()
        await asyncio.wait([self._work])
        if not self._work.cancelled():
            self._work.result()
        self.store.crash()

    async def successor(self, **fields: Any) -> Portway:
        """The controller that comes after this one, on the same store, engine and balancer."""
        await self.crash()
        after = Portway(
            disk=self.store.disk, world=self.engine.world, balancer=self.balancer, **fields
        )
        await after.open()
        return after

    async def release(self, stack: str, manifest: str, **fields: Any) -> ReleaseView:
        request = ReleaseRequest(manifest=manifest, **fields)
        return await self.operations.create_release(stack, request)

    async def promote(self, stack: str, manifest: str, **fields: Any) -> PromotionView:
        """Make a release and promote it, without waiting."""
        release = await self.release(stack, manifest, **fields)
        return await self.operations.promote(stack, release.id)

    async def deploy(self, stack: str, manifest: str, **fields: Any) -> PromotionView:
        """Promote, and wait until the stack rests."""
        promotion = await self.promote(stack, manifest, **fields)
        await self.settled(stack)
        return promotion

    async def until(self, what: Callable[[], Any], *, within_s: float = 3600.0) -> Any:
        """Let time pass until it is true."""
        end_s = asyncio.get_running_loop().time() + within_s
        while not (value := what()):
            assert asyncio.get_running_loop().time() < end_s, f"not within {within_s} s: {what}"
            await asyncio.sleep(0.05)
        return value

    async def settled(self, *stacks: str) -> None:
        """Let time pass until the stacks (all, when none is named) rest."""
        await asyncio.sleep(0.2)
        await self.until(lambda: all(self.rests(s) for s in stacks or tuple(self.world.stacks)))

    def rests(self, name: str) -> bool:
        """Whether no deployment of the stack runs and nothing of it comes or goes."""
        stack = self.world.stacks.get(name)
        if stack is None:
            return True
        states = self.world.of_stack(name)
        moving = any(
            state.target is None
            or (state.deployment and state.deployment.status is DeploymentStatus.RUNNING)
            or any(r.phase is not Phase.READY for r in state.live)
            for state in states
        )
        return not moving and not stack.deleting and stack.promoting is None

    async def idle(self, seconds: float) -> None:
        """Let so much time pass."""
        await asyncio.sleep(seconds)

    def app(self, app_id: str) -> AppState:
        return self.world.apps[app_id]

    def live(self, app_id: str) -> list[str]:
        """The ids of the App's live instances, oldest first."""
        return [r.id for r in self.app(app_id).live]

    def running(self) -> list[str]:
        """What the engine runs."""
        return [
            i.observed.id
            for i in self.engine.world.instances.values()
            if i.observed.state is EngineState.RUNNING
        ]

    def serving(self, service_port: int) -> list[str]:
        """Who the balancer has behind a listener."""
        return [
            endpoint.instance_id
            for key, route in self.balancer.served.items()
            if key.service_port == service_port
            for endpoint in route.endpoints
        ]

    def listeners(self) -> list[int]:
        return sorted(key.service_port for key in self.balancer.served)

    @property
    def events(self) -> list[Event]:
        return self.store.disk.events

    def kinds(self, stack: str = "") -> list[str]:
        return [e.kind for e in self.events if stack in ("", e.stack)]

    def check_invariants(self) -> None:
        """What must hold at every moment, whatever went wrong before."""
        self._check_leases()
        for route in self.balancer.served.values():
            for endpoint in route.endpoints:
                record = self.world.find_record(endpoint.instance_id)
                assert record is not None, f"{endpoint} is served and unknown"
                assert record.ready_at_ms is not None, f"{endpoint} is served, never healthy"

    def _check_leases(self) -> None:
        held = [
            (lease.node, lease.protocol, lease.host_port)
            for state in self.world.apps.values()
            for record in state.live
            for lease in record.identity.leases
        ]
        assert len(held) == len(set(held)), f"a port is leased twice: {sorted(held)}"
        pool = [(x.node, x.protocol, x.host_port) for x, _ in self.leases.host_pool.leases()]
        assert sorted(pool) == sorted(held), "the pool is not what the records hold"

    def check_nothing_left_over(self) -> None:
        """At rest the engine runs exactly the records, and nothing is kept about what is gone."""
        records = {r.id for state in self.world.apps.values() for r in state.live}
        assert set(self.engine.world.instances) == records
        owners = {route.owner for route in self.balancer.served.values()}
        assert owners <= set(self.world.apps)
        world = self.world
        for kept in (world.health, world.last_words, world.start_failures):
            assert set(kept) <= records, kept
        for kept in (world.blocked, world.route_errors, world.applied):
            assert set(kept) <= set(world.apps), kept
        self.check_invariants()


@asynccontextmanager
async def running_portway(**fields: Any) -> AsyncIterator[Portway]:
    """A portway for the length of the block."""
    portway = Portway(**fields)
    await portway.open()
    try:
        yield portway
    finally:
        await portway.crash()
