"""One release serves, never a mixture: what the end of one App's deployment means for its stack."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.settle import gone_back, let_go, scales_of, settle_stack, undrained
from portway.core.app import App, Rollout
from portway.core.stack import Stack
from portway.core.state import AppState, Deployment, DeploymentStatus, Revision
from tests.controller.inprocess import WEB, Portway, compose

VIRTUAL_TIME = True

TWO = compose(web="image: web; ports: ['80:8080']", api="image: api; ports: ['81:8080']")
STACK = Stack(name="shop", created_at_ms=1, active_release="R1", promoting="R2")


def revision(release: str, name: str = "web", **fields: object) -> Revision:
    return Revision(id=release, release=release, app=App(id=f"shop/{name}", **fields))  # type: ignore[arg-type]


def state(
    name: str = "web",
    *,
    status: DeploymentStatus = DeploymentStatus.RUNNING,
    came_from: str | None = "R1",
    from_count: int | None = 1,
) -> AppState:
    old, new = revision("R1", name), revision("R2", name)
    return AppState(
        app_id=f"shop/{name}",
        target=new,
        revisions={"R1": old, "R2": new},
        deployment=Deployment(
            id="D",
            release="R2",
            to_revision="R2",
            from_revision=came_from,
            from_count=from_count,
            status=status,
            started_at_ms=1,
            progressed_at_ms=1,
        ),
    )


def test_while_an_app_still_deploys_nothing_follows() -> None:
    states = (state("web", status=DeploymentStatus.DONE), state("api"))
    assert settle_stack(STACK, states, now_ms=2) is None


def test_a_release_is_active_once_every_app_of_it_runs() -> None:
    states = (state("web", status=DeploymentStatus.DONE),)
    batch = settle_stack(STACK, states, now_ms=2)
    assert batch is not None
    (stack,) = batch.stacks
    assert (stack.active_release, stack.promoting, stack.history) == ("R2", None, ("R2",))
    assert [e.kind for e in batch.events] == ["release.active"]


def test_a_release_that_changes_nothing_is_active_at_once() -> None:
    batch = settle_stack(STACK, (), now_ms=2)
    assert batch is not None
    assert batch.stacks[0].active_release == "R2"


def test_apps_no_longer_named_leave_only_after_success() -> None:
    leaving = replace(state("old"), leaving=True, deployment=None)
    states = (leaving, state("web", status=DeploymentStatus.DONE))
    batch = settle_stack(STACK, states, now_ms=2)
    assert batch is not None
    assert [(s.app_id, s.target) for s in batch.apps] == [("shop/old", None)]


def test_when_one_app_fails_the_others_go_back_and_none_is_leaving() -> None:
    leaving = replace(state("old"), leaving=True, deployment=None)
    failed = state("web", status=DeploymentStatus.FAILED)
    states = (leaving, state("api"), state("db", status=DeploymentStatus.DONE), failed)
    batch = settle_stack(STACK, states, now_ms=2)
    assert batch is not None
    (stack,) = batch.stacks
    assert (stack.active_release, stack.promoting) == ("R1", None)
    after = {s.app_id: s for s in batch.apps}
    assert set(after) == {"shop/old", "shop/api", "shop/db"}
    assert not after["shop/old"].leaving
    for name in ("shop/api", "shop/db"):
        assert after[name].target == revision("R1", name.rpartition("/")[2])
    deployment = after["shop/api"].deployment
    assert deployment is not None
    assert (deployment.status, deployment.reason) == (DeploymentStatus.CANCELLED, "web failed")


def test_a_cancelled_app_takes_the_release_back_as_a_failed_one_does() -> None:
    batch = settle_stack(STACK, (state(status=DeploymentStatus.CANCELLED),), now_ms=2)
    assert batch is not None
    assert batch.stacks[0].promoting is None


def test_an_app_is_forgotten_once_nothing_of_it_lives() -> None:
    gone = let_go(state(), "R2", now_ms=2)
    stack = replace(STACK, promoting=None)
    assert settle_stack(stack, (gone,), now_ms=3, lingering={"shop/web"}) is None
    batch = settle_stack(stack, (gone,), now_ms=3)
    assert batch is not None
    assert (batch.deleted_apps, batch.deleted_stacks) == (("shop/web",), ())


def test_a_stack_being_deleted_goes_with_its_last_app() -> None:
    stack = replace(STACK, promoting=None, deleting=True)
    gone = let_go(state(), "R2", now_ms=2)
    assert settle_stack(stack, (state("api"),), now_ms=3) is None
    batch = settle_stack(stack, (gone, state("api")), now_ms=3)
    assert batch is not None
    assert batch.deleted_stacks == ()
    batch = settle_stack(stack, (gone,), now_ms=3)
    assert batch is not None
    assert batch.deleted_stacks == ("shop",)
    assert [e.kind for e in batch.events] == ["app.deleted", "stack.deleted"]
    batch = settle_stack(stack, (), now_ms=3)
    assert batch is not None
    assert batch.deleted_stacks == ("shop",)


def test_an_app_without_a_deployment_only_stays() -> None:
    idle = AppState(app_id="shop/web", target=revision("R1"), leaving=True)
    assert gone_back(idle, "why", 2) == replace(idle, leaving=False)


def test_a_first_deployment_taken_back_starts_nothing_more() -> None:
    back = gone_back(state(came_from=None), "api failed", 2)
    assert back.halted == "not started: api failed"
    assert back.target == revision("R2")


def test_a_first_deployment_that_was_done_stays_as_it_is() -> None:
    done = state(came_from=None, status=DeploymentStatus.DONE)
    assert gone_back(done, "api failed", 2) == done


def test_an_app_that_had_no_instances_goes_back_to_none() -> None:
    assert gone_back(replace(state(from_count=0), count=3), "why", 2).count == 0


def test_a_spec_changed_in_place_is_changed_back() -> None:
    before = App(id="shop/web", labels={"was": "before"})
    changed = state()
    assert changed.deployment is not None
    in_place = replace(changed.deployment, from_revision="R2", to_revision="R2", from_app=before)
    back = gone_back(replace(changed, deployment=in_place), "why", 2)
    assert back.target == Revision(id="R2", release="R2", app=before)


def test_scales_are_the_counts_that_are_not_the_manifests() -> None:
    def counted(name: str, asked: int | None, count: int) -> AppState:
        return AppState(app_id=f"s/{name}", target=revision("R1", name, count=asked), count=count)

    states = (
        counted("a", None, 1),
        counted("b", None, 3),
        counted("c", 2, 2),
        counted("d", 2, 0),
        AppState(app_id="s/e", target=None, count=7),
    )
    assert scales_of(states) == {"b": 3, "d": 0}


def test_without_draining_no_revision_waits_for_connections() -> None:
    old = state()
    slow = replace(old.revisions["R1"].app, rollout=Rollout(drain_timeout_s=60.0))
    old = replace(old, revisions={"R1": replace(old.revisions["R1"], app=slow)})
    assert undrained(old).revisions["R1"].app.rollout.drain_timeout_s == 0.0


async def test_a_failed_app_takes_the_whole_release_back(portway: Portway) -> None:
    first = await portway.deploy(
        "shop",
        compose(web="image: web; ports: ['80:80']", api="image: api; ports: ['81:80']"),
    )
    await portway.promote(
        "shop",
        compose(web="image: web:2; ports: ['80:80']", api="image: crash; ports: ['81:80']"),
    )
    await portway.settled()
    stack = await portway.operations.stack("shop")
    assert (stack.release, stack.status) == (first.release, "running")
    assert {s.target.app.image for s in portway.world.of_stack("shop")} == {"web", "api"}
    assert "shop/api.1.1" in portway.serving(81)
    portway.check_nothing_left_over()


async def test_an_app_that_a_failed_release_no_longer_names_stays(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web", old="image: old"))
    await portway.deploy("shop", compose(web="image: crash"))
    await portway.idle(10)
    assert portway.live("shop/old") == ["shop/old.1.1"]
    assert not portway.app("shop/old").leaving


async def test_an_app_no_longer_named_leaves_when_the_others_run(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web", old="image: old; ports: ['81:80']"))
    portway.engine.behave("web:2", _unhealthy())
    promotion = await portway.promote("shop", compose(web="image: web:2"))
    assert promotion.removed == ("old",)
    await portway.idle(5)
    assert portway.serving(81) == ["shop/old.1.1"]
    for instance_id in portway.running():
        portway.engine.set_health(instance_id, passed=True)
    await portway.settled()
    await portway.until(lambda: "shop/old" not in portway.world.apps)
    assert portway.listeners() == []
    portway.check_nothing_left_over()


async def test_a_failed_first_deployment_starts_nothing_more(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web; ports: ['80:80']", bad="image: crash"))
    stack = await portway.operations.stack("shop")
    assert (stack.status, stack.release) == ("failed", "")
    await portway.idle(200)
    assert not [i for i in portway.running() if "bad" in i]
    await portway.deploy("shop", compose(web="image: web; ports: ['80:80']", bad="image: good"))
    assert (await portway.operations.stack("shop")).status == "running"


async def test_a_listener_changed_in_place_is_taken_back_with_a_failed_release(
    portway: Portway,
) -> None:
    web = "image: web; ports: ['80:80']; labels: {{convox.port.80.protocol: {}}}"
    await portway.deploy("shop", compose(web=web.format("http"), api="image: api"))
    await portway.deploy("shop", compose(web=web.format("tcp"), api="image: crash"))
    await portway.idle(10)
    (route,) = portway.balancer.served.values()
    assert route.listener.protocol == "http"
    assert portway.serving(80) == ["shop/web.1.1"]


async def test_a_listener_changed_in_place_keeps_the_instances(portway: Portway) -> None:
    web = "image: web; ports: ['80:80']; labels: {{convox.port.80.protocol: {}}}"
    await portway.deploy("shop", compose(web=web.format("http")))
    promotion = await portway.deploy("shop", compose(web=web.format("tcp")))
    assert promotion.unchanged == ("web",)
    (route,) = portway.balancer.served.values()
    assert route.listener.protocol == "tcp"
    assert portway.serving(80) == ["shop/web.1.1"]


async def test_a_count_changed_by_a_failed_release_is_taken_back(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web; scale: 1", api="image: api"))
    await portway.deploy("shop", compose(web="image: web; scale: 3", api="image: crash"))
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.1"]


async def test_a_settling_that_could_not_be_saved_is_made_up_for(portway: Portway) -> None:
    """Each save of a deployment fails once; the release becomes active all the same."""
    from portway.core.errors import StoreError

    for nth in range(1, 12):
        await portway.promote("shop", compose(web=f"image: web:{nth}; ports: ['80:80']"))
        saved = len(portway.store.batches)
        await portway.until(
            lambda s=saved, n=nth: len(portway.store.batches) >= s + n or portway.rests("shop")
        )
        portway.store.fail_saves(StoreError("the disk is full"), times=1)
        await portway.settled()
        portway.store.heal()
        stack = portway.world.stacks["shop"]
        assert portway.app("shop/web").target.release == stack.active_release


async def test_a_deployed_web_app_survives_its_own_redeploy(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    for _ in range(3):
        await portway.operations.restart("shop")
        await portway.settled()
    assert portway.serving(80) == ["shop/web.1.4"]


def _unhealthy():  # noqa: ANN202
    from portway.engines.memory import ImageBehaviour

    return ImageBehaviour(healthy=False)


async def test_an_abort_of_a_first_deployment_stops_all_that_it_had_started(
    portway: Portway,
) -> None:
    await portway.promote(
        "shop", compose(web="image: never-healthy; ports: ['80:8080']", api="image: web")
    )
    await portway.until(lambda: len(portway.running()) == 2)
    await portway.until(lambda: portway.app("shop/api").deployment.status.value == "done")
    await portway.operations.cancel("shop")
    await portway.settled()
    assert portway.running() == []
    assert portway.balancer.served == {}
    assert (await portway.operations.stack("shop")).status == "failed"
    await portway.deploy("shop", WEB)
    assert portway.live("shop/web") == ["shop/web.1.2"]
    portway.check_nothing_left_over()


async def test_an_aborted_first_deployment_can_be_deleted_at_once(portway: Portway) -> None:
    await portway.promote("shop", compose(web="image: never-healthy; ports: ['80:8080']"))
    await portway.until(lambda: len(portway.running()) == 1)
    await portway.operations.cancel("shop")
    await portway.operations.delete_stack("shop")
    await portway.settled()
    assert "shop/web" not in portway.world.apps
    portway.check_nothing_left_over()


async def test_an_abort_of_an_app_that_is_new_leaves_the_others_as_they_were(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    await portway.promote("shop", TWO.replace("image: api", "image: never-healthy"))
    await portway.until(lambda: len(portway.running()) == 2)
    await portway.operations.cancel("shop")
    await portway.settled()
    assert portway.running() == ["shop/web.1.1"]
