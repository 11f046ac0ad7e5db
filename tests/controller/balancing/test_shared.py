"""Virtual hosts in a whole controller, with an engine and a balancer in memory and a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from portway.controller.balancing import shared as shared_module
from portway.controller.balancing.shared import SharedListeners, SharedSettings
from portway.core.app import App, HealthCheck, PortSpec, Rollout, VirtualHost
from portway.core.balancing.shared import OWNER
from portway.core.instance import Phase
from portway.core.routes import EndpointState, Route, RouteKey
from tests.balancers.support import make_certificate
from tests.controller.inprocess import Portway

VIRTUAL_TIME = True

HTTP, HTTPS = RouteKey(address="", service_port=80), RouteKey(address="", service_port=443)
SHOP = VirtualHost(hosts=("shop.example.com",))


def app(name: str = "web", host: VirtualHost | None = SHOP, **fields: object) -> App:
    port = PortSpec(name="http", container_port=80, virtual=host)
    made = App(
        id=f"c/{name}",
        image="web",
        ports=(port,),
        health=HealthCheck(start_period_s=1.0),
        rollout=Rollout(drain_timeout_s=300.0),
    )
    return replace(made, **fields)


@pytest.fixture
async def portway() -> AsyncIterator[Portway]:
    made = Portway()
    await made.open()
    yield made
    await made.crash()


def shared(portway: Portway) -> SharedListeners:
    return portway.controller.balancing.shared


def pool(portway: Portway, key: RouteKey = HTTP) -> dict[str, EndpointState]:
    """Who is in the pools of a shared listener as the balancer serves it."""
    route = portway.balancer.served.get(key)
    pools = route.pools if route else ()
    return {e.instance_id: e.state for each in pools for e in each.endpoints}


def ready(portway: Portway) -> set[str]:
    return {i for i, state in pool(portway).items() if state is EndpointState.READY}


def phase(portway: Portway, instance_id: str) -> Phase:
    return next(r.phase for r in portway.world.apps["c/web"].instances if r.id == instance_id)


async def running(portway: Portway, *apps: App) -> None:
    for each in apps:
        await portway.operations.put_app("c", each, count=2)
    ids = {f"{each.id}.{n}.{n}" for each in apps for n in (1, 2)}
    await portway.until(lambda: ready(portway) == ids)


async def test_an_app_with_a_virtual_host_is_behind_its_own_listener_and_the_shared_one(
    portway: Portway,
) -> None:
    await running(portway, app())
    own, through = await portway.operations.map("c")
    assert {own.service_port, through.service_port} == {*portway.listeners()}
    assert through.service_port == 80
    assert portway.world.served_by(OWNER).keys() == {HTTP}
    [route] = portway.world.applied[OWNER]
    assert [rule.name for rule in route.rules] == ["shop.example.com"]


async def test_instances_of_a_new_revision_change_servers_only_and_the_old_drain_there_first(
    portway: Portway,
) -> None:
    await running(portway, app())
    [before] = portway.world.applied[OWNER]
    portway.balancer.connections = {"c/web.1.1": 1}
    await portway.operations.put_app("c", app(environment={"A": "2"}), count=2)
    await portway.until(lambda: pool(portway).get("c/web.1.1") is EndpointState.DRAINING)
    assert len(ready(portway)) >= 2
    await portway.idle(5)
    assert phase(portway, "c/web.1.1") is Phase.DRAINING
    portway.balancer.connections = {}
    await portway.until(lambda: phase(portway, "c/web.1.1") is Phase.GONE)
    [after] = portway.world.applied[OWNER]
    assert (after.rules, after.default) == (before.rules, before.default)
    portway.check_invariants()


async def test_two_apps_of_one_host_and_path_are_one_pool_until_one_goes(portway: Portway) -> None:
    await running(portway, app("blue"), app("green"))
    [route] = portway.world.applied[OWNER]
    assert [len(each.endpoints) for each in route.pools] == [4]
    await portway.operations.remove_app("c", "blue")
    await portway.until(lambda: ready(portway) == {"c/green.1.1", "c/green.2.2"})


async def test_the_shared_listeners_go_with_the_last_app(portway: Portway) -> None:
    await running(portway, app())
    await portway.operations.remove_app("c", "web")
    await portway.until(lambda: not portway.balancer.served)
    assert portway.controller.balancing.owners == ()


async def test_a_host_that_a_release_drops_stays_while_older_instances_run(
    portway: Portway,
) -> None:
    await running(portway, app())
    portway.balancer.connections = {"c/web.1.1": 1}
    other = VirtualHost(hosts=("new.example.com",))
    await portway.operations.put_app("c", app(host=other), count=2)
    await portway.until(lambda: "c/web.1.3" in pool(portway) or "c/web.2.3" in pool(portway))
    assert {place.host for place in shared(portway).places()} == {"new.example.com", "shop.example.com"}  # fmt: skip
    portway.balancer.connections = {}
    await portway.until(lambda: [p.host for p in shared(portway).places()] == ["new.example.com"])


async def test_another_controller_goes_on_and_nobody_leaves_the_pool(portway: Portway) -> None:
    await running(portway, app())
    before = pool(portway)
    successor = await portway.successor()
    await successor.idle(20)
    assert pool(successor) == before
    await successor.crash()


async def test_https_is_served_once_the_file_is_there_and_again_when_it_is_another(
    portway: Portway, tmp_path: Path
) -> None:
    host = replace(SHOP, certificate="shop.pem")
    shared(portway).settings = SharedSettings(certificates=tmp_path)
    await running(portway, app(host=host))
    await portway.idle(10)
    assert HTTPS not in portway.balancer.served
    assert f"there is no {tmp_path}/shop.pem" in shared(portway).faults["shop.pem"]
    (tmp_path / "shop.pem").write_text(make_certificate("a", "shop.example.com").pem)
    await portway.until(lambda: pool(portway, HTTPS))
    first = shared(portway).certificates["shop.pem"].fingerprint
    (tmp_path / "shop.pem").write_text("nonsense")
    await portway.idle(10)
    assert "is not served" in shared(portway).faults["shop.pem"]
    assert shared(portway).certificates["shop.pem"].fingerprint == first
    (tmp_path / "shop.pem").write_text(make_certificate("b", "shop.example.com").pem)
    await portway.until(lambda: shared(portway).certificates["shop.pem"].fingerprint != first)
    assert not shared(portway).faults


async def test_https_stays_when_another_controller_comes(
    portway: Portway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SharedSettings(certificates=tmp_path)
    (tmp_path / "shop.pem").write_text(make_certificate("a", "shop.example.com").pem)
    shared(portway).settings = settings
    await running(portway, app(host=replace(SHOP, certificate="shop.pem")))
    await portway.until(lambda: pool(portway, HTTPS))
    monkeypatch.setattr(shared_module, "SharedSettings", lambda: settings)
    applied: list[bool] = []
    apply = portway.balancer.apply

    async def noting(owner: str, routes: Sequence[Route]) -> None:
        applied.extend([HTTPS in {route.key for route in routes}] if owner == OWNER else [])
        await apply(owner, routes)

    monkeypatch.setattr(portway.balancer, "apply", noting)
    successor = await portway.successor()
    await successor.idle(20)
    assert all(applied)
    assert pool(successor, HTTPS)
    await successor.crash()
