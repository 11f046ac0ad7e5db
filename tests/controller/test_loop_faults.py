"""The loop among faults: calls that go wrong, ports that others took, what a predecessor left behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.errors import EngineError
from portway.core.state import DeploymentStatus
from portway.engines.memory import Fault, FaultKind
from tests.controller.inprocess import WEB, FakeGuard, Portway, compose, running_portway

VIRTUAL_TIME = True


@pytest.mark.parametrize("operation", ["start", "stop", "remove", "list", "nodes"])
@pytest.mark.parametrize("kind", list(FaultKind))
async def test_whatever_call_of_the_engine_goes_wrong_the_redeploy_is_done_in_the_end(
    portway: Portway, operation: str, kind: FaultKind
) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.inject(Fault(operation=operation, kind=kind, times=2))
    await portway.deploy("shop", compose(web="image: web:2; ports: ['80:8080']"))
    await portway.until(lambda: len(portway.running()) == 1 and portway.rests("shop"))
    await portway.idle(600)
    assert portway.app("shop/web").target.app.image == "web:2"
    assert portway.app("shop/web").deployment.status is DeploymentStatus.DONE
    portway.check_nothing_left_over()


@pytest.mark.parametrize(
    "fault", ["fail_next_apply", "fail_next_observe"], ids=["apply", "observe"]
)
async def test_whatever_call_of_the_balancer_goes_wrong_the_redeploy_is_done_in_the_end(
    portway: Portway, fault: str
) -> None:
    await portway.deploy("shop", WEB)
    setattr(portway.balancer, fault, "the socket is gone")
    await portway.deploy("shop", compose(web="image: web:2; ports: ['80:8080']"))
    assert portway.serving(80) == ["shop/web.1.2"]
    await portway.idle(10)
    portway.check_nothing_left_over()


async def test_a_start_that_cannot_succeed_fails_the_deployment_at_once(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.inject(
        Fault(operation="start", error=EngineError("no such command", retryable=False))
    )
    await portway.deploy("shop", compose(web="image: web:2; ports: ['80:8080']"))
    deployment = portway.app("shop/web").deployment
    assert deployment.status is DeploymentStatus.FAILED
    assert "no such command" in deployment.reason
    assert portway.serving(80) == ["shop/web.1.1"]
    portway.check_nothing_left_over()


async def test_a_port_another_program_took_is_left_for_another(portway: Portway) -> None:
    async with running_portway(hold_down_ms=0) as portway:  # noqa: PLR1704
        await portway.deploy("blog", WEB)
        (record,) = portway.app("blog/web").live
        stolen = replace(record.identity.leases[0], host_port=31001)
        portway.engine.steal_port(stolen)
        await portway.deploy("shop", compose(web="image: web; ports: ['81:80']"))
        (record,) = portway.app("shop/web").live
        assert record.identity.leases[0].host_port == 31002
        assert [e.kind for e in portway.events].count("port.moved") == 1
        portway.check_nothing_left_over()


async def test_a_port_the_kernel_says_is_taken_is_never_tried(portway: Portway) -> None:
    guard = FakeGuard()
    guard.foreign[31000] = "nginx (pid 7)"
    guard.claimed_elsewhere.add(31001)
    async with running_portway(guard=guard) as portway:  # noqa: PLR1704
        await portway.deploy("shop", WEB)
        (record,) = portway.app("shop/web").live
        assert record.identity.leases[0].host_port == 31002
        assert guard.claims == {31002}


async def test_a_node_full_of_ports_claimed_by_another_portway_is_said_in_a_sentence() -> None:
    guard = FakeGuard()
    guard.claimed_elsewhere = set(range(31000, 32000))
    async with running_portway(guard=guard) as portway:
        await portway.promote("shop", WEB)
        await portway.idle(1)
        (app,) = (await portway.operations.stack("shop")).apps
        assert "held by another portway on this machine; others are tried" in app.blocked
        assert (await portway.operations.server()).problems == ()
        await portway.idle(15)
        (app,) = (await portway.operations.stack("shop")).apps
        assert "no host port is free" in app.blocked
        guard.claimed_elsewhere.remove(31500)
        await portway.settled()
        assert guard.claims == {31500}


async def test_what_runs_without_a_record_is_adopted_with_its_port_in_use() -> None:
    guard = FakeGuard()
    async with running_portway(guard=guard) as before:
        await before.deploy("shop", WEB)
        disk = before.store.disk
        state = disk.apps["shop/web"]
        await before.crash()
        disk.apps["shop/web"] = replace(state, instances=())
        guard.in_use.add(31000)
        guard.claims.clear()
        after = Portway(disk=disk, world=before.engine.world, balancer=before.balancer, guard=guard)
        await after.open()
        await after.settled()
        assert after.live("shop/web") == after.running() == ["shop/web.1.1"]
        assert guard.claims == {31000}
        await after.crash()
        before.store.disk.holder = None
        await before.open()


async def test_a_successor_adopts_what_runs(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    started = portway.engine.world.instances["shop/web.1.1"]
    after = await portway.successor()
    await after.idle(20)
    assert after.engine.world.instances == {"shop/web.1.1": started}
    assert len(after.leases.host_pool) == 1
    after.check_nothing_left_over()
    await after.crash()
    await portway.open()


async def test_the_listener_of_an_app_deleted_while_the_balancer_was_away_goes_in_the_end(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    await portway.operations.scale("shop", {"web": 0})
    await portway.settled()
    portway.balancer.running = False
    await portway.operations.delete_stack("shop")
    await portway.idle(30)
    portway.balancer.running = True
    await portway.settled()
    assert portway.listeners() == []
    assert portway.world.stacks == {}


async def test_what_is_left_of_an_unknown_app_is_cleared_away_once_it_has_ended(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    await portway.crash()
    portway.store.disk.apps.clear()
    portway.store.disk.stacks.clear()
    portway.engine.kill("shop/web.1.1")
    after = await _again(portway)
    await after.until(lambda: not after.listeners() and not after.engine.world.instances)
    await after.crash()
    await portway.open()


async def test_what_still_runs_of_an_unknown_app_is_left_alone_and_named(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.crash()
    portway.store.disk.apps.clear()
    portway.store.disk.stacks.clear()
    after = await _again(portway)
    await after.idle(30)
    assert after.running() == ["shop/web.1.1"]
    assert any("shop/web.1.1" in p for p in (await after.operations.server()).problems)
    await after.crash()
    await portway.open()


async def _again(portway: Portway) -> Portway:
    after = Portway(disk=portway.store.disk, world=portway.engine.world, balancer=portway.balancer)
    await after.open()
    return after
