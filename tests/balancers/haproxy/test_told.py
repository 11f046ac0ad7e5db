"""What the running worker was told, with a real HAProxy: servers alone where that is all, everything where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from portway.balancers.haproxy import live
from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.balancers.haproxy.listeners import Listener
from tests.balancers.conftest import StartInstance
from tests.balancers.support import (
    eventually,
    fetch,
    free_service_port,
    make_endpoint,
    make_route,
    needs_haproxy,
)

pytestmark = needs_haproxy


async def test_servers_that_come_and_go_concern_no_other_listener(
    balancer: HAProxyBalancer, start_instance: StartInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    web, api = free_service_port(), free_service_port()
    await balancer.apply("shop/web", [make_route(web, make_endpoint(a))])
    await balancer.apply("shop/api", [make_route(api, make_endpoint(b), owner="shop/api")])
    asked = _synced(monkeypatch)
    await balancer.apply("shop/web", [make_route(web, make_endpoint(b))])
    assert asked == [["shop/web"]]
    assert (await fetch(web)).instance == "b"
    assert (await fetch(api)).instance == "b"


async def test_a_listener_that_is_treated_differently_is_a_matter_of_the_whole(
    balancer: HAProxyBalancer, start_instance: StartInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await start_instance("a")
    web, api = free_service_port(), free_service_port()
    await balancer.apply("shop/web", [make_route(web, make_endpoint(a))])
    asked = _synced(monkeypatch)
    await balancer.apply("shop/web", [make_route(n, make_endpoint(a)) for n in (web, api)])
    assert asked == [["shop/web", "shop/web"]]
    assert (await fetch(api)).instance == "a"


async def test_the_files_follow_what_was_told_and_a_restart_serves_it(
    balancer: HAProxyBalancer, start_instance: StartInstance, tmp_path: Path
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    web = free_service_port()
    await balancer.apply("shop/web", [make_route(web, make_endpoint(a))])
    await balancer.apply("shop/web", [make_route(web, make_endpoint(b))])
    config = tmp_path / "haproxy" / "haproxy.cfg"
    await balancer.close()
    servers = [line for line in config.read_text().splitlines() if line.startswith("    server ")]
    assert {line.split()[2] for line in servers} == {f"127.0.0.1:{b.port_number}"}
    await balancer.open()
    assert (await fetch(web)).instance == "b"


async def test_the_files_are_written_while_it_goes_on_too(
    balancer: HAProxyBalancer, start_instance: StartInstance, tmp_path: Path
) -> None:
    a = await start_instance("a")
    web = free_service_port()
    await balancer.apply("shop/web", [make_route(web)])
    await balancer.apply("shop/web", [make_route(web, make_endpoint(a))])
    config = tmp_path / "haproxy" / "haproxy.cfg"
    await eventually(lambda: f"127.0.0.1:{a.port_number} " in config.read_text())


async def test_whose_requests_are_reported_is_told_without_a_look_at_others(
    balancer: HAProxyBalancer, start_instance: StartInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await start_instance("a")
    web, api = free_service_port(), free_service_port()
    seen: list[str] = []
    balancer.take_requests(lambda requests, _: seen.extend(one.owner for one in requests))
    await balancer.apply("shop/web", [make_route(web, make_endpoint(a))])
    await balancer.apply("shop/api", [make_route(api, make_endpoint(a), owner="shop/api")])
    asked = _synced(monkeypatch)
    await balancer.report(["shop/web"])
    assert asked == [["shop/web"]]
    await fetch(api)
    await fetch(web)
    await eventually(lambda: bool(seen))
    await balancer.report([])
    await fetch(web)
    assert seen == ["shop/web"]


def _synced(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Whose servers are compared with HAProxy's from now on, time by time."""
    asked: list[list[str]] = []
    real = live.sync_servers

    async def noted(session, runtime, listeners: list[Listener], old, **more):  # noqa: ANN001, ANN003, ANN202
        asked.append([one.route.owner for one in listeners])
        return await real(session, runtime, listeners, old, **more)

    monkeypatch.setattr(live, "sync_servers", noted)
    return asked
