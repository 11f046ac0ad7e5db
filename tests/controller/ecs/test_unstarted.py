"""Which tasks of RunTask are given up before they begin."""

from __future__ import annotations

from typing import Any

import pytest

from portway.controller.ecs.unstarted import failed_to_start
from portway.controller.world import World
from portway.core.instance import Phase
from portway.core.plan import Blocked
from portway.core.port_words import no_row
from portway.core.state import AppState
from tests.core.ecs.made import APP_ID, NAMES, record, state

NONE_FREE = no_row(node="local", span="50000-50001", count=1, ephemeral=True)
NO_ROW = no_row(node="local", span="50000-50001", count=5, ephemeral=True)


def found(reason: str, of: AppState | None = None) -> dict[str, Any] | None:
    world = World()
    world.obstacles[APP_ID] = (Blocked(app_id=APP_ID, reason=reason, code="PORTS", node="local"),)
    return failed_to_start(of or state(), world, NAMES, zone="us-east-1a", now_ms=9)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (NONE_FREE, "a host port is unavailable"),
        (NO_ROW, "5 contiguous host ports are unavailable"),
    ],
)
def test_a_task_without_a_port_has_failed_to_start(reason: str, told: str) -> None:
    task = found(reason)
    assert task is not None
    assert (task["lastStatus"], task["stopCode"], task["stoppedAt"]) == ("STOPPED", "TaskFailedToStart", 9)  # fmt: skip
    [container] = task["containers"]
    assert container["reason"] == f"HostConfigError: error retrieving docker port map: {told}"


def test_whatever_passes_by_itself_is_waited_for() -> None:
    assert found("host port 8080 on node local is held down for another 5 s") is None
    assert found("it waits for memory") is None


def test_one_that_has_an_instance_or_is_deleted_is_not_given_up() -> None:
    assert found(NONE_FREE, state(record(1, Phase.READY))) is None
    assert found(NONE_FREE, state(target=None)) is None
