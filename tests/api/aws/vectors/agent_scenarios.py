"""What ECS's agent decides on a machine: which host ports there are, which comes next, and how they are told."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from portway.controller.ports.host_ports import HostPorts
from portway.core.app import App, PortSpec, Protocol
from portway.core.ecs.containers import network_bindings
from portway.core.instance import EngineState, ObservedContainer, PortBinding
from portway.core.lease import Holder, Lease, PortRange, PortRefusal, PortRequest
from portway.core.ports import EPHEMERAL, PortPool
from tests.api.aws.vectors.cases import Case, Ground, scenario
from tests.api.aws.vectors.ecs_steps import begin, stopped

_RANGE = re.compile(r"(?:range |range=)(\d+)[ -](\d+)")


def pool_of(case: Case) -> tuple[PortPool, dict[tuple[Protocol, int], Holder]]:
    """The pool that the context describes, and who else has ports of it."""
    found = _RANGE.search(case.context)
    first, last = (int(found[1]), int(found[2])) if found else (32768, 60999)
    pool = PortPool(
        PortRange(first=20000, last=20999),
        hold_down_ms=0,
        ephemeral=PortRange(first=first, last=last),
    )
    if last_given := re.search(r"last assigned (\d+)", case.context):
        pool.next_ephemeral["local"] = int(last_given[1]) + 1
    if "both busy" in case.context:
        busy = [first, last]
    else:
        busy = [int(n) for n in re.findall(r"listens on (\d+)|(\d+) busy", case.context) for n in n if n]  # fmt: skip
    return pool, {(Protocol.TCP, number): Holder(description="somebody") for number in busy}


def picked(case: Case, *, count: int = 1) -> tuple[Lease, ...] | PortRefusal:
    """The next ports in a row."""
    pool, busy = pool_of(case)
    asked = [
        PortRequest(
            port_name=f"p{nth}",
            protocol=Protocol(case.input["protocol"]),
            container_port=80 + nth,
            ephemeral=True,
            run="row" if count > 1 else "",
        )
        for nth in range(count)
    ]
    times = case.input.get("times", 1)
    taken: tuple[Lease, ...] = ()
    for _ in range(times):
        found = pool.propose("local", asked, now_ms=0, occupied=busy)
        if isinstance(found, PortRefusal):
            return found
        pool.take(found, "somebody")
        taken += found
    return taken


@scenario("ecs-019", "ecs-020", "ecs-022", "ecs-023")
async def next_port(case: Case, ground: Ground) -> None:
    found = picked(case)
    assert not isinstance(found, PortRefusal)
    numbers = [lease.host_port for lease in found]
    expected = case.expect["response"]
    assert numbers == expected.get("hostPorts", [expected.get("hostPort")])


@scenario("ecs-025")
async def ports_in_a_row(case: Case, ground: Ground) -> None:
    found = picked(case, count=case.input["count"])
    assert not isinstance(found, PortRefusal)
    numbers = [lease.host_port for lease in found]
    assert numbers == list(range(numbers[0], numbers[0] + case.input["count"]))
    assert f"{numbers[0]}-{numbers[-1]}" == case.expect["response"]["hostPortRange"]


@scenario("ecs-024", "ecs-026")
async def no_port(case: Case, ground: Ground) -> None:
    """The agent's word reaches DescribeTasks: the task has stopped before it began."""
    count = case.input.get("count", 1)
    ground.portway.leases.host_pool.ephemeral = PortRange(first=50000, last=50001)
    busy = {(Protocol.TCP, number): Holder(description="somebody") for number in (50000, 50001)}
    ground.portway.leases.occupied = lambda *, now_ms: busy  # type: ignore[method-assign]
    mappings: list[dict[str, Any]] = [{"containerPort": 80}]
    if count > 1:
        mappings = [{"containerPortRange": f"8000-{8000 + count - 1}"}]
    await begin(ground)
    given = {"name": "web", "image": "web", "memory": 64, "portMappings": mappings}
    await ground.aws.ask("ecs", "RegisterTaskDefinition", family="web", containerDefinitions=[given])  # fmt: skip
    [task] = (await ground.ecs("RunTask", taskDefinition="web"))["tasks"]
    [gone] = await stopped(ground)
    assert gone["taskArn"] == task["taskArn"]
    assert gone["stopCode"] == "TaskFailedToStart"
    [container] = gone["containers"]
    assert container["reason"] == f"{case.expect['error']}: {case.expect['message']}"


@scenario("ecs-027")
async def unreadable_range(case: Case, ground: Ground) -> None:
    with tempfile.TemporaryDirectory() as empty:
        found = HostPorts(proc=Path(empty)).ephemeral_range() or EPHEMERAL
    assert {"start": found.first, "end": found.last} == case.expect["response"]


@scenario("ecs-029")
async def docker_bindings(case: Case, ground: Ground) -> None:
    ports = [
        {"PrivatePort": int(key.partition("/")[0]), "PublicPort": int(one["HostPort"]), "Type": key.partition("/")[2], "IP": one["HostIp"]}
        for key, bound in case.input["dockerPorts"].items()
        for one in bound
    ]  # fmt: skip
    seen = ObservedContainer(name="web", state=EngineState.RUNNING, bindings=_as_docker_says(ports))
    assert network_bindings(App(id="c/web"), seen) == case.expect["response"]["networkBindings"]


def _as_docker_says(ports: list[dict[str, Any]]) -> tuple[PortBinding, ...]:
    from portway.engines.docker.api import ContainerSummary
    from portway.engines.docker.observe import _bindings

    told = {"Id": "a", "Names": ["/web"], "Image": "web", "ImageID": "b", "State": "running", "Status": "Up", "Labels": {}, "Ports": ports}  # fmt: skip
    return _bindings(msgspec.convert(told, ContainerSummary))


@scenario("ecs-030")
async def bound_range(case: Case, ground: Ground) -> None:
    inside, outside = (_numbers(case.input[n]) for n in ("containerPortRange", "hostPortRange"))
    specs = tuple(
        PortSpec(name=f"p{n}", container_port=n, ephemeral=True, run="8000-8010") for n in inside
    )
    bindings = tuple(
        PortBinding(container_port=a, host_port=b, protocol=Protocol.TCP, address="0.0.0.0")  # noqa: S104
        for a, b in zip(inside, outside, strict=True)
    )
    seen = ObservedContainer(name="", state=EngineState.RUNNING, bindings=bindings)
    app = App(id="c/web", ports=specs)
    assert network_bindings(app, seen) == case.expect["response"]["networkBindings"]


def _numbers(span: str) -> range:
    first, _, last = span.partition("-")
    return range(int(first), int(last) + 1)
