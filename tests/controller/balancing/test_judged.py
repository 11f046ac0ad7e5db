"""The health that people are shown is what the planner goes by."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.balancing.judged import judged
from portway.core.health import HealthStatus
from tests.controller.balancing import test_balancing
from tests.controller.balancing.test_balancing import (
    running,
)
from tests.controller.inprocess import Portway
from tests.core.balancing.values import BALANCER

VIRTUAL_TIME = True
portway = test_balancing.portway  # a fixture


async def test_a_group_that_is_not_content_makes_an_instance_unhealthy(portway: Portway) -> None:
    await running(portway)
    world, balancing = portway.world, portway.controller.balancing
    key = next(key for key in balancing.health if key.endswith("web.1.1"))
    own = world.health["c/web.1.1"]
    balancing.health[key] = replace(own, status=HealthStatus.FAILING)
    shown = judged(world, balancing, world.apps.values())
    assert shown.health["c/web.1.1"].status is HealthStatus.FAILING
    assert world.health["c/web.1.1"] is own


async def test_without_load_balancers_it_is_the_very_same(portway: Portway) -> None:
    await running(portway)
    await portway.controller.balancing.registry.delete(BALANCER)
    world = portway.world
    assert judged(world, portway.controller.balancing, world.apps.values()) is world
