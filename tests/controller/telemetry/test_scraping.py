"""The page at /metrics: every documented figure is there, moves, and is named as Prometheus advises."""

from __future__ import annotations

import re
from pathlib import Path

from portway.balancers.base import BalancerInfo
from portway.controller.telemetry.scraping import FAMILIES
from portway.core.errors import BalancerError, EngineError, StoreError
from portway.core.exposition import Kind
from portway.core.routes import RouteKey
from portway.core.traffic import Traffic
from portway.engines.memory import Fault
from tests.controller.inprocess import FakeGuard, Portway, compose, running_portway

VIRTUAL_TIME = True
PAGE = Path(__file__).parents[3] / "docs" / "how-it-works" / "observability.md"
WEB = compose(web="image: web; ports: ['80:8080']", job="image: job; ports: ['9000']")
_LINE = re.compile(r"([a-z_]+)(\{[^}]*\})? (\S+)")
_UNITS = ("_seconds", "_bytes", "_total", "_info")
_COUNTS = (
    "_length", "_problems", "_apps", "_nodes", "_instances", "_verdicts", "_running", "_leased", "_cooling",
    "_range", "_up", "_connections", "_endpoints", "_fds",
)  # fmt: skip


def figures(page: str) -> dict[str, float]:
    """Every series of the page by its name and labels."""
    lines = (line for line in page.splitlines() if not line.startswith("#"))
    return {name + labels: float(value) for name, labels, value in map(_parts, lines)}


def _parts(line: str) -> tuple[str, str, str]:
    match = _LINE.fullmatch(line)
    assert match is not None, line
    return match[1], match[2] or "", match[3]


async def eventful(portway: Portway) -> None:
    """A history in which everything that is counted happens."""
    portway.engine.inject(Fault(operation="start", error=EngineError("no", retryable=True)))
    await portway.deploy("shop", WEB)
    key = RouteKey(address="", service_port=80)
    portway.balancer.requests[key] = 7
    portway.balancer.traffic[key] = Traffic(not_connected=2)
    portway.balancer.fail_next_apply = "the socket is gone"
    await portway.idle(10)
    portway.store.fail_saves(StoreError("the disk is full"), times=1)
    portway.engine.kill(portway.live("shop/web")[0], exit_code=1)
    await portway.idle(10)
    await portway.deploy("shop", WEB.replace("image: web", "image: web:2"))
    portway.balancer.connections[portway.live("shop/web")[0]] = 3
    await portway.idle(10)


async def test_every_documented_metric_is_there_and_moves() -> None:
    async with running_portway(guard=FakeGuard(), hold_down_ms=60_000) as portway:
        before = figures(await portway.operations.metrics())
        await eventful(portway)
        after = figures(await portway.operations.metrics())
    told = {_family(name) for name, value in after.items() if value > 0}
    assert {f.name for f in FAMILIES} - told == STILL
    counters = {f.name for f in FAMILIES if f.kind is Kind.COUNTER} - STILL
    grown = {_family(name) for name, value in after.items() if value > before.get(name, 0)}
    assert counters <= grown
    assert after['portway_listener_requests_total{stack="shop",app="web",listener=":80"}'] == 7
    assert after['portway_deployments_total{status="done"}'] == 3
    assert after['portway_controller_errors_total{kind="balancer"}'] >= 1
    assert after['portway_controller_errors_total{kind="store"}'] == 1
    timed = [
        f'portway_event_to_balancer_seconds_count{{event="{e}"}}' for e in ("engine", "health")
    ]
    assert sum(after[name] for name in timed) >= 2


# Zero in a portway that is well: each has a test of its own below or beside what it counts.
STILL = {
    "portway_controller_problems", "portway_deployments_running",
    "portway_balancer_reloads_total", "portway_balancer_restarts_total", "portway_host_port_refusals_total",
}  # fmt: skip


def _family(name: str) -> str:
    return re.sub(r"(_bucket|_sum|_count)?(\{.*)?$", "", name)


async def test_what_is_wrong_now_is_told_as_it_is() -> None:
    async with running_portway(guard=FakeGuard()) as portway:
        portway.controller.world.problems["clock"] = "it went back"
        portway.balancer.info = fail  # type: ignore[method-assign]
        portway.leases.refusals = 4
        told = figures(await portway.operations.metrics())
    assert told["portway_controller_problems"] == 1
    assert told["portway_balancer_up"] == 0
    assert told["portway_host_port_refusals_total"] == 4
    assert "portway_balancer_reloads_total" not in told


async def fail() -> BalancerInfo:
    raise BalancerError("no answer")


def test_names_are_as_prometheus_advises() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        assert re.fullmatch(r"(portway|process)(_[a-z]+)+", family.name), family.name
        assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
        assert family.name.endswith((*_UNITS, *_COUNTS)), family.name
        assert family.help.endswith("."), family.name
        assert family.kind is not Kind.HISTOGRAM or family.name.endswith("_seconds")
        assert sorted(family.buckets) == list(family.buckets)


def test_no_label_grows_for_ever() -> None:
    bounded = {
        "kind", "status", "result", "event", "phase", "verdict", "version", "engine", "python",
        "stack", "app", "listener", "cause", "state",
    }  # fmt: skip
    assert {label for family in FAMILIES for label in family.labels} <= bounded


def test_the_documentation_lists_every_metric_as_it_is() -> None:
    rows = [
        f"| `{family.name}` | {family.kind} | {', '.join(family.labels)} | {family.help} |"
        for family in FAMILIES
    ]
    text = PAGE.read_text()
    listed = [line for line in text.splitlines() if line.startswith(("| `portway_", "| `process_"))]
    assert listed == rows, "\n".join(rows)
