"""Whether a task of RunTask fits anywhere now, and what failures[] says where it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.api.aws.ecs.placing import misfits
from portway.controller.overview import Overview
from portway.controller.views import NodeStatus
from portway.core.app import App, Placement, PortSpec, Protocol, Resources
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase
from portway.core.lease import Lease
from portway.core.placement import NodeUse, NodeView
from portway.core.state import AppState

MIB = 1024 * 1024
APP = App(
    id="c/web",
    image="web",
    resources=Resources(memory_bytes=64 * MIB, cpu_shares=256),
    ports=(PortSpec(name="http", container_port=80, host_port=8080),),
    placement=Placement(reserves=True),
)
NODE = NodeView(name="one", address="10.0.0.1", cpu_units=1024, memory_bytes=256 * MIB)


def status(node: NodeView = NODE, **used: Any) -> NodeStatus:
    return NodeStatus(node=node, used=NodeUse(**used))


def found(*statuses: NodeStatus, app: App = APP, overview: Overview | None = None, **taken: list[App]) -> dict[str, str]:  # fmt: skip
    return misfits(app, statuses, overview or Overview(home_id="h"), taken)


def holding(number: int, *, fixed: bool, node: str = "one") -> Overview:
    """A task that has a host port."""
    lease = Lease(
        port_name="http",
        node=node,
        protocol=Protocol.TCP,
        host_port=number,
        container_port=80,
        fixed=fixed,
    )
    identity = InstanceIdentity(
        id="c/old.1.1", app_id="c/old", slot=1, serial=1, revision="r", release="r", node=node, leases=(lease,)
    )  # fmt: skip
    record = InstanceRecord(identity=identity, planned_at_ms=0, phase=Phase.READY)
    state = AppState(app_id="c/old", target=None, instances=(record,))
    return Overview(home_id="h", apps={"c/old": state})


def test_a_node_with_room_is_left_out() -> None:
    assert found(status()) == {}


def test_memory_and_cpu_that_are_gone_are_told() -> None:
    assert found(status(memory_bytes=200 * MIB)) == {"one": "RESOURCE:MEMORY"}
    assert found(status(cpu_units=1000)) == {"one": "RESOURCE:CPU"}


def test_a_node_that_tells_no_size_has_room_for_everything() -> None:
    endless = replace(NODE, cpu_units=0, memory_bytes=0)
    assert found(status(endless, memory_bytes=10_000 * MIB, cpu_units=99_999)) == {}


def test_a_static_port_is_had_once_on_a_node_and_a_dynamic_one_is_in_nobodys_way() -> None:
    assert found(status(), overview=holding(8080, fixed=True)) == {"one": "RESOURCE:PORTS"}
    assert found(status(), overview=holding(8080, fixed=False)) == {}
    assert found(status(), overview=holding(8081, fixed=True)) == {}
    assert found(status(), overview=holding(8080, fixed=True, node="two")) == {}


def test_what_the_same_request_placed_before_counts() -> None:
    assert found(status(), one=[APP]) == {"one": "RESOURCE:PORTS"}
    portless = replace(APP, ports=())
    assert found(status(), app=portless, one=[portless] * 3) == {}
    assert found(status(), app=portless, one=[portless] * 4) == {"one": "RESOURCE:CPU"}


def test_a_machine_that_is_away_is_an_agent_that_does_not_answer() -> None:
    assert found(status(replace(NODE, available=False))) == {"one": "AGENT"}


def test_each_node_has_its_own_reason() -> None:
    two = replace(NODE, name="two", available=False)
    told = found(status(memory_bytes=256 * MIB), status(two))
    assert told == {"one": "RESOURCE:MEMORY", "two": "AGENT"}


def test_a_node_that_was_not_asked_for_does_not_fit() -> None:
    there = replace(APP, placement=Placement(node="two", reserves=True))
    assert set(found(status(), status(replace(NODE, name="two")), app=there)) == {"one"}
