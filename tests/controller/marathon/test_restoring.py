"""What is defined runs, also where a crash came between the definition and its App."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from portway.controller.marathon.catalogue import Catalogue, Deployment
from portway.controller.marathon.restoring import lost_entries
from tests.api.marathon.conftest import marathon
from tests.controller.inprocess import VirtualLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Virtual time for all of them."""
    return {"virtual": VirtualLoop}


async def test_a_definition_without_an_app_is_started_when_a_server_begins() -> None:
    async with marathon() as ask:
        await ask.deploy("POST", "/v2/apps", {"id": "/a", "cmd": "sleep 1", "instances": 2})
        before = (await ask.get("/v2/apps/a"))["app"]
        ask.marathon.adopter.look = _nothing  # it ends before it has seen that the App is removed
        await ask.portway.operations.remove_app("marathon", "a")
        await ask.portway.until(lambda: "marathon/a" not in ask.portway.world.apps)
        assert (await ask.get("/v2/apps/a"))["app"]["tasksRunning"] == 0
        await ask.marathon.abdicate()
        await ask.rested()
        after = (await ask.get("/v2/apps/a"))["app"]
        assert after["tasksRunning"] == 2
        assert after["version"] == before["version"]
        [done] = [d for d in ask.marathon.catalogue.history if d.version > after["version"]]
        assert done.status == "done"


async def _nothing(app_id: str) -> None:
    """It sees nothing."""


async def test_what_runs_or_is_about_to_change_is_left_alone() -> None:
    async with marathon() as ask:
        await ask.deploy("POST", "/v2/apps", {"id": "/a", "cmd": "sleep 1"})
        catalogue: Catalogue = ask.marathon.catalogue
        assert lost_entries(catalogue, {"marathon/a"}) == []
        [lost] = lost_entries(catalogue, set())
        assert lost.path == "/a"
        catalogue.locked["/a"] = {Deployment(id="d", version="v", started_at_ms=1).id}
        assert lost_entries(catalogue, set()) == []
        del catalogue.locked["/a"]
