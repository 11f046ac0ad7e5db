"""Load balancers at work in a whole controller, with an engine and a balancer in memory and a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from portway.core.app import App, Exposure, HealthCheck, PortSpec, Rollout, TargetBinding
from portway.core.balancing.model import LoadBalancer, Target
from portway.core.balancing.targets import TargetState
from portway.core.instance import Phase
from portway.core.network.defaults import default_group_id, default_vpc_id
from portway.core.routes import EndpointState
from tests.controller.inprocess import Portway
from tests.core.balancing.values import BALANCER, GROUP, LISTENER

VIRTUAL_TIME = True

APP = App(
    id="c/web",
    image="web",
    ports=(PortSpec(name="http", container_port=80, exposure=Exposure.HOST),),
    targets=(TargetBinding(group=GROUP.arn, container="", container_port=80),),
    health=HealthCheck(start_period_s=1.0),
    rollout=Rollout(drain_timeout_s=1.0),
)


@pytest.fixture
async def portway() -> AsyncIterator[Portway]:
    made = Portway()
    await made.open()
    await registered(made, BALANCER, GROUP, LISTENER)
    yield made
    await made.crash()


async def registered(portway: Portway, *values: Any) -> None:
    """Keep them; a load balancer is in the default security group, which its targets admit."""
    group = default_group_id(default_vpc_id(portway.world.home_id))
    kept = [replace(v, security_groups=(group,)) if isinstance(v, LoadBalancer) else v for v in values]  # fmt: skip
    await portway.controller.balancing.registry.put(*kept)
    portway.controller.balancing.touch()


def pool(portway: Portway) -> dict[str, EndpointState]:
    """Who is in the pool as the balancer serves it."""
    return {
        endpoint.instance_id: endpoint.state
        for route in portway.balancer.served.values()
        for each in route.pools
        for endpoint in each.endpoints
    }


def states(portway: Portway) -> dict[str, TargetState]:
    balancing = portway.controller.balancing
    group = balancing.registry.groups[GROUP.arn]
    return {member.endpoint_id: health.state for member, health in balancing.standings(group)}


def phases(portway: Portway) -> dict[str, Phase]:
    return {r.id: r.phase for r in portway.world.apps["c/web"].instances}


async def running(portway: Portway, **fields: Any) -> None:
    await portway.operations.put_app("c", replace(APP, **fields), count=2)
    await portway.until(
        lambda: len(pool(portway)) >= 2 and set(phases(portway).values()) == {Phase.READY}
    )


async def test_instances_of_an_app_are_targets_and_get_traffic_once_healthy(portway: Portway):
    await running(portway)
    shown, through = await portway.operations.map("c")
    assert (through.load_balancer, through.target_group) == ("web", "tg")
    assert shown.note == "behind the load balancers of target group arn:tg"
    assert set(states(portway).values()) == {TargetState.HEALTHY}
    assert set(pool(portway)) == {"c/web.1.1", "c/web.2.2"}
    [route] = portway.balancer.served.values()
    assert (route.owner, route.key.address) == (BALANCER.owner, "127.64.0.1")


async def test_a_target_that_fails_leaves_the_pool_and_is_replaced(portway: Portway):
    await running(portway)
    portway.engine.set_health("c/web.1.1", passed=False)
    await portway.until(lambda: states(portway).get("c/web.1.1") is TargetState.DRAINING)
    await portway.until(lambda: pool(portway).get("c/web.1.3") is EndpointState.READY)
    await portway.until(lambda: phases(portway)["c/web.1.1"] is Phase.GONE)


async def test_a_new_revision_serves_before_the_old_one_leaves_and_drains_before_it_stops(
    portway: Portway,
):
    await running(portway)
    portway.balancer.connections = {"c/web.1.1": 1}
    await portway.operations.put_app("c", replace(APP, environment={"A": "2"}), count=2)
    await portway.until(lambda: pool(portway).get("c/web.1.1") is EndpointState.DRAINING)
    ready = [i for i, state in pool(portway).items() if state is EndpointState.READY]
    assert len(ready) >= 2
    await portway.until(lambda: phases(portway).get("c/web.2.2") is Phase.GONE)
    # A minute later, though the App itself says one second: the delay of the group is what counts.
    await portway.until(lambda: phases(portway)["c/web.1.1"] is Phase.DRAINING)
    portway.balancer.connections = {}
    await portway.until(lambda: phases(portway)["c/web.1.1"] is Phase.GONE)
    assert states(portway)["c/web.1.1"] is TargetState.DRAINING


async def test_targets_registered_by_hand_are_served_beside(portway: Portway):
    node = portway.controller.balancing
    await running(portway)
    ip = replace(
        GROUP, arn="arn:ip", target_type="ip", targets=(Target(id="127.0.0.9", number=80),)
    )
    listener = replace(LISTENER, arn="arn:l2", number=81, action=replace_pool("arn:ip"))
    await registered(portway, ip, listener)
    await portway.until(lambda: "127.0.0.9:80" in pool(portway))
    assert node.registry.users_of("arn:ip")


def replace_pool(arn: str) -> Any:
    from portway.core.rules import Forward

    return Forward(pools=((arn, 1),))


async def test_a_load_balancer_that_is_deleted_is_served_no_more(portway: Portway):
    await running(portway)
    await portway.controller.balancing.registry.delete(BALANCER)
    portway.controller.balancing.touch()
    await portway.until(lambda: not portway.balancer.served)
    assert set(states(portway).values()) == {TargetState.UNUSED}


async def test_another_controller_goes_on_and_nobody_leaves_the_pool(portway: Portway):
    await running(portway)
    before, applied = pool(portway), portway.balancer.applied
    after = await portway.successor()
    await after.until(lambda: after.balancer.applied > applied)
    assert pool(after) == before
    assert set(states(after).values()) == {TargetState.HEALTHY}
    await after.crash()


async def test_where_the_balancer_refuses_a_listener_it_is_tried_again(portway: Portway):
    await running(portway)
    portway.balancer.fail_next_apply = "The port is taken."
    await registered(portway, replace(LISTENER, arn="arn:l3", number=8443))
    await portway.until(lambda: any(k.service_port == 8443 for k in portway.balancer.served))


async def test_the_map_of_a_moment_shows_who_was_behind_a_load_balancer(portway: Portway):
    await running(portway)
    await portway.idle(10)
    then_ms = portway.clock.now_ms()
    await portway.idle(1)
    await portway.operations.put_app("c", replace(APP, environment={"A": "2"}), count=1)
    await portway.until(lambda: phases(portway).get("c/web.2.2", Phase.GONE) is Phase.GONE)
    published, route = await portway.operations.map_at(then_ms)
    assert published.note == "behind a load balancer"
    assert (route.load_balancer, route.target_group, route.stack, route.app) == ("web", "tg", "c", "web")  # fmt: skip
    assert [(e.instance, e.container_port, e.state) for e in route.endpoints] == [
        ("web.1.1", 80, "ready"),
        ("web.2.2", 80, "ready"),
    ]
    assert all(e.host_port for e in route.endpoints)
    assert await portway.operations.map_at(then_ms, stack="other") == ()
    history = await portway.operations.port_history(LISTENER.number, at_ms=then_ms)
    assert {h.app_id for h in history.held} == {BALANCER.owner}
    await portway.controller.balancing.registry.delete(BALANCER)
    portway.controller.balancing.touch()
    await portway.until(lambda: not portway.balancer.served)
    await portway.idle(10)
    (left,) = await portway.operations.map_at(portway.clock.now_ms())
    assert left.load_balancer == ""
    assert len(await portway.operations.map_at(then_ms)) == 2
