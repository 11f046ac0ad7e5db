"""What keeps a service from its count, in ECS's sentences."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from portway.controller.ecs.facts import service_facts
from portway.controller.world import World
from portway.core.health import Health, HealthStatus
from portway.core.instance import Phase
from portway.core.plan import Blocked
from tests.core.ecs.made import APP_ID, NAMES, origin, record, state

NO_GROUPS: Any = SimpleNamespace(registry=SimpleNamespace(group=lambda arn: None))


def troubles(*codes: str, target: str | None = "R1") -> tuple[str, ...]:
    world = World()
    world.obstacles[APP_ID] = tuple(
        Blocked(app_id=APP_ID, reason="r", code=code, node="local") for code in codes
    )
    return service_facts(state(target=target), origin(), world, NAMES, NO_GROUPS, now_ms=0).troubles


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("PORTS", "is already using a port required by your task."),
        ("MEMORY", "has insufficient memory available."),
        ("NO_NODES", "no container instance met all of its requirements."),
        ("BOUNDS", "because of the service deployment configuration."),
        ("THROTTLED", "is unable to consistently start tasks successfully."),
        ("PROTECTED", "The number of protected tasks are more than the desired count of tasks."),
    ],
)
def test_an_obstacle_is_told_in_ecss_words(code: str, told: str) -> None:
    [said] = troubles(code, code)
    assert told in said


def test_other_obstacles_and_a_deleted_service_are_silent() -> None:
    assert troubles("") == ()
    assert troubles("PORTS", target=None) == ()


def test_a_task_whose_container_fails_its_check_is_named() -> None:
    world, sick, well = World(), record(1, Phase.READY), record(2, Phase.READY)
    world.health[sick.id] = Health(status=HealthStatus.FAILING)
    facts = service_facts(state(sick, well), origin(), world, NAMES, NO_GROUPS, now_ms=0)
    assert [*facts.unhealthy] == [sick.id]
    assert facts.unhealthy[sick.id].endswith("failed container health checks.")
