"""The picture of engine and balancer: fresh where it is stale, and never less than there is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

import pytest

from portway.core.errors import EngineError
from portway.core.instance import EngineState
from portway.core.routes import ServedRoute
from portway.engines.base import PartlySeenError
from portway.engines.memory import Fault, FaultKind, ImageBehaviour
from tests.controller.inprocess import WEB, Portway, compose

VIRTUAL_TIME = True
TWO = compose(web="image: web; ports: ['80:80']", other="image: web; ports: ['81:80']")


async def test_a_picture_that_is_not_stale_is_not_taken_again(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.idle(1)
    looks = 0
    real_list, real_observe = portway.engine.list, portway.balancer.observe

    async def listed():  # noqa: ANN202
        nonlocal looks
        looks += 1
        return await real_list()

    async def observed(owners=None):  # noqa: ANN001, ANN202
        nonlocal looks
        looks += 1
        return await real_observe(owners)

    portway.engine.list = listed  # type: ignore[method-assign]
    portway.balancer.observe = observed  # type: ignore[method-assign]
    portway.controller.touch("shop/web")
    await portway.idle(0.1)
    assert looks == 0
    await portway.idle(50)
    assert looks <= 22


async def test_only_apps_whose_picture_changed_are_looked_at(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.deploy("blog", compose(web="image: web; ports: ['81:80']"))
    observer = portway.controller.observer
    observer.engine_is_stale = True
    assert await observer.refresh(()) == set()
    changed = portway.engine.world.instances["blog/web.1.1"]
    changed.observed = replace(changed.observed, engine_health="starting")
    observer.engine_is_stale = True
    assert await observer.refresh(()) == {"blog/web"}


async def test_a_listing_that_fails_is_unknown_and_is_made_again(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    observer = portway.controller.observer
    portway.engine.inject(Fault(operation="list", error=EngineError("the socket is gone")))
    observer.engine_is_stale = True
    assert await observer.refresh(()) == {"shop/web"}
    assert portway.world.instances is None
    assert portway.world.problems["engine"] == "the socket is gone"
    assert observer.engine_is_stale
    assert await observer.refresh(()) == {"shop/web"}
    assert portway.world.seen("shop/web") is not None
    assert "engine" not in portway.world.problems


async def test_since_when_a_part_cannot_be_read_is_kept_until_it_is_read(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    world, operations = portway.world, portway.operations
    real_list = portway.engine.list

    async def blind():  # noqa: ANN202
        raise EngineError("the socket is gone")

    portway.engine.list = blind  # type: ignore[method-assign]
    portway.controller.observer.engine_is_stale = True
    portway.controller.touch("shop/web")
    await portway.until(lambda: "engine" in world.unread_since_ms)
    since = (await operations.server()).unread_since_ms
    await portway.idle(20)
    assert (await operations.server()).unread_since_ms == since
    portway.engine.list = real_list  # type: ignore[method-assign]
    await portway.until(lambda: not world.unread_since_ms)
    assert (await operations.server()).problems == ()


async def test_what_one_of_two_engines_cannot_see_hides_nothing_of_the_other(
    portway: Portway,
) -> None:
    await portway.deploy("shop", compose(web="image: web", other="image: other"))
    real_list, observer = portway.engine.list, portway.controller.observer

    async def blind():  # noqa: ANN202
        seen = [one for one in await real_list() if one.identity.app_id == "shop/web"]
        cause = EngineError("the socket is gone", hint="Start it.")
        raise PartlySeenError(cause, seen=tuple(seen), hides=lambda app: app.image == "other")

    portway.engine.list = blind  # type: ignore[method-assign]
    observer.engine_is_stale = True
    assert await observer.refresh(()) == {"shop/other"}
    assert portway.world.seen("shop/web")
    assert portway.world.seen("shop/other") is None
    assert set((portway.world.instances or {})["shop/other"]) == {"shop/other.1.1"}
    assert portway.world.problems["engine"] == "the socket is gone\n  Start it."
    await portway.idle(30)  # much longer than doubt lasts
    assert [r.id for r in portway.app("shop/other").instances] == ["shop/other.1.1"]
    portway.engine.kill("shop/web.1.1", exit_code=1)
    await portway.until(lambda: "shop/web.1.2" in (portway.world.seen("shop/web") or ()))
    portway.engine.list = real_list  # type: ignore[method-assign]
    await portway.until(lambda: bool(portway.world.seen("shop/other")))
    assert "engine" not in portway.world.problems
    assert [r.id for r in portway.app("shop/other").instances] == ["shop/other.1.1"]


async def test_an_engine_that_hangs_is_one_that_does_not_answer(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.inject(Fault(operation="list", kind=FaultKind.HANG, times=0))
    await portway.until(lambda: portway.world.instances is None)
    assert portway.world.problems["engine"] == "the engine does not answer"


async def test_connections_are_counted_again_while_somebody_drains(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.balancer.connections["shop/web.1.1"] = 2
    await portway.operations.stop_instance("shop", "web.1.1")
    await portway.idle(5)
    assert "shop/web.1.1" in portway.running()
    portway.balancer.connections.clear()
    began_s = asyncio.get_running_loop().time()
    await portway.until(lambda: "shop/web.1.1" not in portway.running())
    assert asyncio.get_running_loop().time() - began_s < 1


async def test_the_last_words_of_what_failed_are_in_its_reason(portway: Portway) -> None:
    portway.engine.behave("bad", ImageBehaviour(exits_with=2, lines=tuple(map(str, range(20)))))
    await portway.deploy("shop", compose(web="image: bad"))
    reason = portway.app("shop/web").deployment.reason
    assert reason.endswith("\n    12\n    13\n    14\n    15\n    16\n    17\n    18\n    19")


async def test_last_words_that_cannot_be_read_are_done_without(portway: Portway) -> None:
    async def unreadable(*_: object, **__: object):  # noqa: ANN202
        raise EngineError("no such container")
        yield

    portway.engine.logs = unreadable  # type: ignore[method-assign,assignment]
    await portway.deploy("shop", compose(web="image: crash"))
    assert portway.app("shop/web").deployment.reason.endswith("it exited with code 1")


async def test_a_very_long_last_line_is_cut(portway: Portway) -> None:
    portway.engine.behave("bad", ImageBehaviour(exits_with=2, lines=("x" * 100_000,)))
    await portway.deploy("shop", compose(web="image: bad"))
    assert len(portway.app("shop/web").deployment.reason) < 1000


@pytest.mark.parametrize(
    ("keys", "port_number"),
    [
        ("ports: ['80:8080']", 31000),
        ("ports: ['53:53/udp', '80:8080']", 31000),
        ("ports: ['53:53/udp']", None),
        ("ports: ['80:8080']; healthcheck: {test: [CMD, 'true']}", None),
        ("ports: ['80:8080']; healthcheck: {disable: true}", None),
    ],
    ids=["first port", "first TCP port", "UDP only", "command", "none"],
)
async def test_a_check_asks_the_port_that_is_meant(
    portway: Portway, keys: str, port_number: int | None
) -> None:
    await portway.deploy("shop", compose(web=f"image: web; {keys}"))
    (target,) = portway.controller.observer.probe_targets("shop/web").values()
    assert target.port_number == port_number


async def test_readiness_is_asked_for_besides_at_its_own_port(portway: Portway) -> None:
    labels = "labels: [portway.readiness.port=9090]"
    await portway.deploy(
        "shop", compose(web=f"image: web; ports: ['80:8080', '90:9090']; {labels}")
    )
    health, ready = portway.controller.observer.probe_targets("shop/web").values()
    assert (health.key, ready.key) == ("shop/web.1.1", "shop/web.1.1 readiness")
    assert (health.port_number, ready.port_number) == (31000, 31001)
    assert (health.is_readiness, ready.is_readiness) == (False, True)
    assert health.is_proven
    assert ready.is_proven


async def test_what_is_checked_is_said_again_only_where_it_may_have_changed(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    observer = portway.controller.observer
    observer.engine_is_stale = True
    await observer.refresh(["shop/web"])
    assert observer.new_probe_targets("shop/web") is None
    (seen,) = portway.engine.world.instances.values()
    seen.observed = replace(seen.observed, address="10.9.9.9")
    observer.engine_is_stale = True
    assert await observer.refresh(["shop/web"]) == {"shop/web"}
    (target,) = (observer.new_probe_targets("shop/web") or {}).values()
    assert target.address == "10.9.9.9"
    assert observer.new_probe_targets("shop/web") is None
    portway.controller.world.instances = None
    assert observer.new_probe_targets("shop/web") is None


async def test_of_an_app_that_is_forgotten_nothing_is_checked(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    observer = portway.controller.observer
    assert observer._probed.keys() == {"shop/web"}
    await portway.operations.delete_stack("shop")
    await portway.idle(1)
    assert observer.new_probe_targets("shop/web") == {}
    observer.engine_is_stale = True
    await observer.refresh([])
    assert observer._probed == {}


async def test_only_what_runs_and_stays_is_checked(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    targets = portway.controller.observer.probe_targets
    assert set(targets("shop/web")) == {"shop/web.1.1"}
    portway.balancer.connections["shop/web.1.1"] = 1
    await portway.operations.stop_instance("shop", "web.1.1")
    await portway.idle(1)
    assert set(targets("shop/web")) == {"shop/web.1.2"}
    assert targets("shop/unknown") == {}
    assert portway.engine.world.instances["shop/web.1.1"].observed.state is EngineState.RUNNING


async def test_what_is_merely_counted_wakes_nobody(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.idle(30)
    observer = portway.controller.observer
    await observer.refresh_served()
    key = next(iter(portway.balancer.served))
    portway.balancer.requests[key] = 1000
    portway.balancer.connections["shop/web.1.1"] = 3
    assert await observer.refresh_served() == set()
    counted = (portway.world.served_by("shop/web") or {})[key]
    assert (counted.requests, counted.endpoints[0].connections) == (1000, 3)


async def test_what_is_counted_wakes_an_app_that_waits_for_it(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.balancer.connections["shop/web.1.1"] = 2
    await portway.operations.stop_instance("shop", "web.1.1")
    await portway.idle(5)
    portway.balancer.connections["shop/web.1.1"] = 1
    assert await portway.controller.observer.refresh_served() == {"shop/web"}


async def test_a_route_that_is_served_differently_wakes_its_app(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.idle(30)
    key, route = next(iter(portway.balancer.served.items()))
    portway.balancer.served[key] = replace(route, endpoints=())
    assert await portway.controller.observer.refresh_served() == {"shop/web"}


async def test_a_change_of_one_apps_routes_has_the_balancer_read_for_that_app_only(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await portway.deploy("shop", TWO)
    await portway.idle(30)
    asked = _asked(portway, monkeypatch)
    portway.controller.observer.note_routes_changed("shop/web")
    await portway.controller.observer.refresh([])
    assert asked == [{"shop/web"}]
    assert portway.world.served_by("shop/other")


async def test_an_app_that_drains_has_the_balancer_read_for_itself_only(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await portway.deploy("shop", TWO)
    portway.balancer.connections["shop/web.1.1"] = 2
    await portway.operations.stop_instance("shop", "web.1.1")
    await portway.idle(2)
    observer = portway.controller.observer
    asked = _asked(portway, monkeypatch)
    portway.balancer.connections["shop/web.1.1"] = 1
    observer._served_at_ms = 0  # long ago
    observer._read_at_ms = {}
    assert await observer.refresh(["shop/web", "shop/other"]) == {"shop/web"}
    assert asked == [{"shop/web"}]
    assert await observer.refresh(["shop/web", "shop/other"]) == set()


async def test_after_a_failed_reading_all_of_the_balancer_is_read(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await portway.deploy("shop", TWO)
    await portway.idle(30)
    portway.balancer.fail_next_observe = "It does not answer."
    portway.controller.observer.note_routes_changed("shop/web")
    await portway.controller.observer.refresh([])
    assert portway.world.served is None
    asked = _asked(portway, monkeypatch)
    await portway.controller.observer.refresh([])
    assert asked == [None]
    assert portway.world.served_by("shop/other")


def _asked(portway: Portway, monkeypatch: pytest.MonkeyPatch) -> list[set[str] | None]:
    """For whom the balancer is read from now on."""
    asked: list[set[str] | None] = []
    observe = portway.balancer.observe

    async def noted(owners: Collection[str] | None = None) -> tuple[ServedRoute, ...]:
        asked.append(None if owners is None else set(owners))
        return await observe(owners)

    monkeypatch.setattr(portway.balancer, "observe", noted)
    return asked
