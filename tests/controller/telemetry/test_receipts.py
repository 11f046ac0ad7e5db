"""Receipts on a whole controller: kept with the release, whatever happens to the controller meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from portway.controller.views import StrategyRequest
from portway.core.errors import BalancerError, RequestError
from portway.core.receipt import FailedRequests, Receipt
from portway.core.request import ServedRequest
from portway.core.routes import RouteKey
from portway.core.traffic import Traffic
from tests.controller.inprocess import WEB, Portway, compose, running_portway

VIRTUAL_TIME = True
TWO = compose(web="image: web:2; ports: ['80:8080']")
SLOW = compose(web="image: never-healthy; ports: ['80:8080']")
KEY = RouteKey(address="", service_port=80)


def served(total_ms: float = 10.0, **fields: Any) -> ServedRequest:
    return ServedRequest(owner="shop/web", at_ms=0, status=200, total_ms=total_ms, **fields)


async def receipts(portway: Portway, release: str) -> tuple[Receipt, ...]:
    await portway.until(lambda: not portway.controller.receipts.is_busy)
    return (await portway.operations.release("shop", release)).receipts


async def the_receipt(portway: Portway, release: str) -> Receipt:
    return (await receipts(portway, release))[-1]


async def test_a_deployment_ends_with_a_receipt_kept_with_its_release() -> None:
    async with running_portway() as portway:
        promotion = await portway.deploy("shop", WEB)
        receipt = await the_receipt(portway, promotion.release)
        (deployment,) = promotion.deployments
        assert receipt.deployment == deployment.id
        assert receipt.status == "done"
        (listed,) = await portway.operations.releases("shop")
        assert (listed.status, listed.receipts) == ("done", ())
        assert receipt.total_ms == receipt.ended_at_ms - receipt.started_at_ms  # type: ignore[operator]
        (app,) = receipt.apps
        assert (app.app, app.started, app.stopped, app.requests, app.failed) == ("web", 1, 0, 0, 0)
        assert not receipt.before, "the counters at the beginning are nobody's business"


async def test_what_making_the_release_took_is_in_its_first_receipt_alone() -> None:
    async with running_portway() as portway:
        release = await portway.release("shop", WEB, build_ms=800, pull_ms=300)
        for _ in range(2):
            await portway.operations.promote("shop", release.id, force=True)
            await portway.settled("shop")
            await receipts(portway, release.id)
        first, second = await receipts(portway, release.id)
        assert (first.stages_ms["build"], first.stages_ms["pull"]) == (800, 300)
        assert "build" not in second.stages_ms


async def test_requests_are_counted_by_the_balancer_and_timed_one_by_one() -> None:
    async with running_portway() as portway:
        await portway.deploy("shop", WEB)
        portway.balancer.traffic[KEY] = Traffic(requests=100, errors_5xx=7)
        await portway.until(lambda: not portway.balancer.reported)
        promotion = await portway.promote("shop", TWO)
        await portway.until(lambda: "shop/web" in portway.balancer.reported)
        portway.balancer.serve(*(served(n) for n in range(1, 11)))
        portway.balancer.serve(served(failure="the app answered 500"), served(aborted=True))
        portway.balancer.traffic[KEY] = Traffic(requests=112, errors_5xx=8, retried=2)
        await portway.settled("shop")
        receipt = await the_receipt(portway, promotion.release)
        (app,) = receipt.apps
        assert (app.requests, app.failed, app.aborted, app.retried) == (12, 1, 1, 2)
        assert app.failures == (FailedRequests(reason="the app answered 500", count=1),)
        assert (app.timed, app.worst_ms) == (11, 10)
        assert receipt.worst_ms == 10
        assert app.unknown == ()
        assert not portway.balancer.reported, "requests are reported only while somebody asks"


async def test_requests_not_seen_one_by_one_are_named_by_the_counters() -> None:
    async with running_portway() as portway:
        await portway.deploy("shop", WEB)
        promotion = await portway.promote("shop", TWO)
        await portway.until(lambda: "shop/web" in portway.balancer.reported)
        portway.balancer.serve(skipped=50)
        portway.balancer.traffic[KEY] = Traffic(requests=50, errors_5xx=3, not_connected=2)
        await portway.settled("shop")
        (app,) = (await the_receipt(portway, promotion.release)).apps
        assert (app.requests, app.failed, app.p99_ms) == (50, 3, None)
        assert any("only counted" in sentence for sentence in app.unknown)


async def test_plain_tcp_has_no_latency_and_says_so() -> None:
    async with running_portway() as portway:
        await portway.deploy("shop", WEB)
        promotion = await portway.promote("shop", TWO)
        await portway.until(lambda: "shop/web" in portway.balancer.reported)
        portway.balancer.serve(served(is_http=False))
        portway.balancer.traffic[KEY] = Traffic(requests=1)
        await portway.settled("shop")
        (app,) = (await the_receipt(portway, promotion.release)).apps
        assert app.p99_ms is None
        assert any("plain TCP" in sentence for sentence in app.unknown)


async def test_the_time_a_step_was_observed_is_told_apart() -> None:
    async with running_portway() as portway:
        await portway.deploy("shop", WEB)
        release = await portway.release("shop", TWO)
        asked = StrategyRequest(strategy="blue-green", bake_s=60)
        await portway.operations.promote("shop", release.id, strategy=asked)
        await portway.settled("shop")
        receipt = await the_receipt(portway, release.id)
        (app,) = receipt.apps
        assert 59_000 <= receipt.stages_ms["bake"] == app.stages_ms["bake"] <= 61_000
        assert receipt.total_ms == receipt.ended_at_ms - receipt.started_at_ms  # type: ignore[operator]


async def test_connections_that_drained_are_counted() -> None:
    async with running_portway() as portway:
        await portway.deploy("shop", WEB)
        (old,) = portway.live("shop/web")
        portway.balancer.connections[old] = 3
        promotion = await portway.promote("shop", TWO)
        await portway.until(lambda: "instance.draining" in portway.kinds("shop"))
        await portway.idle(2)
        portway.balancer.connections[old] = 0
        await portway.settled("shop")
        receipt = await the_receipt(portway, promotion.release)
        (app,) = receipt.apps
        assert app.drained_connections == 3
        assert app.drained_ms >= 2000
        assert receipt.stages_ms["drain"] >= 2000


async def test_a_failed_deployment_has_a_receipt_too() -> None:
    async with running_portway() as portway:
        await portway.deploy("shop", WEB)
        promotion = await portway.deploy("shop", SLOW)
        receipt = await the_receipt(portway, promotion.release)
        assert receipt.status == "failed"
        assert receipt.stages_ms["health"] > 0


async def test_a_cancelled_deployment_says_so() -> None:
    async with running_portway() as portway:
        await portway.deploy("shop", WEB)
        promotion = await portway.promote("shop", SLOW)
        await portway.idle(1)
        await portway.operations.cancel("shop")
        await portway.settled("shop")
        assert (await the_receipt(portway, promotion.release)).status == "cancelled"


async def test_scaling_and_restarting_leave_receipts_with_the_active_release() -> None:
    async with running_portway() as portway:
        promotion = await portway.deploy("shop", WEB)
        await portway.operations.scale("shop", {"web": 3})
        await portway.settled("shop")
        assert (await the_receipt(portway, promotion.release)).apps[0].started == 2
        await portway.operations.restart("shop")
        await portway.settled("shop")
        assert len(await receipts(portway, promotion.release)) == 3


async def test_the_next_portway_goes_on_with_a_receipt_and_says_what_it_missed() -> None:
    async with running_portway() as portway:
        await portway.deploy("shop", WEB)
        portway.balancer.traffic[KEY] = Traffic(requests=100)
        (old,) = portway.live("shop/web")
        portway.balancer.connections[old] = 1
        promotion = await portway.promote("shop", TWO)
        await portway.until(lambda: "instance.draining" in portway.kinds("shop"))
        portway = await portway.successor()
        portway.balancer.traffic[KEY] = Traffic(requests=140)
        portway.balancer.connections[old] = 0
        await portway.settled("shop")
        receipt = await the_receipt(portway, promotion.release)
        assert receipt.status == "done"
        assert receipt.apps[0].requests == 40
        assert any("restarted" in sentence for sentence in receipt.unknown)
        await portway.crash()


async def test_without_the_balancers_word_requests_are_unknown_not_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_portway() as portway:
        await portway.deploy("shop", WEB)
        await portway.until(lambda: not portway.controller.receipts.is_busy)
        promotion = await portway.promote("shop", TWO)
        observe = portway.balancer.observe

        async def silent_afterwards(owners: Any = None) -> Any:
            deployment = portway.app("shop/web").deployment
            if deployment is not None and deployment.status != "running":
                raise BalancerError("no answer")
            return await observe(owners)

        monkeypatch.setattr(portway.balancer, "observe", silent_afterwards)
        receipt = await the_receipt(portway, promotion.release)
        (app,) = receipt.apps
        assert any("could not be read" in sentence for sentence in app.unknown)


async def test_a_stack_deleted_meanwhile_gets_no_receipt_back() -> None:
    async with running_portway() as portway:
        await portway.promote("shop", WEB)
        await portway.operations.delete_stack("shop")
        await portway.until(lambda: "shop" not in portway.world.stacks)
        await portway.until(lambda: not portway.controller.receipts.is_busy)
        assert not portway.store.disk.releases
        with pytest.raises(RequestError):
            await portway.operations.releases("shop")
