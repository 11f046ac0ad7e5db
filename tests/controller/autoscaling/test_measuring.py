"""What policies name, and what is read for them."""

from __future__ import annotations

from portway.controller.autoscaling.measuring import Meters, app_id_of, metric_of, pool_of
from portway.controller.world import World
from portway.core.app import App
from portway.core.autoscaling import Metric
from portway.core.placement import NodeView
from portway.core.state import AppState, Revision

POLICY = {"resource_id": "service/c/web", "metric": "ECSServiceAverageMemoryUtilization"}


def test_a_resource_is_an_app_and_a_label_a_pool() -> None:
    assert app_id_of("service/c/web") == "c/web"
    assert pool_of("app/lb/1/targetgroup/tg/2") == "targetgroup/tg/2"


def test_a_policy_of_before_follows_requests() -> None:
    assert metric_of({}) is Metric.REQUESTS
    assert metric_of(POLICY) is Metric.MEMORY


async def test_the_engine_is_asked_only_where_something_runs_that_is_followed() -> None:
    async def asked(_: object) -> dict[str, object]:
        raise AssertionError("nothing runs")

    world = World(nodes=(NodeView(name="n", address="", memory_bytes=100),))
    state = AppState(app_id="c/web", target=Revision(id="r", release="r", app=App(id="c/web")))
    world.apps["c/web"] = state
    meters = Meters(world, asked)  # type: ignore[arg-type]
    await meters.read([POLICY], 1)
    assert meters.measured(POLICY, state, 1).running == 0
