"""Pause and resume: what stands still, what goes on, what is refused."""

from __future__ import annotations

import pytest

from portway.controller.views import ReleaseRequest, StrategyRequest
from portway.core.errors import RequestError
from portway.core.state import DeploymentStatus
from tests.controller.inprocess import Portway
from tests.controller.test_operations import refused
from tests.controller.test_strategies import begin, releases_serving, view, web

VIRTUAL_TIME = True


async def status(portway: Portway) -> tuple[str, str]:
    stack = await portway.operations.stack("shop")
    return stack.status, stack.apps[0].status


async def test_a_paused_deployment_stands_still_until_it_is_resumed(portway: Portway) -> None:
    old = (await portway.deploy("shop", web("web:1"))).release
    new = await begin(portway, None)
    await portway.operations.pause("shop")
    await portway.idle(3600)
    assert releases_serving(portway).count(old) == 4
    assert await status(portway) == ("paused", "paused")
    assert (await view(portway)).paused
    await portway.operations.resume("shop")
    await portway.settled()
    assert releases_serving(portway) == [new] * 4
    assert (await portway.operations.stack("shop")).release == new


async def test_a_pause_survives_a_restart_of_the_server(portway: Portway) -> None:
    old = (await portway.deploy("shop", web("web:1"))).release
    await begin(portway, None)
    await portway.operations.pause("shop")
    after = await portway.successor()
    await after.idle(600)
    assert await status(after) == ("paused", "paused")
    assert releases_serving(after).count(old) == 4
    await after.operations.resume("shop")
    await after.settled()
    await after.crash()


async def test_an_abort_ends_a_pause_and_returns_to_what_ran(portway: Portway) -> None:
    old = (await portway.deploy("shop", web("web:1"))).release
    await begin(portway, None)
    await portway.operations.pause("shop")
    await portway.operations.cancel("shop")
    await portway.settled()
    assert releases_serving(portway) == [old] * 4
    assert await status(portway) == ("running", "running")


async def test_an_instance_that_dies_while_paused_is_replaced_by_what_ran_before(
    portway: Portway,
) -> None:
    old = (await portway.deploy("shop", web("web:1"))).release
    await begin(portway, StrategyRequest(canary="25%", hold=True))
    await portway.idle(10)
    await portway.operations.pause("shop")
    for record in portway.app("shop/web").live:
        if record.identity.release == old:
            portway.engine.kill(record.id)
    await portway.idle(120)
    assert releases_serving(portway).count(old) == 3
    assert portway.app("shop/web").deployment.status is DeploymentStatus.RUNNING
    await portway.operations.cancel("shop")
    await portway.settled()


async def test_a_scale_can_be_paused_as_well(portway: Portway) -> None:
    await portway.deploy("shop", web("web:1", count=1))
    await portway.operations.scale("shop", {"web": 3})
    await portway.operations.pause("shop")
    await portway.operations.resume("shop")
    await portway.settled()
    assert len(releases_serving(portway)) == 3


async def test_a_paused_deployment_holding_at_a_step_goes_on_at_the_second_resume(
    portway: Portway,
) -> None:
    await portway.deploy("shop", web("web:1"))
    new = await begin(portway, StrategyRequest(canary="25%", hold=True))
    await portway.idle(10)
    await portway.operations.pause("shop")
    await portway.operations.resume("shop")
    await portway.idle(10)
    assert (await view(portway)).stage == "holding"
    await portway.operations.resume("shop")
    await portway.settled()
    assert releases_serving(portway) == [new] * 4


async def test_what_cannot_be_paused_or_resumed_is_refused(portway: Portway) -> None:
    await portway.deploy("shop", web("web:1"))
    assert "no deployment of shop" in await refused(portway.operations.pause("shop"), 409)
    assert "no deployment of shop" in await refused(portway.operations.resume("shop"), 409)
    assert "shpo" in await refused(portway.operations.pause("shpo"), 404)
    await begin(portway, None)
    assert "is not paused" in await refused(portway.operations.resume("shop"), 409)
    plan = await portway.operations.plan("shop", ReleaseRequest(manifest=web("web:3")))
    assert plan.refused.startswith("another deployment of shop is under way")
    await portway.operations.pause("shop")
    assert "paused already" in await refused(portway.operations.pause("shop"), 409)
    message = await refused(portway.promote("shop", web("web:3")), 409)
    assert "is paused" in message
    assert "portway resume" in message
    await portway.operations.delete_stack("shop")
    assert "being deleted" in await refused(portway.operations.pause("shop"), 409)


async def test_what_dies_again_and_again_is_said_to_be_crash_looping(portway: Portway) -> None:
    await portway.deploy("shop", web("web:1", count=1))
    started: list[int] = []
    for _ in range(8):
        await portway.until(lambda: releases_serving(portway), within_s=120)
        (record,) = portway.app("shop/web").live
        started.append(record.planned_at_ms)
        portway.engine.kill(record.id)
        await portway.until(lambda: not releases_serving(portway))
    gaps_s = [(b - a) / 1000 for a, b in zip(started, started[1:], strict=False)]
    assert gaps_s == sorted(gaps_s)
    assert await status(portway) == ("degraded", "crash looping")
    blocked = (await portway.operations.stack("shop")).apps[0].blocked
    assert blocked.startswith("crash looping: the next try is in ")
    await portway.until(lambda: releases_serving(portway), within_s=120)
    assert (await status(portway))[1] == "crash looping"
    await portway.idle(130)
    assert await status(portway) == ("running", "running")


async def test_where_nothing_is_under_way_the_refusal_says_what_to_do_instead(
    portway: Portway,
) -> None:
    await portway.deploy("shop", web("web:1"))
    for ask, hint in (
        (portway.operations.cancel, "portway rollback -a shop"),
        (portway.operations.pause, "portway apps info shop"),
    ):
        with pytest.raises(RequestError, match="no deployment of shop is under way") as caught:
            await ask("shop")
        assert hint in caught.value.hint
