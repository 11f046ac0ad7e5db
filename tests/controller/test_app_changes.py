"""One App at a time: made, changed, superseded and removed beside the others of a loose stack."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import App, Breaker, PortSpec, Restart, Rollout
from portway.core.errors import EngineError, EngineErrorKind, RequestError
from portway.core.state import DeploymentStatus
from portway.engines.memory import Fault, ImageBehaviour
from tests.controller.inprocess import WEB, Portway

VIRTUAL_TIME = True

PATIENT = Rollout(progress_deadline_s=0.0, breaker=Breaker(enabled=False))


def service(name: str = "web", **fields: object) -> App:
    fields = {"ports": (PortSpec(name="80", container_port=80),), "image": "web"} | fields
    return App(id=f"shop/{name}", **fields)  # type: ignore[arg-type]


async def refused(awaitable, status: int = 409) -> str:  # noqa: ANN001
    with pytest.raises(RequestError) as caught:
        await awaitable
    assert caught.value.http_status == status, caught.value
    return str(caught.value)


async def test_an_app_is_put_and_the_stack_made_with_it(portway: Portway) -> None:
    put = await portway.operations.put_app("shop", service(), count=2)
    assert [d.app for d in put.deployments] == ["web"]
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.1", "shop/web.2.2"]
    assert (await portway.operations.stack("shop")).status == "running"
    portway.check_nothing_left_over()


async def test_another_app_is_put_beside_a_running_deployment(portway: Portway) -> None:
    await portway.operations.put_app("shop", service(image="never-healthy"))
    await portway.operations.put_app("shop", service("api"))
    await portway.until(lambda: portway.app("shop/api").deployment.status is DeploymentStatus.DONE)
    assert portway.app("shop/web").deployment.status is DeploymentStatus.RUNNING
    await portway.operations.scale("shop", {"api": 3})
    await portway.until(lambda: len(portway.live("shop/api")) == 3)


async def test_what_changes_nothing_replaces_nothing_unless_forced(portway: Portway) -> None:
    await portway.operations.put_app("shop", service())
    await portway.settled()
    same = await portway.operations.put_app("shop", service(rollout=Rollout(minimum_percent=50)))
    assert portway.app("shop/web").target.app.rollout.minimum_percent == 50
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.1"]
    again = await portway.operations.put_app("shop", service(rollout=Rollout(minimum_percent=50)))
    assert (same.changed if hasattr(same, "changed") else (), again.unchanged) == ((), ("web",))
    await portway.operations.put_app("shop", service(), force=True)
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.2"]


async def test_a_newer_put_takes_a_running_deployment_over_and_goes_back_to_what_completed(
    portway: Portway,
) -> None:
    first = await portway.operations.put_app("shop", service(), count=2)
    await portway.settled()
    await portway.operations.put_app("shop", service(image="never-healthy"), count=4)
    await portway.until(lambda: len(portway.live("shop/web")) > 2)
    await refused(portway.operations.put_app("shop", service(image="web:3"), supersede=False))
    await portway.operations.put_app("shop", service(image="crash"))
    deployment = portway.app("shop/web").deployment
    assert (deployment.from_revision, deployment.from_count) == (first.release, 2)
    await portway.settled()
    assert portway.app("shop/web").target.id == first.release
    assert portway.live("shop/web") == ["shop/web.1.1", "shop/web.2.2"]
    portway.check_nothing_left_over()


async def test_a_scaling_during_a_deployment_goes_on_with_it(portway: Portway) -> None:
    await portway.operations.put_app("shop", service(), count=1)
    await portway.settled()
    put = await portway.operations.put_app("shop", service(image="web:2"))
    await portway.operations.scale("shop", {"web": 3})
    assert portway.app("shop/web").deployment.release == put.release
    await portway.settled()
    state = portway.app("shop/web")
    assert {r.identity.revision for r in state.live} == {put.release}
    assert len(state.live) == 3


async def test_an_image_that_is_not_there_is_pulled_when_an_instance_starts(
    portway: Portway,
) -> None:
    portway.engine.world.behaviours["late"] = ImageBehaviour(missing=True)
    await portway.operations.put_app("shop", service(image="late", rollout=PATIENT))
    await portway.until(lambda: portway.app("shop/web").failures)
    assert "late" in portway.app("shop/web").failures[-1].reason
    assert portway.app("shop/web").deployment.status is DeploymentStatus.RUNNING
    portway.engine.world.behaviours["late"] = ImageBehaviour()
    await portway.settled()
    assert len(portway.live("shop/web")) == 1


async def test_a_registry_that_cannot_be_reached_fails_the_instance_and_another_is_tried(
    portway: Portway,
) -> None:
    portway.engine.world.behaviours["late"] = ImageBehaviour(missing=True)
    why = EngineError("The registry cannot be reached.", kind=EngineErrorKind.IMAGE_MISSING)
    portway.engine.inject(Fault(operation="pull", error=why))
    await portway.operations.put_app("shop", service(image="late", rollout=PATIENT))
    await portway.until(lambda: portway.app("shop/web").failures)
    assert "cannot be reached" in portway.app("shop/web").failures[0].reason
    portway.engine.world.behaviours["late"] = ImageBehaviour()
    await portway.settled()
    assert len(portway.live("shop/web")) == 1


async def test_an_app_is_removed_and_the_others_stay(portway: Portway) -> None:
    await portway.operations.put_app("shop", service())
    await portway.operations.put_app("shop", service("api"))
    await portway.settled()
    await portway.operations.remove_app("shop", "web", reason="nobody wants it")
    assert "still being removed" in await refused(portway.operations.put_app("shop", service()))
    await portway.until(lambda: "shop/web" not in portway.world.apps)
    assert portway.live("shop/api") == ["shop/api.1.1"]
    await portway.operations.remove_app("shop", "api")
    await portway.until(lambda: not portway.world.of_stack("shop"))
    assert (await portway.operations.stack("shop")).status == "new"
    await portway.operations.put_app("shop", service())
    await portway.settled()
    await portway.operations.delete_stack("shop")
    await portway.until(lambda: "shop" not in portway.world.stacks)
    portway.check_nothing_left_over()


async def test_whole_stacks_and_loose_ones_are_told_apart(portway: Portway) -> None:
    await portway.deploy("blog", WEB)
    blog = replace(service(), id="blog/web")
    assert "as a whole" in await refused(portway.operations.put_app("blog", blog))
    assert "as a whole" in await refused(portway.operations.remove_app("blog", "web"))
    await portway.operations.put_app("shop", service())
    assert "one at a time" in await refused(portway.release("shop", WEB))
    assert "no earlier release" in await refused(portway.operations.rollback("shop"))
    await refused(portway.operations.put_app("shop", replace(service(), id="other/web")), 422)


async def test_a_release_of_one_app_is_promoted_again_and_listed_as_active(
    portway: Portway,
) -> None:
    first = await portway.operations.put_app("shop", service())
    await portway.settled()
    await portway.operations.put_app("shop", service("api"))
    second = await portway.operations.put_app("shop", service(image="web:2"))
    await portway.settled()
    views = await portway.operations.releases("shop")
    assert {v.id: v.active for v in views}[second.release]
    assert not {v.id: v.active for v in views}[first.release]
    back = await portway.operations.rollback("shop", to=first.release)
    assert [d.app for d in back.deployments] == ["web"]
    await portway.settled()
    assert portway.app("shop/web").target.app.image == "web"
    assert portway.live("shop/api") == ["shop/api.1.1"]


async def test_the_reason_of_whoever_stops_an_instance_is_kept(portway: Portway) -> None:
    await portway.operations.put_app("shop", service())
    await portway.settled()
    view = await portway.operations.stop_instance("shop", "web.1", reason="it is old")
    assert view.reason == "it is old"
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.2"]


async def test_a_listener_of_another_app_of_the_stack_is_refused(portway: Portway) -> None:
    port = (PortSpec(name="80", container_port=80, service_ports=(80,)),)
    await portway.operations.put_app("shop", service(ports=port))
    assert "shop/web has already" in await refused(
        portway.operations.put_app("shop", service("api", ports=port))
    )
    await portway.operations.put_app("shop", service(ports=port, image="web:2"))


async def test_what_runs_once_is_not_run_again_however_it_ends(portway: Portway) -> None:
    await portway.operations.put_app(
        "shop", service("job", image="crash", restart=Restart.NEVER, rollout=PATIENT)
    )
    await portway.idle(300)
    state = portway.app("shop/job")
    assert [r.id for r in state.instances] == ["shop/job.1.1"]
    assert not state.live


async def test_the_next_controller_goes_on_with_a_loose_stack(portway: Portway) -> None:
    await portway.operations.put_app("shop", service(), count=2)
    after = await portway.successor()
    try:
        await after.settled()
        assert len(after.live("shop/web")) == 2
        assert after.world.stacks["shop"].loose
    finally:
        await after.crash()
        await portway.open()


async def test_one_apps_deployment_is_cancelled_and_it_goes_back_while_others_go_on(
    portway: Portway,
) -> None:
    await portway.operations.put_app("shop", service())
    await portway.settled()
    first = portway.app("shop/web").target
    bad = {"image": "never-healthy", "rollout": PATIENT}
    await portway.operations.put_app("shop", service(**bad))
    await portway.operations.put_app("shop", service("api", **bad))
    await portway.operations.cancel_app("shop", "web")
    assert portway.app("shop/web").target == first
    deployment = portway.app("shop/api").deployment
    assert deployment is not None
    assert deployment.status is DeploymentStatus.RUNNING
    assert "no deployment of web" in await refused(portway.operations.cancel_app("shop", "web"))
