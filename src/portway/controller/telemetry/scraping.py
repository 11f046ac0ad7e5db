"""Scraping: the page at /metrics, put together when it is asked for. What can be looked up is not counted along the way."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

import portway
from portway.balancers.base import BalancerInfo
from portway.controller.loop import Controller
from portway.controller.telemetry.metrics import COUNTED
from portway.controller.world import World
from portway.core.errors import BalancerError
from portway.core.exposition import Family, Kind, Labels, Series, render
from portway.core.health import Health, HealthStatus
from portway.core.instance import Phase
from portway.core.ports import PortRange
from portway.core.routes import EndpointState, ServedRoute
from portway.core.state import DeploymentStatus
from portway.core.traffic import Traffic

_LISTENER = ("stack", "app", "listener")
_FAILURES = tuple(field.name for field in fields(Traffic) if field.name != "requests")


def _gauge(name: str, help_: str, *labels: str) -> Family:
    return Family(name=name, kind=Kind.GAUGE, help=help_, labels=labels)


def _counter(name: str, help_: str, *labels: str) -> Family:
    return Family(name=name, kind=Kind.COUNTER, help=help_, labels=labels)


BUILD = _gauge("portway_build_info", "Always 1; the labels say which portway this is.", "version", "engine", "python")  # fmt: skip
QUEUE = _gauge("portway_controller_queue_length", "Apps that the last round had to look at.")
PROBLEMS = _gauge("portway_controller_problems", "What `portway server status` tells of as a problem.")  # fmt: skip
APPS = _gauge("portway_apps", "Apps that are known.")
NODES = _gauge("portway_nodes", "Nodes that take instances.")
INSTANCES = _gauge("portway_instances", "Instances by the phase of their life.", "phase")
VERDICTS = _gauge("portway_instance_verdicts", "Running instances by the judge's verdict.", "verdict")  # fmt: skip
RUNNING = _gauge("portway_deployments_running", "Deployments of Apps under way.")
LEASED = _gauge("portway_host_ports_leased", "Host ports held by instances, on all nodes.")
COOLING = _gauge("portway_host_ports_cooling", "Host ports given back and not given out again yet.")
RANGE = _gauge("portway_host_ports_range", "Host ports of the range, on one node.")
REFUSALS = _counter(
    "portway_host_port_refusals_total",
    "Host ports that were free in the books and taken in the kernel or the engine.",
)
LISTENERS = _gauge("portway_service_ports_leased", "Listener ports that portway chose.")
UP = _gauge("portway_balancer_up", "1 while the balancer answers.")
RELOADS = _counter("portway_balancer_reloads_total", "Reloads of the balancer since this home began.")  # fmt: skip
RESTARTS = _counter("portway_balancer_restarts_total", "Times the balancer had to be started again.")  # fmt: skip
REQUESTS = _counter("portway_listener_requests_total", "Requests, or connections where it is TCP.", *_LISTENER)  # fmt: skip
FAILURES = _counter("portway_listener_failures_total", "What went wrong at a listener, by cause.", *_LISTENER, "cause")  # fmt: skip
CONNECTIONS = _gauge("portway_listener_connections", "Connections open at the instances now.", *_LISTENER)  # fmt: skip
ENDPOINTS = _gauge("portway_listener_endpoints", "Servers behind a listener by state.", *_LISTENER, "state")  # fmt: skip
RSS = _gauge("process_resident_memory_bytes", "Resident memory of the server.")
CPU = _counter("process_cpu_seconds_total", "User and system time the server used.")
FDS = _gauge("process_open_fds", "Files and sockets the server has open.")
FDS_MAX = _gauge("process_max_fds", "How many it may have open.")
STARTED = _gauge("process_start_time_seconds", "When the server started, in Unix seconds.")

LOOKED_UP = (
    BUILD, QUEUE, PROBLEMS, APPS, NODES, INSTANCES, VERDICTS, RUNNING, LEASED, COOLING, RANGE, REFUSALS, LISTENERS,
    UP, RELOADS, RESTARTS, REQUESTS, FAILURES, CONNECTIONS, ENDPOINTS, RSS, CPU, FDS, FDS_MAX, STARTED,
)  # fmt: skip
FAMILIES = (*COUNTED, *LOOKED_UP)

Found = Iterator[tuple[Family, Series]]


async def scrape(
    controller: Controller, *, engine: str, host_ports: PortRange, started_at_ms: int
) -> str:
    """Every family, also those without a series yet; what the balancer says is at most a few seconds old."""
    found: dict[str, Series] = {f.name: controller.metrics.series(f) for f in COUNTED}
    version = (portway.__version__, engine, platform.python_version())
    looks: list[tuple[Family, Series]] = [
        (BUILD, {version: 1}),
        *_controller(controller),
        *_apps(controller.world),
        *_leases(controller, host_ports),
        *_balancer(await _info(controller), controller.world),
        *_process(started_at_ms),
    ]
    found |= {family.name: series for family, series in looks}
    return render([(family, found[family.name]) for family in FAMILIES])


async def _info(controller: Controller) -> BalancerInfo | None:
    try:
        return await controller.balancer.info()
    except (BalancerError, OSError):
        return None


def _one(value: float) -> Series:
    return {(): value}


def _tally(names: Iterable[str], known: Iterable[str]) -> Series:
    counted = Counter(names)
    return {(name,): counted[name] for name in known}


def _controller(controller: Controller) -> Found:
    world = controller.world
    yield QUEUE, _one(controller.metrics.queue_length)
    yield PROBLEMS, _one(len(world.problems))
    yield APPS, _one(len(world.apps))
    yield NODES, _one(sum(1 for node in world.nodes if node.available))


def _apps(world: World) -> Found:
    live = [r for state in world.apps.values() for r in state.live]
    yield INSTANCES, _tally((r.phase.name.lower() for r in live), _PHASES)
    running = (r for r in live if Phase.STARTED <= r.phase < Phase.DRAINING)
    verdicts = (world.health.get(r.id, Health()).status.value for r in running)
    yield VERDICTS, _tally(verdicts, [status.value for status in HealthStatus])
    yield (
        RUNNING,
        _one(
            sum(
                1
                for state in world.apps.values()
                if state.deployment and state.deployment.status is DeploymentStatus.RUNNING
            )
        ),
    )


_PHASES = [phase.name.lower() for phase in Phase if phase is not Phase.GONE]


def _leases(controller: Controller, host_ports: PortRange) -> Found:
    leases = controller.leases
    yield LEASED, _one(len(leases.host_pool))
    yield COOLING, _one(len(leases.cooling(now_ms=controller.clock.now_ms())))
    yield RANGE, _one(host_ports.last - host_ports.first + 1)
    yield REFUSALS, _one(leases.refusals)
    yield LISTENERS, _one(len(leases.service_pool))


def _balancer(info: BalancerInfo | None, world: World) -> Found:
    answers = info is not None and world.served is not None
    yield UP, _one(int(answers))
    yield RELOADS, _one(info.reloads) if info else {}
    yield RESTARTS, _one(info.restarts) if info else {}
    routes = [route for routes in (world.served or {}).values() for route in routes.values()]
    named = [(_listener(route), route) for route in routes]
    yield REQUESTS, {name: route.requests for name, route in named}
    yield (
        FAILURES,
        {
            (*name, cause): getattr(route.traffic, cause)
            for name, route in named
            for cause in _FAILURES
        },
    )
    yield CONNECTIONS, {name: sum(e.connections for e in r.endpoints) for name, r in named}
    yield (
        ENDPOINTS,
        {
            (*name, state.value): sum(1 for e in route.endpoints if e.state is state)
            for name, route in named
            for state in EndpointState
        },
    )


def _listener(route: ServedRoute) -> Labels:
    stack, _, app = route.owner.rpartition("/")
    address = route.key.address
    shown = f"[{address}]" if ":" in address else address
    return stack, app, f"{shown}:{route.key.service_port}"


def _process(started_at_ms: int) -> Found:
    # Imported here: only what runs here has a kernel to ask, and only on a scrape.
    import resource

    times = os.times()
    yield CPU, _one(times.user + times.system)
    yield STARTED, _one(started_at_ms / 1000)
    yield FDS_MAX, _one(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        yield RSS, _one(pages * resource.getpagesize())
        yield FDS, _one(sum(1 for _ in Path("/proc/self/fd").iterdir()))
    except OSError:  # a machine without /proc
        yield RSS, {}
        yield FDS, {}
