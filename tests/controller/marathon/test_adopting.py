"""What is done to an app of Marathon by portway's own commands is what /v2 says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from portway.controller.marathon.adopting import adopted
from portway.controller.marathon.catalogue import POD, Entry
from portway.core.deployment import DeploymentStatus
from portway.core.errors import PortwayError
from portway.engines.memory import Fault
from tests.api.marathon.client import Client
from tests.api.marathon.conftest import marathon
from tests.controller.inprocess import VirtualLoop

if TYPE_CHECKING:
    import asyncio

APP: dict[str, Any] = {"id": "/shop/a", "cmd": "sleep 1", "instances": 2}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Virtual time for all of them."""
    return {"virtual": VirtualLoop}


@pytest.fixture
async def ask() -> AsyncIterator[Client]:
    async with marathon() as client:
        yield client


async def _app(ask: Client) -> dict[str, Any]:
    return (await ask.get("/v2/apps/shop/a"))["app"]


async def _two_versions(ask: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    await ask.deploy("POST", "/v2/apps", APP)
    first = await _app(ask)
    await ask.deploy("PUT", "/v2/apps/shop/a", {"cmd": "sleep 2"})
    return first, await _app(ask)


async def _rested(ask: Client) -> None:
    await ask.portway.settled("shop")
    await ask.portway.until(lambda: not ask.marathon.catalogue.deployments)


async def test_a_promoted_release_brings_back_the_definition_of_its_version(ask: Client) -> None:
    first, second = await _two_versions(ask)
    releases = await ask.portway.operations.releases("shop")
    await ask.portway.operations.promote("shop", releases[-1].id)
    await ask.portway.until(lambda: not ask.portway.rests("shop"))
    await _rested(ask)
    app = await _app(ask)
    assert app["cmd"] == "sleep 1"
    assert app["version"] > second["version"]
    assert app["versionInfo"]["lastConfigChangeAt"] == first["version"]
    assert {task["version"] for task in app["tasks"]} == {first["version"]}
    ids = set(ask.portway.live("shop/a"))
    assert {name.rpartition(".")[2] for name in ids} == {
        "5",
        "6",
    }  # replaced no second time because of it
    await ask.deploy("PUT", "/v2/apps/shop/a", {"instances": 3})
    assert ids < set(ask.portway.live("shop/a"))


async def test_rolling_back_goes_to_the_version_before_and_then_further_back(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", APP)
    for cmd in ("sleep 2", "sleep 3"):
        await ask.deploy("PUT", "/v2/apps/shop/a", {"cmd": cmd})
    await ask.deploy("POST", "/v2/apps", {**APP, "id": "/shop/b"})
    for cmd in ("sleep 2", "sleep 1"):
        view = await ask.portway.operations.rollback("shop", to="a")
        assert view.notes[0].startswith("a goes back to what it was in R")
        await ask.portway.until(lambda: not ask.portway.rests("shop"))
        await _rested(ask)
        assert (await _app(ask))["cmd"] == cmd
    with pytest.raises(PortwayError, match="a has no earlier release"):
        await ask.portway.operations.rollback("shop", to="a")


async def test_a_count_that_is_set_becomes_the_definitions(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", APP)
    await ask.portway.operations.scale("shop", {"a": 3})
    await _rested(ask)
    assert (await _app(ask))["instances"] == 3


async def test_a_stack_that_is_deleted_takes_its_definitions_along(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", APP)
    await ask.portway.operations.delete_stack("shop")
    await ask.portway.until(lambda: "shop/a" not in ask.portway.world.apps)
    await ask.rested()
    await ask.portway.until(lambda: "/shop/a" not in ask.marathon.catalogue.entries)
    assert (await ask.refusal("GET", "/v2/apps/shop/a"))[0] == 404
    await ask.deploy("POST", "/v2/apps", APP)
    assert (await _app(ask))["tasksRunning"] == 2


async def test_a_deployment_called_off_by_portways_own_command_goes_back_in_v2_as_well(
    ask: Client,
) -> None:
    await ask.deploy("POST", "/v2/apps", APP)
    before = await _app(ask)
    ask.portway.engine.inject(Fault(operation="start", times=1000))
    reply = await ask("PUT", "/v2/apps/shop/a", {"cmd": "sleep 2"})
    assert reply.status == 200
    state = ask.portway.world.apps
    await ask.portway.until(
        lambda: (
            (d := state["shop/a"].deployment) is not None and d.status is DeploymentStatus.RUNNING
        )
    )
    await ask.portway.operations.cancel("shop")
    await ask.portway.until(
        lambda: ask.marathon.catalogue.entries["/shop/a"].definition["cmd"] == "sleep 1"
    )
    await _rested(ask)
    app = await _app(ask)
    assert {task["version"] for task in app["tasks"]} == {before["version"]}


async def test_a_definition_that_was_not_begun_with_stays(ask: Client) -> None:
    """Calling a deployment off with force leaves the definition, as Marathon does: nobody else aimed the App elsewhere."""
    await ask.deploy("POST", "/v2/apps", APP)
    reply = await ask("PUT", "/v2/apps/shop/a", {"cmd": "sleep 2"})
    await ask("DELETE", f"/v2/deployments/{reply.json['deploymentId']}?force=true")
    ask.marathon.adopter.note(["shop/a"])
    await _rested(ask)
    assert (await _app(ask))["cmd"] == "sleep 2"


async def test_what_a_new_server_finds_going_is_taken_from_the_definitions(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", APP)
    ask.marathon.adopter.note = lambda _: None  # the server ends before it notices
    await ask.portway.operations.delete_stack("shop")
    del ask.marathon.adopter.note
    ask.marathon.adopter.resume()
    await ask.portway.until(lambda: "/shop/a" not in ask.marathon.catalogue.entries)


async def test_what_cannot_be_adopted_is_not_tried_for_ever(ask: Client) -> None:
    await _two_versions(ask)
    tries: list[object] = []

    async def refuse(change: object, *, force: bool = False) -> None:
        tries.append(change)
        raise PortwayError("no")

    ask.marathon.update = refuse
    await ask.portway.operations.scale("shop", {"a": 3})
    await ask.portway.settled("shop")
    ask.marathon.adopter.note(["shop/nobody"])
    assert len(tries) == 1


def test_of_a_pod_the_scaling_says_how_many():
    entry = Entry(path="/p", kind=POD, definition={"version": "v"}, app_id="marathon/p")
    wanted = adopted(entry, "", None, 2)
    assert wanted.pods["/p"] == {"version": "v", "scaling": {"instances": 2}}
    assert adopted(entry, None, None, 0).pods == {"/p": None}


async def test_an_app_removed_while_it_is_deployed_is_not_made_again(ask: Client) -> None:
    ask.portway.engine.inject(Fault(operation="start", times=1000))
    await ask("POST", "/v2/apps", APP)
    await ask.portway.until(lambda: ask.marathon.runner._begun)
    await ask.portway.operations.delete_stack("shop", drain=False)
    await ask.portway.until(lambda: "/shop/a" not in ask.marathon.catalogue.entries)
    await ask.rested()
    assert "shop/a" not in ask.portway.world.apps
    assert ask.marathon.catalogue.history[0].reason == "shop/a was removed by other means"
