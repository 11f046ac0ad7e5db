"""The control plane alone: how long a pass, one App's step and the API's lists take, how much memory, and how each grows.

    .venv/bin/python benchmarks/control_plane.py            10,000 Apps, 50,000 instances, 1,000 nodes
    .venv/bin/python benchmarks/control_plane.py --quick    2,000 Apps

Everything is real but the engine, the balancer and the store, which are in memory: what is measured is deciding.
The world is at rest, as it nearly always is. Growth is the time per App against that with 100 Apps.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import structlog
from measure import Figure, arguments, report, seconds

from portway.assemble import MemoryChecker
from portway.balancers.memory import MemoryBalancer
from portway.config import Config
from portway.controller.clock import SystemClock
from portway.controller.loop import Controller
from portway.controller.operations import PortwayOperations
from portway.controller.ports.leases import Leases
from portway.core.app import Protocol
from portway.core.instance import (
    EngineState,
    InstanceIdentity,
    InstanceRecord,
    ObservedInstance,
    Phase,
)
from portway.core.observed import Observed
from portway.core.port_words import PortKind
from portway.core.ports import Lease, PortPool, PortRange
from portway.core.routing import project_routes
from portway.core.stack import Stack
from portway.core.state import AppState, Revision
from portway.engines.base import StartRequest
from portway.engines.memory import MemoryEngine
from portway.engines.memory.world import ImageBehaviour, MemoryInstance
from portway.manifests.compose import parse_compose
from portway.store.memory import MemoryDisk, MemoryStore

INSTANCES = 5
APPS_PER_STACK = 10
MANIFEST = "services:\n  web:\n    image: web\n    ports: ['8080']\n    deploy: {replicas: 5}\n"
LONG_AGO_MS = 1_700_000_000_000


class Fleet:
    """A controller that finds so many Apps, all of them as they should be."""

    def __init__(self, apps: int, nodes: int) -> None:
        self.clock = SystemClock()
        self.engine = MemoryEngine(nodes=nodes)
        self.balancer = MemoryBalancer()
        self.template = parse_compose(MANIFEST, stack="s0").apps[0]
        self.names = list(self.engine.world.nodes)
        disk = MemoryDisk()
        for nth in range(apps):
            self._add(disk, nth)
        leases = Leases(
            PortPool(PortRange(first=31000, last=32000), hold_down_ms=5000),
            PortPool(PortRange(first=10000, last=29999), hold_down_ms=5000, kind=PortKind.LISTENER),
            None,
            hold_down_ms=5000,
        )
        self.controller = Controller(
            engine=self.engine,
            balancer=self.balancer,
            store=MemoryStore(disk),
            leases=leases,
            checker=MemoryChecker(self.engine),
            clock=self.clock,
            publish_address="127.0.0.1",
        )
        config = Config(home=Path("/nowhere"), engine="memory")
        self.operations = PortwayOperations(self.controller, config, asyncio.Event())

    def _add(self, disk: MemoryDisk, nth: int) -> None:
        stack = f"s{nth // APPS_PER_STACK}"
        app = replace(self.template, id=f"{stack}/a{nth}")
        revision = Revision(id="R1", release="R1", app=app)
        records = tuple(self._record(app.id, nth, slot) for slot in range(1, INSTANCES + 1))
        state = AppState(
            app_id=app.id,
            target=revision,
            revisions={"R1": revision},
            count=INSTANCES,
            next_serial=INSTANCES + 1,
            instances=records,
            service_ports={app.ports[0].name: 10000 + nth},
            version=1,
        )
        seen = {r.id: self._run(r, revision) for r in records}
        observed = Observed(instances=seen, served=None, publish_address="127.0.0.1")
        for route in project_routes(state, observed):
            self.balancer.served[route.key] = route
        disk.apps[app.id] = state
        disk.stacks[stack] = Stack(
            name=stack, created_at_ms=LONG_AGO_MS, active_release="R1", history=("R1",)
        )

    def _record(self, app_id: str, nth: int, slot: int) -> InstanceRecord:
        number = nth * INSTANCES + slot - 1
        lease = Lease(
            port_name=self.template.ports[0].name,
            node=self.names[number % len(self.names)],
            protocol=Protocol.TCP,
            host_port=31000 + number // len(self.names),
            container_port=8080,
        )
        return InstanceRecord(
            identity=InstanceIdentity(
                id=f"{app_id}.{slot}.{slot}", app_id=app_id, slot=slot, serial=slot,
                revision="R1", release="R1", node=lease.node, leases=(lease,),
            ),
            phase=Phase.READY,
            planned_at_ms=LONG_AGO_MS,
            started_at_ms=LONG_AGO_MS,
            ready_at_ms=LONG_AGO_MS,
        )  # fmt: skip

    def _run(self, record: InstanceRecord, revision: Revision) -> ObservedInstance:
        address = self.engine.world.nodes[record.identity.node].address
        seen = ObservedInstance(
            identity=record.identity,
            state=EngineState.RUNNING,
            address=address,
            reaches_container=False,
            started_at_ms=LONG_AGO_MS,
        )
        request = StartRequest(
            identity=record.identity,
            revision=revision,
            environment={},
            command=None,
            command_text=None,
        )
        self.engine.world.instances[record.id] = MemoryInstance(
            request=request, behaviour=ImageBehaviour(), observed=seen
        )
        return seen

    async def open(self) -> None:
        """Until the controller has seen it all and finds nothing to do."""
        await self.balancer.open()
        await self.engine.open()
        await self.controller.store.open()
        await self.controller.open()
        for _ in range(2):
            await self.whole_pass()
        saved = len(self.controller.store.batches)  # type: ignore[attr-defined]
        await self.whole_pass()
        after = len(self.controller.store.batches)  # type: ignore[attr-defined]
        assert after == saved, f"{after - saved} Apps are not at rest"
        # What stays for as long as the server runs is not looked through again and again.
        gc.collect()
        gc.freeze()

    async def whole_pass(self) -> None:
        """One round over everything, engine and balancer read anew."""
        self.controller.observer.engine_is_stale = True
        self.controller.observer.served_is_stale = True
        self.controller.touch_all()
        await self.controller.work_once()

    async def resync(self) -> None:
        """The look at everything every few seconds, at the end of which most Apps are found at rest."""
        self.controller.observer.engine_is_stale = True
        self.controller.observer.served_is_stale = True
        self.controller.touch(*self.controller.rest.restless())
        await self.controller.work_once()

    async def longest_wait(self) -> float:
        """The longest time a caller who asks for one stack again and again waits while everything is planned anew."""
        waits: list[float] = []
        working = asyncio.get_running_loop().create_task(self.whole_pass())
        while not working.done():
            began_s = time.perf_counter()
            await asyncio.sleep(0)  # as a request that arrives now
            await self.operations.stack("s0")
            waits.append(time.perf_counter() - began_s)
        await working
        return max(waits)

    async def one_app(self, app_id: str) -> None:
        """A round because something happened to one App; nothing needs to be read anew."""
        self.controller.touch(app_id)
        await self.controller.work_once()


async def timed(call: Callable[[], Awaitable[object]], runs: int) -> float:
    """The median time of so many runs."""
    took: list[float] = []
    for _ in range(runs):
        began_s = time.perf_counter()
        await call()
        took.append(time.perf_counter() - began_s)
    return statistics.median(took)


async def measured(apps: int, nodes: int, runs: int) -> dict[str, float]:
    """Every figure at one size."""
    fleet = Fleet(apps, nodes)
    await fleet.open()
    middle = f"s{apps // 2 // APPS_PER_STACK}/a{apps // 2}"
    found = {
        "pass": await timed(fleet.whole_pass, runs),
        "resync": await timed(fleet.resync, 12),
        "one": await timed(lambda: fleet.one_app(middle), 50),
        "list": await timed(fleet.operations.stacks, runs),
        "scrape": await timed(fleet.operations.metrics, runs),
    }
    waits = [await fleet.longest_wait() for _ in range(runs)]
    found["wait"] = statistics.median(waits)
    # In Linux: kibibytes, of this process alone.
    found["bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found


def apart(apps: int, nodes: int, runs: int) -> dict[str, float]:
    """Measured in a process of its own, so that its memory is its own."""
    command = [sys.executable, __file__, "--one", f"{apps},{nodes},{runs}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if said.returncode:
        raise SystemExit(f"Measuring {apps} Apps failed:\n{said.stderr[-2000:]}")
    return json.loads(said.stdout.splitlines()[-1])


def idle(apps: int, watch_s: float) -> tuple[float, float]:
    """A real server with so many Apps and nothing to do: its resident bytes and the share of one core it uses."""
    with tempfile.TemporaryDirectory(prefix="pw") as home:
        environment = {**os.environ, "PORTWAY_HOME": home, "PORTWAY_ENGINE": "memory"}
        command = [sys.executable, "-m", "portway.cli"]
        server = subprocess.Popen(
            [*command, "server", "--listen", "none"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            manifest = Path(home) / "docker-compose.yml"
            services = (f"  a{n}:\n    image: a\n    ports: ['8080']\n" for n in range(apps))
            manifest.write_text("services:\n" + "".join(services))
            _until_there(Path(home) / "portway.sock")
            subprocess.run(
                [*command, "deploy", "-a", "idle", str(manifest)],
                env=environment, check=True, capture_output=True, timeout=300,
            )  # fmt: skip
            time.sleep(8)  # what a deploy leaves to do is done
            before_s = _cpu_s(server.pid)
            time.sleep(watch_s)
            share = (_cpu_s(server.pid) - before_s) / watch_s
            return _resident_bytes(server.pid), share * 100
        finally:
            server.terminate()
            server.wait(30)


def _until_there(path: Path) -> None:
    deadline_s = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > deadline_s:
            raise SystemExit(f"No server answers at {path}.")
        time.sleep(0.05)


def _cpu_s(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(process_id: int) -> int:
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * resource.getpagesize()


def megabytes(value_bytes: float) -> str:
    """Bytes as people read them."""
    return f"{value_bytes / 2**20:.0f} MB"


def figures(*, quick: bool) -> list[Figure]:
    """All of them. The aims are those of the full size; a smaller one has its share of them."""
    apps, nodes, runs = (2000, 200, 3) if quick else (10_000, 1000, 5)
    share = apps / 10_000
    small, large = apart(100, 10, 20), apart(apps, nodes, runs)
    size = f"{apps:,} Apps, {apps * INSTANCES:,} instances, {nodes:,} nodes"
    resident, percent = idle(100, 5.0 if quick else 20.0)
    growth = {name: large[name] / small[name] for name in ("pass", "one", "list")}
    return [
        Figure(name=f"Look at everything at rest, {size}", ours=seconds(large["resync"]), value=large["resync"], aim=1.0 * share, unit="s"),
        Figure(name="Full pass, every App planned anew", ours=seconds(large["pass"]), value=large["pass"], aim=1.0 * share, unit="s"),
        Figure(name="Longest wait of a call during a full pass", ours=seconds(large["wait"]), value=large["wait"] * 1000, aim=300 * share, unit="ms"),
        Figure(name="Pass for one App of them", ours=seconds(large["one"]), value=large["one"] * 1000, aim=2, unit="ms"),
        Figure(name="API list of every stack", ours=seconds(large["list"]), value=large["list"] * 1000, aim=300 * share, unit="ms"),
        Figure(name="Page of /metrics", ours=seconds(large["scrape"]), value=large["scrape"]),
        Figure(name="Memory, engine and store included", ours=megabytes(large["bytes"]), value=large["bytes"] / 2**20, aim=500, unit="MB"),
        Figure(name=f"Growth of a full pass, per App, 100 to {apps:,}", ours=f"{growth['pass'] / apps * 100:.2f} x", value=growth["pass"] / apps * 100, aim=1.5, unit="x"),
        Figure(name="Growth of one App's pass", ours=f"{growth['one']:.2f} x", value=growth["one"], aim=2, unit="x"),
        Figure(name="Growth of the API list, per App", ours=f"{growth['list'] / apps * 100:.2f} x", value=growth["list"] / apps * 100, aim=1.5, unit="x"),
        Figure(name="Idle server with 100 Apps, memory", ours=megabytes(resident), value=resident / 2**20, aim=80, unit="MB"),
        Figure(name="Idle server with 100 Apps, of one core", ours=f"{percent:.1f} %", value=percent, aim=1, unit="%"),
    ]  # fmt: skip


def main() -> int:
    """Measure and report."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        apps, nodes, runs = map(int, sys.argv[2].split(","))
        print(json.dumps(asyncio.run(measured(apps, nodes, runs))))
        return 0
    options = arguments(__doc__)
    return report(figures(quick=options.quick), options)


if __name__ == "__main__":
    sys.exit(main())
