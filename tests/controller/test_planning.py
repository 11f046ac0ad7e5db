"""What a deploy would do, shown before it is done."""

from __future__ import annotations

import pytest

from portway.controller.views import PlanChange, PlanView, ReleaseRequest
from portway.core.errors import RequestError
from portway.engines.memory import Fault
from tests.controller.inprocess import WEB, Portway, compose

VIRTUAL_TIME = True


async def planned(portway: Portway, manifest: str, **fields: object) -> PlanView:
    request = ReleaseRequest(manifest=manifest, **fields)  # type: ignore[arg-type]
    return await portway.operations.plan("shop", request)


async def change(portway: Portway, manifest: str, **fields: object) -> PlanChange:
    (found,) = (await planned(portway, manifest, **fields)).changes
    return found


async def test_a_plan_saves_and_does_nothing(portway: Portway) -> None:
    await planned(portway, WEB)
    await portway.idle(10)
    assert portway.store.batches == []
    assert portway.running() == []
    assert len(portway.leases.host_pool) == 0


async def test_an_app_that_does_not_run_yet_is_created_with_ports_and_why(portway: Portway) -> None:
    found = await change(portway, WEB)
    assert (found.action, found.count) == ("create", 1)
    (port,) = found.ports
    assert (port.service_port, port.host_port, port.container_port) == (80, 31000, 8080)
    assert port.why == "public listener, as written; host ports 31000 leased"


async def test_two_apps_of_one_plan_are_never_shown_one_port(portway: Portway) -> None:
    plan = await planned(
        portway,
        compose(
            a="image: a; ports: ['80:80', '5000']; scale: 2", b="image: b; ports: ['81:80', '5000']"
        ),
    )
    host_ports = [why for c in plan.changes for p in c.ports if "leased" in (why := p.why)]
    assert len({p.host_port for c in plan.changes for p in c.ports}) == 4
    listeners = [p.service_port for c in plan.changes for p in c.ports]
    assert len(set(listeners)) == 4
    assert len(host_ports) == 4
    await portway.deploy(
        "shop",
        compose(
            a="image: a; ports: ['80:80', '5000']; scale: 2", b="image: b; ports: ['81:80', '5000']"
        ),
    )
    assert portway.listeners() == sorted(listeners)


@pytest.mark.parametrize(
    ("manifest", "action", "why"),
    [
        (WEB, "unchanged", "already runs this"),
        (compose(web="image: web:2; ports: ['80:8080']"), "replace", "changed: image"),
        (compose(web="image: web; ports: ['80:8080']; scale: 3"), "scale", "from 1 to 3"),
    ],
)
async def test_what_runs_is_compared_with_what_is_asked(
    portway: Portway, manifest: str, action: str, why: str
) -> None:
    await portway.deploy("shop", WEB)
    found = await change(portway, manifest)
    assert found.action == action
    assert why in found.why


async def test_an_app_the_manifest_no_longer_names_is_removed(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web", old="image: old"))
    plan = await planned(portway, compose(web="image: web"))
    assert [(c.app, c.action) for c in plan.changes] == [("web", "unchanged"), ("old", "remove")]


async def test_a_failed_first_deployment_is_deployed_again(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: crash"))
    found = await change(portway, compose(web="image: crash"))
    assert (found.action, found.why) == ("replace", "its last deployment failed")


async def test_an_image_still_to_be_built_may_come_out_the_same(portway: Portway) -> None:
    built = compose(web="build: .")
    await portway.deploy("shop", built, images={"web": "portway/shop-web:b1"}, directory="/src")
    found = await change(portway, built, directory="/src")
    assert (found.action, "built anew" in found.why) == ("replace", True)
    same = await change(portway, built, images={"web": "portway/shop-web:b1"}, directory="/src")
    assert same.action == "unchanged"


async def test_an_image_that_is_missing_is_no_reason_not_to_plan(portway: Portway) -> None:
    assert (await change(portway, compose(web="image: missing"))).action == "create"


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (
            "ports: ['5000']",
            "bare port: internal, for the stack's own apps; host ports 31000 leased",
        ),
        (
            "ports: ['53:53/udp']",
            "UDP is published by the engine on the host port as written, not balanced",
        ),
        (
            "ports: ['8001-8002:80']; scale: 2",
            "a pool: instance n is served on the n-th of 8001-8002; host ports 31000, 31001 leased",
        ),
    ],
)
async def test_every_port_says_why_it_is_what_it_is(portway: Portway, keys: str, why: str) -> None:
    found = await change(portway, compose(web=f"image: web; {keys}"))
    assert found.ports[0].why == why


async def test_what_is_not_smooth_is_said_before_it_happens(portway: Portway) -> None:
    found = await change(
        portway,
        compose(
            web="image: web; ports: ['80:80']; deploy: {update_config: {order: stop-first}}; "
            "healthcheck: {disable: true}"
        ),
    )
    assert any("without a health check" in note for note in found.notes)


async def test_a_volume_that_is_written_to_explains_the_gap(portway: Portway) -> None:
    found = await change(
        portway, compose(db="image: db; volumes: ['data:/data']") + "volumes: {data: {}}\n"
    )
    (note,) = [n for n in found.notes if "expect a gap" in n]
    assert "two versions must not write" in note
    assert "portway.deployment.minimum=100" in note


async def test_a_plan_while_the_engine_is_away_is_still_a_plan(portway: Portway) -> None:
    portway.engine.inject(Fault(operation="list", times=0))
    await portway.until(lambda: "engine" in portway.world.problems)
    assert (await change(portway, WEB)).action == "create"


async def test_a_listener_of_another_stack_is_refused_in_a_plan_too(portway: Portway) -> None:
    await portway.deploy("blog", WEB)
    with pytest.raises(RequestError, match="which blog/web has already"):
        await planned(portway, WEB)
