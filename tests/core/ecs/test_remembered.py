"""Stopped tasks of which the engine knows nothing any more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.core.app import Container, Exposure, PortSpec
from portway.core.ecs.remembered import remembered
from portway.core.ecs.tasks import TaskFacts, shown_task
from portway.core.instance import Phase
from portway.core.lease import Lease
from portway.core.ports import Protocol
from tests.core.ecs.made import NAMES, app, origin, record

PORTS = (PortSpec(name="80", container_port=80, exposure=Exposure.HOST),)
LEASE = Lease(
    port_name="80", node="local", protocol=Protocol.TCP, host_port=32768, container_port=80
)


def shown(reason: str, **fields: Any) -> list[dict[str, Any]]:
    of = app(ports=PORTS, container_name="web", **fields)
    gone = record(1, Phase.GONE, draining_at_ms=None, stopping_at_ms=None, failed=True, exit_code=137, reason=reason)  # fmt: skip
    gone = replace(gone, identity=replace(gone.identity, leases=(LEASE,)))
    return shown_task(TaskFacts(record=gone, app=of, origin=origin()), NAMES)["containers"]


def test_the_exit_code_the_reason_and_the_ports_are_known_all_the_same() -> None:
    [container] = shown("it was killed because it used more memory than its limit")
    assert (container["lastStatus"], container["exitCode"]) == ("STOPPED", 137)
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert [b["hostPort"] for b in container["networkBindings"]] == [32768]


def test_of_several_containers_the_one_that_ended_it_has_the_exit_code() -> None:
    others = (Container(name="side", image="side"),)
    web, side = shown("its container side exited with code 137", containers=others)
    assert "exitCode" not in web
    assert [b["hostPort"] for b in web["networkBindings"]] == [32768]
    assert (side["exitCode"], side["networkBindings"]) == (137, [])


def test_nothing_is_made_up_of_one_that_lives_or_never_ran() -> None:
    assert remembered(record(1, Phase.READY), app()) is None
    assert remembered(record(1, Phase.GONE, started_at_ms=None), app()) is None
