"""Ports that cannot be had are refused before anything starts; what runs is not asked to wait for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from portway.controller.views import ReleaseRequest
from portway.core.app import App, Exposure, PortSpec, Rollout
from portway.core.errors import RequestError
from portway.core.ports import PortRange
from portway.engines.memory.world import ImageBehaviour
from tests.controller.inprocess import FakeGuard, Portway, compose, running_portway

VIRTUAL_TIME = True

FIXED = "image: web; ports: [{target: 80, published: 5353, mode: host}]"


@pytest.fixture
def guard() -> FakeGuard:
    return FakeGuard()


@pytest.fixture
async def portway(guard: FakeGuard) -> AsyncIterator[Portway]:
    async with running_portway(guard=guard) as running:
        yield running


async def refused(awaitable) -> str:  # noqa: ANN001
    with pytest.raises(RequestError) as caught:
        await awaitable
    assert caught.value.http_status == 409, caught.value
    return str(caught.value)


async def test_a_listener_somebody_else_has_is_refused(portway: Portway, guard: FakeGuard) -> None:
    guard.foreign[80] = "nginx (pid 7)"
    said = await refused(portway.release("shop", compose(web="image: web; ports: ['80:8080']")))
    assert said.startswith("web wants to listen on 80, but 80 is in use")


async def test_a_connection_that_is_still_closing_is_waited_for_not_stopped(
    portway: Portway, guard: FakeGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = "80 is held by a connection to 127.0.0.1:9 that is still closing"
    monkeypatch.setattr(portway.controller.leases, "bind_refusal", lambda *_: closing)
    said = await refused(portway.release("shop", compose(web="image: web; ports: ['80:8080']")))
    assert said.startswith(f"web wants to listen on 80, but {closing}")
    assert "It is gone within a minute: deploy again then." in said
    assert "Stop what has it" not in said


async def test_a_listener_of_our_own_balancer_is_no_obstacle(
    portway: Portway, guard: FakeGuard
) -> None:
    await portway.deploy("shop", compose(web="image: web; ports: ['80:8080']"))
    guard.in_use.add(80)  # our HAProxy's own socket
    await portway.deploy("shop", compose(web="image: web:2; ports: ['80:8080']"))
    assert portway.serving(80) == ["shop/web.1.2"]


async def test_a_listener_passes_to_another_app_of_the_stack_once_the_first_is_gone(
    portway: Portway,
) -> None:
    await portway.deploy("shop", compose(web="image: web; ports: ['80:8080']"))
    said = await refused(portway.release("shop", compose(api="image: api; ports: ['80:8080']")))
    assert said.startswith("api wants to listen on 80, which web of the release that runs")
    await portway.deploy("shop", compose(api="image: api"))
    await portway.deploy("shop", compose(api="image: api; ports: ['80:8080']"))
    assert portway.serving(80) == ["shop/api.1.2"]


async def test_an_app_that_never_came_up_leaves_its_listener_to_one_of_another_name(
    portway: Portway,
) -> None:
    portway.engine.behave("web", ImageBehaviour(healthy=False))
    await portway.promote("shop", compose(web="image: web; ports: ['80:8080']"))
    await portway.until(lambda: not portway.app("shop/web").live and portway.app("shop/web").halted)
    await portway.deploy("shop", compose(api="image: api; ports: ['80:8080']"))
    assert portway.serving(80) == ["shop/api.1.1"]


async def test_a_port_that_is_let_go_meanwhile_is_waited_for(
    portway: Portway, guard: FakeGuard
) -> None:
    guard.in_use.add(80)
    looks = 0
    bind_test = guard.bind_test

    def lets_go(*port: object) -> str | None:
        nonlocal looks
        looks += 1
        if looks > 2:
            guard.in_use.discard(80)
        return bind_test(*port)  # type: ignore[arg-type]

    guard.bind_test = lets_go  # type: ignore[method-assign,assignment]
    await portway.deploy("shop", compose(web="image: web; ports: ['80:8080']"))
    assert portway.serving(80) == ["shop/web.1.1"]


async def test_a_fixed_host_port_is_refused_to_a_second_stack_and_its_owner_named(
    portway: Portway,
) -> None:
    await portway.deploy("shop", compose(web=FIXED))
    said = await refused(portway.release("other", compose(dns=FIXED)))
    assert said.startswith("dns wants the host port 5353, but shop/web has it already")
    await portway.deploy("shop", compose(web=FIXED + "; environment: {A: '1'}"))
    assert portway.live("shop/web") == ["shop/web.1.2"]


async def test_a_fixed_host_port_somebody_else_has_is_refused(
    portway: Portway, guard: FakeGuard
) -> None:
    guard.foreign[5353] = "avahi (pid 9)"
    said = await refused(portway.release("shop", compose(web=FIXED)))
    assert said.startswith("web wants the host port 5353, but 5353 is in use")


async def test_a_fixed_host_port_serves_as_many_instances_as_there_are_nodes() -> None:
    async with running_portway(nodes=2) as portway:
        await portway.deploy("shop", compose(web=FIXED + "; deploy: {replicas: 2}"))
        said = await refused(portway.operations.scale("shop", {"web": 3}))
        assert said.startswith("web asks for 3 instances, and its host port 5353 is fixed")
        assert len(portway.live("shop/web")) == 2


async def test_instances_for_which_there_are_no_host_ports_are_refused() -> None:
    few = PortRange(first=31000, last=31999)
    async with running_portway(host_ports=few) as portway:
        await portway.deploy("one", compose(web="image: web; ports: ['80:8080', '81:8081']"))
        said = await refused(portway.operations.scale("one", {"web": 501}))
        assert said.startswith("one needs 1002 host ports for its instances, and the range")
        assert "has 1000" in said
        more = compose(api="image: api; ports: ['90:8080']; deploy: {replicas: 999}")
        said = await refused(portway.release("two", more))
        assert "has 1000, 2 of them leased by other stacks" in said


async def test_scaling_down_is_never_refused(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web; deploy: {replicas: 3}"))
    await portway.operations.scale("shop", {"web": 1})
    await portway.settled()
    assert len(portway.live("shop/web")) == 1


async def test_a_plan_says_what_a_deploy_would_be_refused_for(
    portway: Portway, guard: FakeGuard
) -> None:
    guard.foreign[80] = "nginx (pid 7)"
    request = ReleaseRequest(manifest=compose(web="image: web; ports: ['80:8080']"))
    await refused(portway.operations.plan("shop", request))


async def test_ports_without_a_kernel_to_ask_are_not_refused() -> None:
    async with running_portway(guard=None) as portway:
        await portway.deploy("shop", compose(web="image: web; ports: ['80:8080']"))
        assert portway.serving(80) == ["shop/web.1.1"]


async def test_an_app_that_waits_for_its_fixed_port_holds_no_other_back(portway: Portway) -> None:
    taken = PortSpec(name="80", container_port=80, exposure=Exposure.HOST, host_port=5353)
    strict = Rollout(strict_bounds=True)
    for app in (
        App(id="c/static", image="web", ports=(taken,), rollout=strict),
        App(id="c/free", image="web", rollout=strict),
    ):
        await portway.operations.put_app("c", app, count=2 if app.ports else 1)
    await portway.operations.scale("c", {"free": 2})
    assert portway.app("c/free").count == 2
    assert "is fixed" in await refused(portway.operations.scale("c", {"static": 3, "free": 1}))
