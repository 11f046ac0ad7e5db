"""What people and programs are shown of the world."""

from __future__ import annotations

import asyncio

import pytest

from portway.controller.health.checks import CheckNotMadeError
from portway.controller.health.probes import ProbeTarget
from portway.controller.views import AppView, InstanceView, MapRoute
from portway.core.health import HealthStatus
from portway.core.ports import PortRange
from portway.core.routes import RouteKey
from portway.engines.memory import Fault, ImageBehaviour
from tests.controller.inprocess import WEB, FakeGuard, Portway, compose, running_portway

VIRTUAL_TIME = True


async def app(portway: Portway, name: str = "web") -> AppView:
    return next(a for a in (await portway.operations.stack("shop")).apps if a.name == name)


async def status(portway: Portway) -> tuple[str, str]:
    stack = await portway.operations.stack("shop")
    return stack.status, stack.apps[0].status if stack.apps else ""


async def test_a_stack_that_was_never_promoted_is_new(portway: Portway) -> None:
    await portway.release("shop", WEB)
    assert await status(portway) == ("new", "")


async def test_a_stack_is_deploying_until_all_of_it_runs(portway: Portway) -> None:
    portway.engine.behave("web", ImageBehaviour(healthy=False))
    await portway.promote("shop", WEB)
    await portway.until(portway.running)
    assert await status(portway) == ("deploying", "deploying")
    view = (await app(portway)).deployment
    assert view is not None
    assert (view.status, view.desired, view.healthy, view.old) == ("running", 1, 0, 0)
    portway.engine.set_health("shop/web.1.1", passed=True)
    await portway.settled()
    assert await status(portway) == ("running", "running")
    done = (await app(portway)).deployment
    assert done is not None
    assert (done.status, done.started, done.healthy) == ("done", 1, 1)


async def test_a_failed_first_deployment_is_failed(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: crash"))
    assert await status(portway) == ("failed", "failed")
    view = (await app(portway)).deployment
    assert view is not None
    assert "about to crash" in view.reason


async def test_a_stack_with_an_unhealthy_instance_is_degraded(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.behave("web", ImageBehaviour(healthy=False))
    portway.engine.set_health("shop/web.1.1", passed=False, detail="HTTP 503")
    await portway.until(lambda: portway.world.health["shop/web.1.1"].status == "failing")
    assert await status(portway) == ("degraded", "degraded")
    view = next(v for v in await portway.operations.instances("shop") if v.id == "web.1.1")
    assert (view.health, view.health_detail) == ("unhealthy", "HTTP 503")


async def test_an_app_that_cannot_get_its_ports_is_blocked_and_says_why() -> None:
    guard = FakeGuard()
    two = PortRange(first=31000, last=31001)
    async with running_portway(host_ports=two, guard=guard) as portway:
        await portway.deploy("shop", WEB)
        guard.foreign[31001] = "nginx (pid 7)"
        await portway.operations.scale("shop", {"web": 2})
        await portway.idle(400)
        assert (await app(portway)).status == "blocked"
        assert "no host port is free" in (await app(portway)).blocked


async def test_an_app_scaled_to_nothing_is_stopped_and_its_stack_still_runs(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    await portway.operations.scale("shop", {"web": 0})
    await portway.settled()
    assert await status(portway) == ("running", "stopped")


async def test_a_job_that_ended_well_is_completed(portway: Portway) -> None:
    portway.engine.behave("job", ImageBehaviour(exits_with=0))
    await portway.deploy("shop", compose(web="image: job; restart: 'no'"))
    assert await status(portway) == ("running", "completed")


async def test_a_stack_on_its_way_out_is_deleting(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.balancer.connections["shop/web.1.1"] = 1
    await portway.operations.delete_stack("shop")
    assert await status(portway) == ("deleting", "deleting")


async def routes(portway: Portway, manifest: str) -> tuple[MapRoute, ...]:
    await portway.deploy("shop", manifest)
    return await portway.operations.map("shop")


@pytest.mark.parametrize(
    ("keys", "url"),
    [
        ("ports: ['80:8080']", "http://127.0.0.1:80/"),
        ("ports: ['10.0.0.1:80:8080']", "http://10.0.0.1:80/"),
        ("ports: ['80:8080']; labels: {convox.port.80.protocol: https}", "https://127.0.0.1:80/"),
        ("ports: ['80:8080']; labels: {convox.port.80.protocol: tcp}", "tcp://127.0.0.1:80"),
        ("ports: ['80:8080']; labels: {convox.port.80.protocol: tls}", "tls://127.0.0.1:80"),
        ("ports: ['5000']", "tcp://127.0.0.1:10000"),
        ("ports: ['53:53/udp']", ""),
    ],
    ids=["http", "address", "https", "tcp", "tls", "internal", "udp"],
)
async def test_a_route_says_how_to_reach_it(portway: Portway, keys: str, url: str) -> None:
    (route,) = await routes(portway, compose(web=f"image: web; {keys}"))
    assert route.url == url


async def test_only_public_listeners_are_urls_of_the_stack(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web; ports: ['80:80', '5000', '53:53/udp']"))
    assert (await portway.operations.stack("shop")).urls == ("http://127.0.0.1:80/",)


async def test_every_endpoint_is_shown_with_all_three_ports_and_its_state(
    portway: Portway,
) -> None:
    (route,) = await routes(portway, WEB)
    (endpoint,) = route.endpoints
    assert (route.service_port, endpoint.host_port, endpoint.container_port) == (80, 31000, 8080)
    assert (endpoint.instance, endpoint.slot_name) == ("web.1.1", "web.1")
    assert (endpoint.target_port, endpoint.state) == (31000, "ready")


async def test_an_endpoint_that_is_not_served_says_why(portway: Portway) -> None:
    portway.engine.behave("web", ImageBehaviour(healthy=False))
    await portway.promote("shop", WEB)
    await portway.until(portway.running)
    await portway.idle(0.2)
    (route,) = await portway.operations.map("shop")
    assert [e.state for e in route.endpoints] == ["starting"]
    portway.balancer.blocked[RouteKey(address="", service_port=80)] = "nginx has it"
    portway.balancer.served.clear()
    portway.engine.set_health("shop/web.1.1", passed=True)
    await portway.idle(6)
    (route,) = await portway.operations.map("shop")
    assert [e.state for e in route.endpoints] == ["not routed"]
    assert "nginx has it" in route.note


async def test_an_app_that_runs_behind_a_listener_nobody_can_open_is_blocked(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    portway.balancer.blocked[RouteKey(address="", service_port=80)] = "nginx has it"
    portway.balancer.come_back()
    await portway.idle(0.5)  # less than the look every few seconds: it tells that it is back
    view = await portway.operations.stack("shop")
    (web,) = view.apps
    assert (web.healthy, web.status, view.status) == (web.count, "blocked", "degraded")
    assert "nginx has it" in web.blocked
    portway.balancer.blocked.clear()
    await portway.idle(6)
    assert (await portway.operations.stack("shop")).status == "running"


async def test_an_old_instance_that_only_has_to_end_is_said_to(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(instance_id: str, **_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(portway.engine, "stop", never)
    await portway.deploy("shop", WEB)
    await portway.promote("shop", compose(web="image: newer; ports: ['80:8080']"))
    await portway.until(lambda: portway.world.stacks["shop"].promoting is None)
    (route,) = await portway.operations.map("shop")
    assert [e.state for e in route.endpoints] == ["stopping", "ready"]
    (app,) = (await portway.operations.stack("shop")).apps
    assert app.deployment is not None
    assert (app.status, app.deployment.status, app.deployment.old) == ("running", "done", 1)


async def test_an_instance_of_a_pool_is_on_its_own_listener(portway: Portway) -> None:
    shown = await routes(portway, compose(web="image: web; ports: ['8001-8002:80']; scale: 2"))
    assert {r.service_port: [e.slot_name for e in r.endpoints] for r in shown} == {
        8001: ["web.1"],
        8002: ["web.2"],
    }


async def test_a_udp_port_is_said_to_be_published_not_balanced(portway: Portway) -> None:
    (route,) = await routes(portway, compose(web="image: web; ports: ['53:5353/udp']"))
    assert route.note == "UDP is published by the engine, not balanced"
    assert [(e.host_port, e.state) for e in route.endpoints] == [(53, "published")]


async def test_an_instance_is_shown_with_its_phase_ports_and_command(portway: Portway) -> None:
    await portway.deploy(
        "shop", compose(web="image: web; command: serve --now; ports: ['80:8080']")
    )
    (view,) = await portway.operations.instances()
    assert (view.id, view.stack, view.app, view.slot) == ("web.1.1", "shop", "web", 1)
    assert (view.phase, view.health, view.command) == ("running", "healthy", "serve --now")
    (port,) = view.ports
    assert (port.service_port, port.host_port, port.container_port) == (80, 31000, 8080)


async def test_an_instance_not_yet_healthy_is_starting(portway: Portway) -> None:
    portway.engine.behave("web", ImageBehaviour(healthy=False, health_detail="HTTP 503"))
    await portway.promote("shop", WEB)
    await portway.until(lambda: portway.world.health)
    (view,) = await portway.operations.instances("shop")
    assert (view.phase, view.health, view.health_detail) == ("starting", "waiting", "HTTP 503")


async def test_an_instance_that_cannot_start_yet_is_planned(portway: Portway) -> None:
    portway.engine.inject(Fault(operation="start", times=0))
    await portway.promote("shop", WEB)
    await portway.until(lambda: portway.live("shop/web"))
    (view,) = await portway.operations.instances("shop")
    assert (view.phase, view.health) == ("planned", "waiting")


async def test_stacks_whose_names_begin_alike_are_kept_apart(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.deploy("shop2", compose(web="image: web; ports: ['81:80']"))
    assert [v.stack for v in await portway.operations.instances("shop")] == ["shop"]
    assert [r.stack for r in await portway.operations.map("shop")] == ["shop"]
    assert [s.name for s in await portway.operations.stacks()] == ["shop", "shop2"]
    assert len((await portway.operations.stack("shop")).apps) == 1


READINESS = compose(
    web="image: web; ports: ['80:8080']; scale: 2; labels: [portway.readiness.path=/ready]"
)


class Readiness:
    """Passes every check but that for readiness, which says what it is told."""

    def __init__(self, portway: Portway) -> None:
        self.unready: set[str] = set()
        self.broken = ""
        portway.controller.prober._checker = self

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        if self.broken:
            raise CheckNotMadeError(self.broken)
        if target.is_readiness and target.instance_id in self.unready:
            return False, "HTTP 503 from /ready"
        return True, "HTTP 200"


async def view_of(portway: Portway, name: str) -> InstanceView:
    return next(v for v in await portway.operations.instances("shop") if v.id == name)


async def test_an_instance_that_is_not_ready_is_said_to_be_so_everywhere(portway: Portway) -> None:
    said = Readiness(portway)
    await portway.deploy("shop", READINESS)
    said.unready = {"shop/web.1.1"}
    await portway.until(
        lambda: portway.world.readiness["shop/web.1.1"].status is HealthStatus.FAILING
    )
    await portway.idle(1)
    view = await view_of(portway, "web.1.1")
    assert (view.health, view.phase) == ("not ready", "running")
    assert view.health_detail == "not ready: HTTP 503 from /ready"
    (route,) = await portway.operations.map("shop")
    assert {e.instance: e.state for e in route.endpoints} == {
        "web.1.1": "not ready",
        "web.2.2": "ready",
    }
    assert await status(portway) == ("degraded", "degraded")
    await portway.idle(600)
    assert (await view_of(portway, "web.1.1")).health == "not ready", "it is never replaced"
    said.unready = set()
    await portway.idle(20)
    assert (await view_of(portway, "web.1.1")).health == "healthy"
    (route,) = await portway.operations.map("shop")
    assert {e.state for e in route.endpoints} == {"ready"}


async def test_a_deployment_waits_for_readiness_and_says_so(portway: Portway) -> None:
    said = Readiness(portway)
    said.unready = {"shop/web.1.1", "shop/web.2.2"}
    await portway.promote("shop", READINESS)
    await portway.idle(20)
    assert (await view_of(portway, "web.1.1")).health == "not ready"
    deployment = (await app(portway)).deployment
    assert deployment is not None
    assert (deployment.status, deployment.healthy) == ("running", 0)
    assert deployment.reason == "not ready: HTTP 503 from /ready"
    said.unready = set()
    await portway.settled()
    assert await status(portway) == ("running", "running")


async def test_a_check_that_cannot_be_made_leaves_the_verdict_and_is_said(portway: Portway) -> None:
    said = Readiness(portway)
    await portway.deploy("shop", READINESS)
    said.broken = "Docker does not answer"
    await portway.idle(60)
    view = await view_of(portway, "web.1.1")
    assert (view.health, view.unchecked) == ("healthy", "Docker does not answer")
    assert await status(portway) == ("running", "running")
    said.broken = ""
    await portway.idle(20)
    assert (await view_of(portway, "web.1.1")).unchecked == ""
