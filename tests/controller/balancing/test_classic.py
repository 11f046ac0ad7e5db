"""A classic load balancer at work in a whole controller, with an engine and a balancer in memory and a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from portway.core.app import App, Exposure, HealthCheck, PortSpec, Rollout, TargetBinding
from portway.core.aws_names import AwsNames
from portway.core.balancing.classic import ClassicAttributes, group_of
from portway.core.balancing.model import Target
from portway.core.balancing.targets import TargetState
from portway.core.instance import Phase
from portway.core.network.defaults import default_group_id, default_vpc_id
from portway.core.routes import EndpointState
from tests.controller.inprocess import Portway
from tests.core.balancing.classics import CLASSIC

VIRTUAL_TIME = True
DRAINS = ClassicAttributes(drains=True, draining_s=60)
APP = App(
    id="c/web",
    image="web",
    ports=tuple(
        PortSpec(name=str(number), container_port=80, host_port=number, exposure=Exposure.HOST)
        for number in (3245, 56839)
    ),
    targets=(TargetBinding(group="httpd", container="", container_port=80),),
    health=HealthCheck(start_period_s=1.0),
    rollout=Rollout(drain_timeout_s=1.0),
)


@pytest.fixture
async def portway() -> AsyncIterator[Portway]:
    made = Portway(nodes=2)
    await made.open()
    await changed(made, attributes=DRAINS)
    yield made
    await made.crash()


async def changed(portway: Portway, **fields: Any) -> None:
    region = portway.controller.balancing.region
    zones = ((f"{region}a", "subnet-1"),)
    groups = (default_group_id(default_vpc_id(portway.world.home_id)),)  # which targets admit
    given = {"zones": zones, "security_groups": groups, **fields}
    await portway.controller.balancing.registry.put(replace(CLASSIC, **given))
    portway.controller.balancing.touch()


def served(portway: Portway) -> dict[int, dict[str, EndpointState]]:
    """By listener, who the balancer has."""
    return {
        key.service_port: {e.instance_id: e.state for pool in route.pools for e in pool.endpoints}
        for key, route in portway.balancer.served.items()
    }


def states(portway: Portway) -> list[TargetState]:
    balancing = portway.controller.balancing
    [balancer] = balancing.registry.classics.values()
    return [health.state for _, health in balancing.standings(group_of(balancer))]


def phases(portway: Portway) -> dict[str, Phase]:
    return {r.id: r.phase for r in portway.world.apps["c/web"].instances}


async def running(portway: Portway, **fields: Any) -> None:
    await portway.operations.put_app("c", replace(APP, **fields), count=1)
    await portway.until(
        lambda: phases(portway).get("c/web.1.1") is Phase.READY and len(served(portway)) == 2
    )


async def test_an_instance_of_an_app_is_behind_every_listener_of_its_ports(portway: Portway):
    await running(portway)
    ready = {"c/web.1.1": EndpointState.READY}
    await portway.until(lambda: served(portway) == {80: ready, 443: ready})
    assert states(portway) == [TargetState.HEALTHY]
    shown = await portway.operations.map("c")
    assert "behind the load balancer httpd" in [row.note for row in shown]


async def test_a_new_revision_serves_before_the_old_one_drains_and_stops(portway: Portway):
    await running(portway)
    portway.balancer.connections = {"c/web.1.1": 1}
    await portway.operations.put_app("c", replace(APP, environment={"A": "2"}), count=1)
    await portway.until(lambda: served(portway)[80].get("c/web.1.1") is EndpointState.DRAINING)
    new = {i for i, state in served(portway)[443].items() if state is EndpointState.READY}
    assert len(new) == 1
    assert phases(portway)["c/web.1.1"] is Phase.DRAINING
    portway.balancer.connections = {}
    await portway.until(lambda: phases(portway)["c/web.1.1"] is Phase.GONE)
    assert set(served(portway)[80]) == new


async def test_without_draining_an_instance_leaves_at_once(portway: Portway):
    await changed(portway)
    await running(portway)
    portway.balancer.connections = {"c/web.1.1": 1}
    await portway.operations.put_app("c", APP, count=0)
    await portway.until(lambda: phases(portway)["c/web.1.1"] is Phase.GONE)
    assert served(portway) == {80: {}, 443: {}}


async def test_a_failing_instance_leaves_every_listener_and_is_replaced(portway: Portway):
    await running(portway)
    portway.engine.set_health("c/web.1.1", passed=False)
    await portway.until(lambda: served(portway)[80].get("c/web.1.2") is EndpointState.READY)
    await portway.until(lambda: phases(portway)["c/web.1.1"] is Phase.GONE)


async def test_what_is_registered_by_hand_is_checked_once_for_all_listeners(portway: Portway):
    node = next(iter(portway.controller.balancing.nodes))
    names = AwsNames(region="", account_id="", home_id=portway.world.home_id)
    target = Target(id=names.ec2_instance_id(node.name), number=0)
    await changed(portway, instances=(target,))
    ready = EndpointState.READY
    expected = {80: {f"{target.id}:3245": ready}, 443: {f"{target.id}:56839": ready}}
    await portway.until(lambda: served(portway) == expected)
    assert len(portway.controller.balancing.health) == 1


async def test_another_controller_goes_on_and_nobody_leaves(portway: Portway):
    await running(portway)
    before, applied = served(portway), portway.balancer.applied
    after = await portway.successor()
    await after.until(lambda: after.balancer.applied > applied)
    assert served(after) == before
    assert states(after) == [TargetState.HEALTHY]
    await after.crash()
