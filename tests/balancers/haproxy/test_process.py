"""HAProxy as a process: killed, adopted, two of them, none at all, and what it leaves on disk."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.balancers.haproxy.process import MasterProcess
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
)
from tests.features import has_ipv6_loopback

DRAINING = EndpointState.DRAINING
pytestmark = needs_haproxy


@pytest.mark.parametrize("victim", ["master", "worker"])
async def test_killed_it_comes_back_with_the_same_state_and_says_so(
    balancer: HAProxyBalancer, start_instance: StartInstance, victim: str
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    port_number = free_service_port()
    route = make_route(port_number, make_endpoint(a, state=DRAINING), make_endpoint(b))
    await balancer.apply("shop/web", [route])
    before = await balancer.observe()
    info = await balancer.info()
    told: list[str] = []
    balancer.when_back(lambda: told.append(victim))
    os.kill(info.process_id if victim == "master" else info.worker_ids[0], signal.SIGKILL)
    await eventually(lambda: restarted(balancer, info.restarts))
    assert await balancer.observe() == before
    assert (await fetch(port_number)).instance == "b"
    assert told == [victim]


async def test_a_change_made_while_it_is_dead_is_applied_all_the_same(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    os.kill((await balancer.info()).process_id, signal.SIGKILL)
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(b))])
    assert (await fetch(port_number)).instance == "b"


async def test_closed_it_goes_on_serving_and_is_adopted(
    tmp_path: Path, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    port_number = free_service_port()
    first = HAProxyBalancer(tmp_path, public_addresses=(LOOPBACK,))
    second = HAProxyBalancer(tmp_path, public_addresses=(LOOPBACK,))
    try:
        await first.open()
        await first.apply("shop/web", [make_route(port_number, make_endpoint(a))])
        await fetch(port_number)
        served, info = await first.observe(), await first.info()
        await first.close()
        assert (await fetch(port_number)).instance == "a"
        await second.open()
        assert await second.info() == info
        (route,) = await second.observe()
        (before,), (after,) = served[0].endpoints, route.endpoints
        assert replace(after, traffic=before.traffic) == before
        assert after.traffic.requests == before.traffic.requests + 1
        assert route.requests == served[0].requests + 1
        await second.apply("shop/web", [make_route(port_number, make_endpoint(b))])
        assert (await fetch(port_number)).instance == "b"
        assert (await second.info()).reloads == info.reloads
    finally:
        await second.shutdown()


async def test_started_again_it_serves_what_it_served_last(
    tmp_path: Path, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    first = HAProxyBalancer(tmp_path, public_addresses=(LOOPBACK,))
    second = HAProxyBalancer(tmp_path, public_addresses=(LOOPBACK,))
    try:
        await first.open()
        await first.apply("shop/web", [make_route(port_number, make_endpoint(a))])
        await first.shutdown()
        with pytest.raises(OSError):
            await connect(port_number)
        await second.open()
        assert (await fetch(port_number)).instance == "a"
    finally:
        await second.shutdown()


async def test_two_homes_live_side_by_side(tmp_path: Path, start_instance: StartInstance) -> None:
    a = await start_instance("a")
    ours, theirs = free_service_port(), free_service_port()
    first = HAProxyBalancer(tmp_path / "one", public_addresses=(LOOPBACK,))
    second = HAProxyBalancer(tmp_path / "two", public_addresses=(LOOPBACK,))
    try:
        await first.open()
        await second.open()
        await first.apply("shop/web", [make_route(ours, make_endpoint(a))])
        await second.apply("shop/web", [make_route(theirs, make_endpoint(a))])
        with pytest.raises(BalancerError, match=str(ours)):
            await second.apply("shop/api", [make_route(ours, owner="shop/api")])
        await first.shutdown()
        assert (await fetch(theirs)).instance == "a"
    finally:
        await first.shutdown()
        await second.shutdown()


async def test_without_haproxy_it_says_how_to_get_it(tmp_path: Path) -> None:
    made = HAProxyBalancer(tmp_path, executable="no-such-haproxy")
    with pytest.raises(BalancerError, match="apt-get install haproxy"):
        await made.open()


async def test_a_deep_home_directory_works(tmp_path: Path) -> None:
    made = HAProxyBalancer(tmp_path / ("d" * 60) / ("e" * 60), public_addresses=(LOOPBACK,))
    try:
        await made.open()
        assert await made.observe() == ()
    finally:
        await made.shutdown()


async def test_nobody_else_can_read_what_it_writes(
    balancer: HAProxyBalancer, tmp_path: Path, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    await balancer.certificates([make_certificate("c", "c.test")])
    route = make_route(free_service_port(), make_endpoint(a), certificates=("c",))
    await balancer.apply("shop/web", [route])
    directory = tmp_path / "haproxy"
    assert directory.stat().st_mode & 0o777 == 0o700
    files = [p for p in directory.rglob("*") if p.is_file() and p.name != "haproxy.pid"]
    assert {p.stat().st_mode & 0o077 for p in files} == {0}


async def test_old_workers_beyond_the_cap_are_stopped(
    tmp_path: Path, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    made = HAProxyBalancer(tmp_path, public_addresses=(LOOPBACK,), old_workers_max=2)
    try:
        await made.open()
        first = free_service_port()
        await made.apply("shop/web", [make_route(first, make_endpoint(a))])
        held = []
        for n in range(4):
            held.append(await connect(first))
            await held[-1].send(b"\x00x")
            await held[-1].receive()
            route = make_route(free_service_port(), make_endpoint(a), owner=f"shop/n{n}")
            await made.apply(route.owner, [route])

        async def few() -> bool:
            return len((await made.info()).worker_ids) <= 3

        await eventually(few)
        await held[-1].send(b"y")
        assert await held[-1].receive() == b"a:y"
        for connection in held:
            await connection.close()
    finally:
        await made.shutdown()


async def test_public_means_every_address_of_the_machine(
    tmp_path: Path, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    made = HAProxyBalancer(tmp_path)
    try:
        await made.open()
        route = make_route(free_service_port(), make_endpoint(a))
        number = route.key.service_port
        everywhere = replace(route, key=RouteKey(address="", service_port=number))
        await made.apply("shop/web", [everywhere])
        for address in ("127.0.0.1", "127.0.0.2", *(["::1"] if has_ipv6_loopback() else [])):
            reader, writer = await asyncio.open_connection(address, number)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            assert (await reader.readline()).split()[1] == b"200"
            writer.close()
        assert a.heads[-1].count("x-real-ip: ") == 1
    finally:
        await made.shutdown()


async def test_a_listener_lost_while_it_was_dead_comes_back_when_its_port_is_free(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    lost, kept = free_service_port(), free_service_port()
    await balancer.apply("shop/web", [make_route(lost, make_endpoint(a))])
    await balancer.apply("shop/api", [make_route(kept, make_endpoint(a), owner="shop/api")])
    await balancer.shutdown()
    with socket.create_server((LOOPBACK, lost)):
        await balancer.open()
        assert (await fetch(kept)).instance == "a"
        assert [route.owner for route in await balancer.observe()] == ["shop/api"]

    async def back() -> bool:
        return len(await balancer.observe()) == 2

    await eventually(back)
    assert (await fetch(lost)).instance == "a"


async def test_idle_connections_do_not_keep_a_removed_server_for_ever(
    balancer: HAProxyBalancer, start_instance: StartInstance, tmp_path: Path
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    connection = await connect(port_number)
    await connection.request()
    await connection.request()
    await balancer.apply("shop/web", [make_route(port_number)])

    async def gone() -> bool:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "haproxy/admin.sock"))
        writer.write(b"show servers state\n")
        text = (await reader.read()).decode()
        writer.close()
        return len(text.strip().splitlines()) == 2

    await eventually(gone)
    await connection.close()


async def test_dying_again_and_again_it_is_started_ever_later_and_then_serves(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    port_number = free_service_port()
    await balancer.apply("shop/web", [make_route(port_number, make_endpoint(a))])
    for n in range(3):
        os.kill((await balancer.info()).process_id, signal.SIGKILL)
        await eventually(lambda n=n: restarted(balancer, n))
    assert (await fetch(port_number)).instance == "a"
    assert (await balancer.info()).restarts == 3


def test_it_is_found_by_users_whose_path_leaves_out_sbin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert MasterProcess(tmp_path, "haproxy").program().endswith("/haproxy")


def test_where_it_is_not_installed_the_command_that_installs_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(BalancerError, match="HAProxy is not installed") as error:
        MasterProcess(tmp_path, "haproxy-of-nobody").program()
    assert "apt-get install haproxy" in error.value.hint
