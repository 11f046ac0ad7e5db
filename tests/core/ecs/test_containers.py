"""The containers of a task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.core.app import (
    App,
    CheckKind,
    Container,
    HealthCheck,
    NetworkMode,
    PortSpec,
    Protocol,
    Resources,
)
from portway.core.ecs.containers import (
    failure_reason,
    health_of_task,
    network_bindings,
    shown_containers,
)
from portway.core.instance import (
    EngineState,
    ObservedContainer,
    ObservedInstance,
    Phase,
    PortBinding,
)
from portway.core.lease import Lease
from tests.core.ecs.made import NAMES, app, record

WEB = app(ports=(PortSpec(name="http", container_port=80),), container_name="web")
RUNNING = ObservedContainer(
    name="web",
    state=EngineState.RUNNING,
    container_id="cafe",
    image_id="sha256:1",
    bindings=(
        PortBinding(container_port=80, host_port=32768, address="0.0.0.0"),  # noqa: S104
        PortBinding(container_port=80, host_port=32768, address="::"),
    ),
)


def seen(*containers: ObservedContainer, **fields: Any) -> ObservedInstance:
    identity = record(1, Phase.READY).identity
    given: dict[str, Any] = {
        "identity": identity,
        "state": EngineState.RUNNING,
        "containers": containers,
        **fields,
    }
    return ObservedInstance(**given)


def shown(
    of: App = WEB, observed: ObservedInstance | None = None, **fields: Any
) -> list[dict[str, Any]]:
    given: dict[str, Any] = {"cluster": "c", "task_id": "t", "is_stopped": False, **fields}
    return shown_containers(of, observed, NAMES, **given)


def test_network_bindings_are_what_docker_bound_without_ipv6() -> None:
    [one] = shown(observed=seen(RUNNING))
    bound = {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}  # noqa: S104
    assert one["networkBindings"] == [bound]
    assert (one["lastStatus"], one["runtimeId"], one["imageDigest"]) == ("RUNNING", "cafe", "sha256:1")  # fmt: skip
    assert one["taskArn"] == NAMES.task_arn("c", "t")


def test_before_it_runs_there_are_none() -> None:
    [one] = shown()
    assert (one["lastStatus"], one["networkBindings"]) == ("PENDING", [])


def test_the_ports_of_a_range_are_one_binding() -> None:
    ports = tuple(PortSpec(name=f"p{n}", container_port=n, run="r") for n in (8000, 8001, 8002))
    bindings = tuple(PortBinding(container_port=n, host_port=n + 100) for n in (8001, 8000, 8002))
    ranged = replace(RUNNING, bindings=bindings)
    assert network_bindings(app(ports=ports, container_name="web"), ranged) == [
        {"bindIP": "0.0.0.0", "containerPortRange": "8000-8002", "hostPortRange": "8100-8102", "protocol": "tcp"}  # noqa: S104
    ]  # fmt: skip


def test_on_the_nodes_network_both_ports_are_one_and_a_task_of_its_own_address_has_none() -> None:
    on_node = replace(WEB, network_mode=NetworkMode.HOST)
    [one] = network_bindings(on_node, replace(RUNNING, bindings=()))
    assert (one["containerPort"], one["hostPort"]) == (80, 80)
    assert network_bindings(replace(WEB, network_mode=NetworkMode.OWN), RUNNING) == []


def test_an_engine_without_containers_has_the_leased_ports() -> None:
    lease = Lease(port_name="http", node="local", protocol=Protocol.TCP, host_port=5, container_port=80)  # fmt: skip
    identity = replace(record(1, Phase.READY).identity, leases=(lease,))
    [one] = shown(observed=seen(identity=identity))
    assert one["networkBindings"][0]["hostPort"] == 5


def test_a_container_that_ended_says_how() -> None:
    ended = replace(RUNNING, state=EngineState.EXITED, exit_code=137, oom_killed=True)
    [one] = shown(observed=seen(ended))
    assert (one["lastStatus"], one["exitCode"]) == ("STOPPED", 137)
    assert one["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_a_reason_is_under_the_agents_name_for_it_and_cut() -> None:
    assert failure_reason("the image x:1 is nowhere").startswith("CannotPullContainerError: ")
    assert failure_reason("no such command").startswith("CannotStartContainerError: ")
    assert len(failure_reason("x" * 5000)) == 1024
    [one] = shown(is_stopped=True, reason="no such image: x")
    assert one["reason"] == "CannotPullContainerError: no such image: x"


def test_each_container_has_its_own_limits_in_mebibytes() -> None:
    side = Container(
        name="side", image="s", resources=Resources(memory_bytes=64 << 20, cpu_shares=128)
    )
    web, other = shown(replace(WEB, containers=(side,)))
    assert (web["name"], web["cpu"], "memory" in web) == ("web", "0", False)
    assert (other["name"], other["cpu"], other["memory"]) == ("side", "128", "64")


def test_a_task_is_unhealthy_when_an_essential_container_is() -> None:
    check = HealthCheck(kind=CheckKind.COMMAND, command=("true",))
    two = replace(WEB, health=check, containers=(Container(name="s", image="s", health=check),))
    side = replace(RUNNING, name="s", health="healthy")
    words = {
        health: health_of_task(shown(two, seen(replace(RUNNING, health=health), side)), two)
        for health in ("healthy", "unhealthy", "starting")
    }
    assert words == {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY", "starting": "UNKNOWN"}
    assert health_of_task(shown(WEB, seen(RUNNING)), WEB) == "UNKNOWN"
