"""Requests as a real HAProxy reports them: only those asked for, each with what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.core.app import ListenerProtocol, ListenerSpec
from portway.core.request import ServedRequest
from portway.core.routes import Endpoint
from tests.balancers.conftest import StartInstance
from tests.balancers.support import (
    LOOPBACK,
    connect,
    eventually,
    fetch,
    free_service_port,
    make_endpoint,
    make_route,
    needs_haproxy,
)

pytestmark = needs_haproxy


@pytest.fixture
def requests(balancer: HAProxyBalancer) -> list[ServedRequest]:
    taken: list[ServedRequest] = []

    def take(some: Sequence[ServedRequest], _skipped: int) -> None:
        taken.extend(some)

    balancer.take_requests(take)
    return taken


@pytest.mark.parametrize("protocol", [ListenerProtocol.AUTO, ListenerProtocol.HTTP])
async def test_requests_of_a_reported_owner_are_reported_without_a_reload(
    balancer: HAProxyBalancer,
    start_instance: StartInstance,
    requests: list[ServedRequest],
    protocol: ListenerProtocol,
) -> None:
    a = await start_instance("a")
    loud, quiet = free_service_port(), free_service_port()
    spec = ListenerSpec(protocol=protocol)
    await balancer.apply("shop/web", [make_route(loud, make_endpoint(a), listener=spec)])
    await balancer.apply("shop/api", [make_route(quiet, make_endpoint(a), owner="shop/api")])
    reloads = (await balancer.info()).reloads
    await fetch(loud, "/before")
    await balancer.report(["shop/web"])
    await fetch(quiet, "/quiet")
    answer = await fetch(loud, "/a%20path?token=secret", "X-Request-Id: mine")
    await eventually(lambda: bool(requests))
    await balancer.report([])
    await fetch(loud, "/after")
    assert (await balancer.info()).reloads == reloads
    (request,) = requests
    assert answer["x-request-id"] == "mine"
    assert (request.owner, request.instance_id) == ("shop/web", "a")
    assert (request.method, request.path, request.status) == ("GET", "/a%20path", 200)
    assert (request.request_id, request.client, request.ending) == ("mine", LOOPBACK, "--")
    assert request.is_timed
    assert not request.failure
    assert request.response_ms is not None
    assert request.response_ms <= request.total_ms


async def test_each_failure_is_reported_with_its_reason(
    balancer: HAProxyBalancer, start_instance: StartInstance, requests: list[ServedRequest]
) -> None:
    a = await start_instance("a")
    refusing = Endpoint(instance_id="refusing", address=LOOPBACK, port_number=free_service_port())
    ports = [free_service_port() for _ in range(3)]
    await balancer.apply(
        "shop/web",
        [
            make_route(ports[0], refusing),
            make_route(ports[1]),
            make_route(ports[2], make_endpoint(a)),
        ],
    )
    await balancer.report(["shop/web"])
    assert (await fetch(ports[1]))["x-request-id"], "our own answers carry the id too"
    client = await connect(ports[2])
    await client.send_request("/hold")
    await eventually(lambda: any("/hold" in head for head in a.heads))
    await balancer.apply("shop/web", [make_route(port, refusing) for port in ports[:1]])
    await client.close()
    await eventually(lambda: len(requests) >= 2)
    said = {request.failure for request in requests}
    assert "no instance was ready" in said
    assert any("cut off" in failure for failure in said)
    before = len(requests)
    await fetch(ports[0])
    await eventually(lambda: len(requests) > before)
    assert "could not be connected to" in requests[-1].failure
    assert requests[-1].retries > 0


async def test_what_was_asked_for_is_remembered_by_the_next_portway(
    tmp_path: Path, balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    number = free_service_port()
    await balancer.apply("shop/web", [make_route(number, make_endpoint(a))])
    await balancer.report(["shop/web"])
    await balancer.close()
    await fetch(number, "/unwatched")
    taken: list[ServedRequest] = []
    successor = HAProxyBalancer(tmp_path, public_addresses=(LOOPBACK,))
    successor.take_requests(lambda some, _: taken.extend(some))
    await successor.open()
    try:
        reloads = (await successor.info()).reloads
        # What ended while nobody read is still in the pipe.
        await eventually(lambda: [r.path for r in taken] == ["/unwatched"])
        assert (await successor.info()).reloads == reloads
    finally:
        await successor.close()
        await balancer.open()


async def test_a_flood_of_requests_holds_nobody_up(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    """Nobody takes them, nobody reads the pipe: they are dropped, and every request is answered."""
    a = await start_instance("a")
    number = free_service_port()
    await balancer.apply("shop/web", [make_route(number, make_endpoint(a))])
    await balancer.report(["shop/web"])
    await balancer.close()
    client = await connect(number)
    path = "/" + "x" * 1500
    statuses = {(await client.request(path)).status for _ in range(100)}
    await client.close()
    assert statuses == {200}
    await balancer.open()
    assert (await asyncio.wait_for(fetch(number), 10)).status == 200
