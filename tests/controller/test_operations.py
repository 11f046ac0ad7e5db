"""What callers may ask of a running portway, and what follows from it."""

from __future__ import annotations

import asyncio

import pytest

from portway.controller.views import ReleaseRequest
from portway.core.errors import RequestError, StoreError
from tests.controller.inprocess import WEB, Portway, compose

VIRTUAL_TIME = True

TWO = compose(web="image: web; ports: ['80:8080']", api="image: api; ports: ['81:8080']")


async def refused(awaitable, status: int) -> str:  # noqa: ANN001
    with pytest.raises(RequestError) as caught:
        await awaitable
    assert caught.value.http_status == status, caught.value
    return str(caught.value)


async def test_a_deployed_app_runs_and_is_served(portway: Portway) -> None:
    promotion = await portway.deploy("shop", WEB)
    assert [d.app for d in promotion.deployments] == ["web"]
    stack = await portway.operations.stack("shop")
    assert stack.status == "running"
    assert stack.release == promotion.release
    assert portway.serving(80) == ["shop/web.1.1"]
    portway.check_nothing_left_over()


async def test_a_promoted_release_replaces_what_ran(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.deploy("shop", compose(web="image: web:2; ports: ['80:8080']"))
    assert portway.live("shop/web") == ["shop/web.1.2"]
    assert portway.serving(80) == ["shop/web.1.2"]
    portway.check_nothing_left_over()


async def test_a_second_deployment_is_refused_and_told_which_is_under_way(portway: Portway) -> None:
    first = await portway.promote("shop", WEB)
    message = await refused(portway.promote("shop", WEB), 409)
    assert first.release in message
    assert "portway cancel" in message
    for operation in (
        portway.operations.scale("shop", {"web": 2}),
        portway.operations.restart("shop"),
        portway.operations.rollback("shop", to=first.release),
    ):
        await refused(operation, 409)
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.1"]


async def test_two_promotes_at_once_make_one_deployment(portway: Portway) -> None:
    releases = [await portway.release("shop", WEB) for _ in range(2)]
    results = await asyncio.gather(
        *(portway.operations.promote("shop", r.id) for r in releases), return_exceptions=True
    )
    assert sorted(isinstance(r, RequestError) for r in results) == [False, True]


async def test_force_replaces_what_has_not_changed(portway: Portway) -> None:
    promotion = await portway.deploy("shop", WEB)
    again = await portway.operations.promote("shop", promotion.release)
    assert again.unchanged == ("web",)
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.1"]
    await portway.operations.promote("shop", promotion.release, force=True)
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.2"]


async def test_a_rollback_brings_back_the_release_before(portway: Portway) -> None:
    first = await portway.deploy("shop", WEB)
    await portway.deploy("shop", compose(web="image: web:2; ports: ['80:8080']"))
    back = await portway.operations.rollback("shop")
    await portway.settled()
    assert back.release == first.release
    assert (await portway.operations.stack("shop")).release == first.release
    assert portway.app("shop/web").target.app.image == "web"


async def test_a_rollback_passes_over_releases_that_failed(portway: Portway) -> None:
    first = await portway.deploy("shop", WEB)
    await portway.deploy("shop", compose(web="image: crash; ports: ['80:8080']"))
    await portway.deploy("shop", compose(web="image: web:3; ports: ['80:8080']"))
    assert (await portway.operations.rollback("shop")).release == first.release


async def test_without_an_earlier_release_there_is_nothing_to_go_back_to(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    assert "no earlier release" in await refused(portway.operations.rollback("shop"), 409)


async def test_a_rollback_to_an_unknown_release_says_what_was_meant(portway: Portway) -> None:
    release = (await portway.deploy("shop", WEB)).release
    wrong = release[:-1] + ("A" if release[-1] != "A" else "B")
    message = await refused(portway.operations.rollback("shop", to=wrong), 404)
    assert f'Did you mean "{release}"?' in message


async def test_cancel_returns_to_what_ran(portway: Portway) -> None:
    first = await portway.deploy("shop", WEB)
    await portway.promote("shop", compose(web="image: never-healthy; ports: ['80:8080']"))
    await portway.until(lambda: len(portway.running()) == 2)
    await portway.operations.cancel("shop")
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.1"]
    stack = await portway.operations.stack("shop")
    assert (stack.status, stack.release) == ("running", first.release)
    portway.check_nothing_left_over()


async def test_cancel_of_a_first_deployment_starts_nothing_more(portway: Portway) -> None:
    await portway.promote("shop", compose(web="image: never-healthy; ports: ['80:8080']"))
    await portway.operations.cancel("shop")
    assert portway.app("shop/web").halted
    assert (await portway.operations.stack("shop")).status == "failed"


async def test_cancel_of_a_scale_returns_to_the_count_before(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.behave("web", _never_healthy())
    await portway.operations.scale("shop", {"web": 3})
    await portway.idle(1)
    await portway.operations.cancel("shop")
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.1"]
    assert portway.app("shop/web").count == 1
    await portway.promote("shop", WEB)
    await portway.settled()
    assert portway.app("shop/web").count == 1


async def test_cancel_leaves_alone_what_was_restarted_before(portway: Portway) -> None:
    await portway.deploy("shop", TWO)
    await portway.operations.restart("shop", "api")
    await portway.settled()
    restarted = portway.live("shop/api")
    portway.engine.behave("web", _never_healthy())
    await portway.operations.scale("shop", {"web": 2})
    await portway.operations.cancel("shop")
    await portway.settled()
    assert portway.live("shop/api") == restarted


async def test_cancel_does_not_bring_back_an_app_that_leaves(portway: Portway) -> None:
    await portway.deploy("shop", TWO)
    portway.balancer.connections["shop/api.1.1"] = 1
    await portway.promote("shop", WEB)
    await portway.until(lambda: portway.app("shop/api").target is None)
    await refused(portway.operations.cancel("shop"), 409)
    portway.balancer.connections.clear()
    await portway.settled()
    assert "shop/api" not in portway.world.apps


async def test_with_nothing_under_way_there_is_nothing_to_cancel(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await refused(portway.operations.cancel("shop"), 409)


async def test_scale_starts_and_stops_to_the_count(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.operations.scale("shop", {"web": 3})
    await portway.settled()
    assert len(portway.serving(80)) == 3
    await portway.operations.scale("shop", {"web": 0})
    await portway.settled()
    assert portway.live("shop/web") == []
    portway.check_nothing_left_over()


async def test_a_scale_to_the_count_there_is_changes_nothing(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    promotion = await portway.operations.scale("shop", {"web": 1})
    assert promotion.unchanged == ("web",)
    assert promotion.deployments == ()


@pytest.mark.parametrize("count", [-1, 10_001])
async def test_a_count_out_of_reason_is_refused(portway: Portway, count: int) -> None:
    await portway.deploy("shop", WEB)
    assert "cannot be scaled" in await refused(
        portway.operations.scale("shop", {"web": count}), 422
    )


async def test_a_scale_beyond_its_pool_of_listeners_is_refused(portway: Portway) -> None:
    manifest = compose(web="image: web; ports: ['8001-8002:80']")
    await portway.deploy("shop", manifest)
    assert "8001-8002" in await refused(portway.operations.scale("shop", {"web": 3}), 422)


async def test_a_scale_of_several_apps_with_one_mistake_does_nothing(portway: Portway) -> None:
    await portway.deploy("shop", TWO)
    await refused(portway.operations.scale("shop", {"web": 3, "apy": 3}), 404)
    assert portway.app("shop/web").count == 1


async def test_what_scale_set_stays_until_the_manifest_number_changes(portway: Portway) -> None:
    counted = "image: web:{}; ports: ['80:8080']; scale: {}"
    await portway.deploy("shop", compose(web=counted.format(1, 2)))
    await portway.operations.scale("shop", {"web": 4})
    await portway.settled()
    await portway.deploy("shop", compose(web=counted.format(2, 2)))
    assert portway.app("shop/web").count == 4
    await portway.deploy("shop", compose(web=counted.format(3, 3)))
    assert portway.app("shop/web").count == 3
    await portway.deploy("shop", compose(web="image: web:4; ports: ['80:8080']"))
    assert portway.app("shop/web").count == 1


async def test_a_failed_release_does_not_forget_what_scale_set(portway: Portway) -> None:
    counted = "image: {}; ports: ['80:8080']; scale: {}"
    await portway.deploy("shop", compose(web=counted.format("web", 2)))
    await portway.operations.scale("shop", {"web": 4})
    await portway.settled()
    await portway.deploy("shop", compose(web=counted.format("crash", 3)))
    assert portway.app("shop/web").count == 4
    await portway.deploy("shop", compose(web=counted.format("web:2", 2)))
    assert portway.app("shop/web").count == 4


async def test_restart_replaces_every_instance_with_the_same_release(portway: Portway) -> None:
    first = await portway.deploy("shop", TWO)
    await portway.operations.restart("shop")
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.2"]
    assert portway.live("shop/api") == ["shop/api.1.2"]
    (view,) = [v for v in await portway.operations.instances("shop") if v.app == "web"]
    assert view.release == first.release
    await portway.operations.restart("shop", "api")
    await portway.settled()
    assert portway.live("shop/web") == ["shop/web.1.2"]
    assert portway.live("shop/api") == ["shop/api.1.3"]


async def test_a_deleted_stack_leaves_nothing(portway: Portway) -> None:
    await portway.deploy("shop", TWO)
    promotion = await portway.operations.delete_stack("shop")
    assert promotion.removed == ("api", "web")
    await portway.settled()
    await portway.idle(10)
    assert await portway.operations.stacks() == ()
    assert portway.listeners() == []
    assert portway.store.disk.apps == portway.store.disk.stacks == portway.store.disk.releases == {}
    assert len(portway.leases.host_pool) == len(portway.leases.service_pool) == 0
    portway.check_nothing_left_over()


async def test_a_stack_being_deleted_takes_no_orders(portway: Portway) -> None:
    release = (await portway.deploy("shop", WEB)).release
    portway.balancer.connections["shop/web.1.1"] = 1
    await portway.operations.delete_stack("shop")
    await refused(portway.release("shop", WEB), 409)
    await refused(portway.operations.promote("shop", release), 409)
    await refused(portway.operations.restart("shop"), 409)
    await refused(portway.operations.cancel("shop"), 409)
    await portway.operations.delete_stack("shop")
    portway.balancer.connections.clear()
    await portway.settled()
    assert await portway.operations.stacks() == ()


async def test_a_stack_that_never_ran_is_deleted_at_once(portway: Portway) -> None:
    await portway.release("shop", WEB)
    assert (await portway.operations.stack("shop")).status == "new"
    await portway.operations.delete_stack("shop")
    assert await portway.operations.stacks() == ()


async def test_a_stack_can_be_deleted_in_the_middle_of_a_deployment(portway: Portway) -> None:
    await portway.promote("shop", TWO)
    await portway.operations.delete_stack("shop")
    await portway.settled()
    await portway.idle(10)
    assert await portway.operations.stacks() == ()
    portway.check_nothing_left_over()


async def test_a_name_can_be_used_again_after_its_stack_was_deleted(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.operations.delete_stack("shop")
    await portway.settled()
    await portway.deploy("shop", WEB)
    assert (await portway.operations.stack("shop")).status == "running"


async def test_a_promote_of_a_stack_that_went_meanwhile_is_not_found(portway: Portway) -> None:
    release = await portway.release("shop", WEB)
    async with portway.controller.changing():
        promote = asyncio.get_running_loop().create_task(
            portway.operations.promote("shop", release.id)
        )
        await asyncio.sleep(0)
        portway.world.stacks.clear()
    await refused(promote, 404)


async def test_a_stopped_instance_drains_and_its_slot_is_filled_again(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    view = await portway.operations.stop_instance("shop", "web.1")
    assert (view.id, view.phase) == ("web.1.1", "draining")
    assert view.reason == "stopped by the user"
    await portway.until(lambda: portway.serving(80) == ["shop/web.1.2"])
    await portway.settled()
    portway.check_nothing_left_over()


async def test_stopping_an_instance_that_leaves_already_changes_nothing(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.balancer.connections["shop/web.1.1"] = 1
    await portway.operations.stop_instance("shop", "web.1.1")
    before = portway.world.find_record("shop/web.1.1")
    await portway.idle(1)
    assert (await portway.operations.stop_instance("shop", "web.1.1")).phase == "draining"
    assert portway.world.find_record("shop/web.1.1") == before


async def test_an_instance_that_is_still_starting_can_be_stopped(portway: Portway) -> None:
    await portway.promote("shop", WEB)
    await portway.until(lambda: portway.live("shop/web"))
    await portway.operations.stop_instance("shop", "web.1.1")
    await portway.settled()
    await portway.idle(10)
    assert portway.running() == portway.live("shop/web") == ["shop/web.1.2"]
    portway.check_nothing_left_over()


async def test_two_stacks_cannot_have_one_listener(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    message = await refused(portway.release("blog", WEB), 409)
    assert "blog/web wants the listener 80, which shop/web has already" in message
    assert "blog" not in portway.world.stacks


async def test_of_two_stacks_promoted_onto_one_listener_the_second_is_refused(
    portway: Portway,
) -> None:
    one, two = await portway.release("shop", WEB), await portway.release("blog", WEB)
    await portway.operations.promote("shop", one.id)
    await refused(portway.operations.promote("blog", two.id), 409)


async def test_an_assigned_listener_avoids_those_asked_for_by_number(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web; ports: ['10000:80']"))
    await portway.deploy("blog", compose(db="image: db; ports: ['5432']"))
    assert portway.listeners() == [10000, 10001]


async def test_events_are_told_in_order_from_where_one_asks(portway: Portway) -> None:
    first = await portway.deploy("shop", WEB)
    told = [e async for e in portway.operations.events(after=first.sequence, stack="shop")]
    assert told[0].kind == "release.promoted"
    assert [e.sequence for e in told] == sorted(e.sequence for e in told)
    assert told[-1].kind == "release.active"


async def test_following_events_misses_none_even_of_a_long_past(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    followed: list[int] = []

    async def follow() -> None:
        async for event in portway.operations.events(follow=True, limit=3):
            followed.append(event.sequence)

    task = asyncio.get_running_loop().create_task(follow())
    await portway.operations.scale("shop", {"web": 3})
    await portway.settled()
    await portway.idle(1)
    task.cancel()
    assert followed == [e.sequence for e in portway.events]


async def test_a_follower_that_falls_behind_still_gets_every_event(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portway.controller.journal.QUEUE_MAX", 2)
    await portway.deploy("shop", WEB)
    followed: list[int] = []
    events = portway.operations.events(follow=True, stack="shop")
    followed.append((await anext(events)).sequence)
    await portway.operations.scale("shop", {"web": 3})
    await portway.settled()
    wanted = [e.sequence for e in portway.events if e.stack == "shop"]
    while followed[-1] < wanted[-1]:
        followed.append((await anext(events)).sequence)
    await events.aclose()
    assert followed == wanted


async def test_a_store_that_cannot_save_refuses_the_order_and_nothing_happens(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    before = portway.app("shop/web")
    portway.store.fail_saves(StoreError("the disk is full"))
    with pytest.raises(StoreError):
        await portway.operations.scale("shop", {"web": 3})
    assert portway.app("shop/web") == before
    portway.store.heal()
    await portway.idle(10)
    assert portway.running() == ["shop/web.1.1"]


async def test_an_order_whose_caller_leaves_midway_is_done_whole_or_not_at_all(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    for ticks in range(8):
        real_save = portway.store.save

        async def slow_save(batch, real_save=real_save):  # noqa: ANN001, ANN202
            saved = await real_save(batch)
            await asyncio.sleep(0.01)
            return saved

        portway.store.save = slow_save  # type: ignore[method-assign]
        count = 2 + ticks % 2
        scale = asyncio.get_running_loop().create_task(
            portway.operations.scale("shop", {"web": count})
        )
        for _ in range(ticks):
            await asyncio.sleep(0)
        scale.cancel()
        await asyncio.wait([scale])
        portway.store.save = real_save  # type: ignore[method-assign]
        await portway.settled()
        stored = portway.store.disk.apps["shop/web"]
        assert portway.app("shop/web").version == stored.version
        assert portway.app("shop/web").count == stored.count
    await portway.operations.scale("shop", {"web": 1})
    await portway.settled()
    assert len(portway.live("shop/web")) == 1


async def test_the_server_view_names_what_ails_it(portway: Portway) -> None:
    assert (await portway.operations.server()).problems == ()
    portway.store.fail_saves(StoreError("the disk is full"))
    portway.engine.inject(_unavailable())
    await portway.until(lambda: "engine" in portway.world.problems)
    assert any("engine" in p for p in (await portway.operations.server()).problems)


async def test_an_unknown_stack_is_answered_with_the_one_meant(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    for operation in (
        portway.operations.stack("shpo"),
        portway.operations.delete_stack("shpo"),
        portway.operations.releases("shpo"),
        portway.operations.instances("shpo"),
        portway.operations.map("shpo"),
        portway.operations.cancel("shpo"),
        portway.operations.environment("shpo"),
        portway.operations.certificates("shpo"),
    ):
        assert 'Did you mean "shop"?' in await refused(operation, 404)


async def test_releases_are_listed_newest_first_with_the_active_one_marked(
    portway: Portway,
) -> None:
    first = await portway.deploy("shop", WEB)
    second = await portway.release("shop", WEB)
    views = await portway.operations.releases("shop")
    assert [(v.id, v.active) for v in views] == [(second.id, False), (first.release, True)]
    assert views[0].manifest == ""
    assert (await portway.operations.release("shop", second.id)).manifest == WEB


async def test_a_plan_saves_nothing_and_shows_the_ports_that_follow(portway: Portway) -> None:
    plan = await portway.operations.plan("shop", ReleaseRequest(manifest=WEB))
    (change,) = plan.changes
    assert (change.action, change.ports[0].host_port) == ("create", 31000)
    assert portway.store.batches == []
    await portway.deploy("shop", WEB)
    (view,) = await portway.operations.instances("shop")
    assert view.ports[0].host_port == change.ports[0].host_port


def _never_healthy():  # noqa: ANN202
    from portway.engines.memory import ImageBehaviour

    return ImageBehaviour(healthy=False, health_detail="HTTP 503")


def _unavailable():  # noqa: ANN202
    from portway.engines.memory import Fault

    return Fault(operation="list", times=0)
