"""HAProxyBalancer with a real HAProxy: what changes live, what survives, what is told when it cannot be."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.core.app import Balance, ListenerProtocol, ListenerSpec
from portway.core.errors import BalancerError
from portway.core.routes import EndpointState, RouteKey
from tests.balancers.conftest import StartInstance
from tests.balancers.support import (
    LOOPBACK,
    connect,
    eventually,
    fetch,
    free_service_port,
    make_certificate,
    make_endpoint,
    make_route,
    needs_haproxy,
    restarted,
    served_domain,
)

pytestmark = needs_haproxy


DRAINING = EndpointState.DRAINING


async def test_scaling_draining_and_removing_take_no_reload(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    before = (await balancer.info()).reloads
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), make_endpoint(b))])
    assert {(await fetch(port_number)).instance for _ in range(8)} == {"a", "b"}
    await balancer.apply(
        "shop/web", [make_route(port_number, make_endpoint(a, state=DRAINING), make_endpoint(b))]
    )
    assert {(await fetch(port_number)).instance for _ in range(8)} == {"b"}
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(b))])
    assert {(await fetch(port_number)).instance for _ in range(8)} == {"b"}
    assert (await balancer.info()).reloads == before


async def test_a_draining_instance_finishes_what_it_began(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    connection = await connect(port_number)
    await connection.send_request("/hold")
    await eventually(lambda: len(a.heads) == 1)
    await balancer.apply(
        "shop/web", [make_route(port_number, make_endpoint(a, state=DRAINING), make_endpoint(b))]
    )
    (route,) = await balancer.observe()
    assert {e.instance_id: e.connections for e in route.endpoints} == {"a": 1, "b": 0}
    a.hold.set()
    assert (await connection.answer()).instance == "a"
    assert (await connection.request()).instance == "b"
    await connection.close()


async def test_removing_an_endpoint_closes_its_connections(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    connection = await connect(port_number)
    await connection.send(b"\x00x")
    assert await connection.receive() == b"a:\x00x"
    await balancer.apply("shop/web", [make_route(port_number)])
    assert await connection.receive() == b""
    await connection.close()


async def test_an_instance_may_come_back_at_another_address(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    port_number = free_service_port()
    await balancer.apply(
        "shop/web", [make_route(port_number, make_endpoint(a, name="shop/web.1.1"))]
    )
    assert (await fetch(port_number)).instance == "a"
    await balancer.apply(
        "shop/web", [make_route(port_number, make_endpoint(b, name="shop/web.1.1"))]
    )
    assert (await fetch(port_number)).instance == "b"
    (route,) = await balancer.observe()
    assert [(e.instance_id, e.port_number) for e in route.endpoints] == [
        ("shop/web.1.1", b.port_number)
    ]


async def test_an_instance_may_leave_and_come_back_at_once(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    for _ in range(5):
        await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
        assert (await fetch(port_number)).instance == "a"
        await balancer.apply("shop/web", [make_route(port_number)])
        assert (await fetch(port_number)).status == 503


async def test_no_request_fails_while_servers_are_swapped(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    instances = [await start_instance(f"i{n}") for n in range(4)]
    port_number = free_service_port()
    # Not AUTO: on a busy machine two hundred clients may be slower than it waits for the first byte.
    route = partial(make_route, port_number, listener=ListenerSpec(protocol=ListenerProtocol.HTTP))
    await balancer.apply("shop/web", [route(make_endpoint(instances[0]))])
    before = (await balancer.info()).reloads
    failures: list[str] = []
    answered = 0
    swapping = True

    async def client() -> None:
        nonlocal answered
        connection = await connect(port_number)
        while swapping:
            answer = await connection.request("/later", method="POST", body="x")
            answered += 1
            if answer.status != 200:
                failures.append(answer.head)
        await connection.close()

    async with asyncio.TaskGroup() as clients:
        for _ in range(200):
            clients.create_task(client())
        for n in range(20):
            old, new = instances[n % 4], instances[(n + 1) % 4]
            both = route(make_endpoint(old), make_endpoint(new))
            await balancer.apply("shop/web", [both])
            drained = route(make_endpoint(old, state=DRAINING), make_endpoint(new))
            await balancer.apply("shop/web", [drained])

            async def quiet(name: str = old.name) -> bool:
                (served,) = await balancer.observe()
                return all(e.connections == 0 for e in served.endpoints if e.instance_id == name)

            await eventually(quiet)
            await balancer.apply("shop/web", [route(make_endpoint(new))])
        swapping = False
    assert failures == []
    assert answered > 200
    assert (await balancer.info()).reloads == before


async def test_fifty_apps_at_once_take_few_reloads(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    ports = {free_service_port() for _ in range(50)}
    before = (await balancer.info()).reloads
    async with asyncio.TaskGroup() as group:
        for n in ports:
            route = make_route(n, make_endpoint(a), owner=f"shop/app{n}")
            group.create_task(balancer.apply(route.owner, [route]))
    assert (await balancer.info()).reloads - before <= 3
    assert {route.key.service_port for route in await balancer.observe()} == ports


async def test_connections_of_one_app_survive_the_reload_for_another(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    first, second = free_service_port(), free_service_port()
    await balancer.apply("shop/web", [make_route(first, make_endpoint(a))])
    connection = await connect(first)
    await connection.send(b"\x00x")
    assert await connection.receive() == b"a:\x00x"
    before = (await balancer.info()).reloads
    await balancer.apply("shop/api", [make_route(second, make_endpoint(a), owner="shop/api")])
    assert (await balancer.info()).reloads == before + 1
    await connection.send(b"y")
    assert await connection.receive() == b"a:y"
    await connection.close()


async def test_connections_held_by_an_old_worker_are_counted_and_closed_on_removal(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    first, second = free_service_port(), free_service_port()
    await balancer.apply("shop/web", [make_route(first, make_endpoint(a))])
    connection = await connect(first)
    await connection.send(b"\x00x")
    assert await connection.receive() == b"a:\x00x"
    await balancer.apply("shop/api", [make_route(second, make_endpoint(a), owner="shop/api")])
    held = {r.owner: [e.connections for e in r.endpoints] for r in await balancer.observe()}
    assert held == {"shop/web": [1], "shop/api": [0]}
    await balancer.apply("shop/web", [make_route(first)])
    assert await connection.receive() == b""
    await connection.close()


async def test_drained_endpoints_stay_drained_over_a_reload(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    first, second = free_service_port(), free_service_port()
    route = make_route(first, make_endpoint(a, state=DRAINING), make_endpoint(b))
    await balancer.apply("shop/web", [route])
    await balancer.apply("shop/api", [make_route(second, make_endpoint(a), owner="shop/api")])
    served = {r.owner: r for r in await balancer.observe()}
    assert {e.instance_id: e.state for e in served["shop/web"].endpoints} == {
        "a": DRAINING,
        "b": EndpointState.READY,
    }
    assert {(await fetch(first)).instance for _ in range(6)} == {"b"}


async def test_counters_never_go_backwards(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    first, second = free_service_port(), free_service_port()

    async def requests() -> int:
        return {r.owner: r.requests for r in await balancer.observe()}["shop/web"]

    await balancer.apply("shop/web", [make_route(first, make_endpoint(a))])
    for _ in range(5):
        await fetch(first)
    assert await requests() == 5
    await balancer.apply("shop/api", [make_route(second, make_endpoint(a), owner="shop/api")])
    assert await requests() == 5
    await fetch(first)
    assert await requests() == 6
    restarts = (await balancer.info()).restarts
    os.kill((await balancer.info()).process_id, signal.SIGKILL)
    await eventually(lambda: restarted(balancer, restarts))
    assert await requests() == 6


async def test_failures_to_answer_are_counted_for_the_route(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    port_number = free_service_port()
    spec = ListenerSpec(protocol=ListenerProtocol.HTTP)
    await balancer.apply("shop/web", [make_route(port_number, listener=spec)])
    assert (await fetch(port_number)).status == 503
    (route,) = await balancer.observe()
    assert (route.requests, route.failed) == (1, 1)


async def test_a_port_held_by_another_is_named_and_the_rest_applied(
    tmp_path: Path, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    good = free_service_port()
    made = HAProxyBalancer(
        tmp_path,
        public_addresses=(LOOPBACK,),
        describe_holder=lambda address, service_port: f"nginx (pid 7) on {address}:{service_port}",
    )
    try:
        await made.open()
        with socket.create_server((LOOPBACK, 0)) as holder:
            taken = holder.getsockname()[1]
            routes = [make_route(taken, make_endpoint(a)), make_route(good, make_endpoint(a))]
            with pytest.raises(BalancerError) as caught:
                await made.apply("shop/web", routes)
            assert f"nginx (pid 7) on {LOOPBACK}:{taken}" in str(caught.value)
            assert caught.value.retryable
            assert (await fetch(good)).instance == "a"
        await made.apply("shop/web", routes)
        assert (await fetch(taken)).instance == "a"
    finally:
        await made.shutdown()


async def test_a_port_of_another_app_is_refused_by_its_name(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    with pytest.raises(BalancerError, match="already served for shop/web"):
        await balancer.apply(
            "shop/api", [make_route(port_number, make_endpoint(b), owner="shop/api")]
        )
    assert (await fetch(port_number)).instance == "a"


async def test_an_address_of_another_machine_is_refused(balancer: HAProxyBalancer) -> None:
    route = make_route(free_service_port())
    foreign = RouteKey(address="192.0.2.1", service_port=route.key.service_port)
    with pytest.raises(BalancerError, match="no address 192.0.2.1"):
        await balancer.apply("shop/web", [replace(route, key=foreign)])


async def test_the_last_listener_can_go_and_its_port_is_free_at_once(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    connection = await connect(port_number)
    await connection.send(b"\x00x")
    await connection.receive()
    await balancer.apply("shop/web", [])
    assert await connection.receive() == b""
    assert await balancer.observe() == ()
    with socket.create_server((LOOPBACK, port_number), reuse_port=False):
        pass
    await connection.close()


async def test_another_way_to_balance_takes_effect_and_keeps_the_counters(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    await fetch(port_number)
    spec = ListenerSpec(balance=Balance.LEAST_CONNECTIONS, slow_start_s=5.0)
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a), listener=spec)])
    await fetch(port_number)
    (route,) = await balancer.observe()
    assert route.requests == 2


async def test_a_certificate_haproxy_refuses_does_not_hold_up_other_listeners(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    bad, good = free_service_port(), free_service_port()
    weak = make_certificate("weak", "weak.test", rsa_bits=1024)
    await balancer.certificates([weak, make_certificate("good", "good.test")])
    routes = [
        make_route(bad, make_endpoint(a), certificates=("weak",)),
        make_route(good, make_endpoint(a), certificates=("good",)),
    ]
    with pytest.raises(BalancerError, match=str(bad)):
        await balancer.apply("shop/web", routes)
    assert await served_domain(good) == "good.test"


async def test_a_refused_replacement_leaves_the_certificate_before_it(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    first, second = free_service_port(), free_service_port()
    good = make_certificate("one", "good.test")
    await balancer.certificates([good])
    await balancer.apply("shop/web", [make_route(first, make_endpoint(a), certificates=("one",))])
    with pytest.raises(BalancerError, match="refused a certificate"):
        await balancer.certificates([make_certificate("one", "weak.test", rsa_bits=1024)])
    assert await served_domain(first) == "good.test"
    await balancer.apply("shop/api", [make_route(second, make_endpoint(a), owner="shop/api")])
    assert await served_domain(first) == "good.test"
    assert (await fetch(second)).instance == "a"
    await balancer.certificates([good])
    assert await served_domain(first) == "good.test"


async def test_a_key_of_another_certificate_is_refused_and_the_one_before_kept(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    one, other = make_certificate("one", "one.test"), make_certificate("x", "x.test")
    await balancer.certificates([one])
    route = make_route(port_number, make_endpoint(a), certificates=("one",))
    await balancer.apply("shop/web", [route])
    key_at = "-----BEGIN PRIVATE"
    mixed = one.pem[: one.pem.index(key_at)] + other.pem[other.pem.index(key_at) :]
    with pytest.raises(BalancerError, match="do not belong together"):
        await balancer.certificates([replace(one, pem=mixed)])
    assert await served_domain(port_number) == "one.test"
