"""Apps of one deployment group have a service port together, and take turns on it; any others do not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from portway.core.routes import EndpointState, RouteKey
from tests.api.marathon.client import Client
from tests.api.marathon.conftest import marathon
from tests.controller.inprocess import VirtualLoop

if TYPE_CHECKING:
    import asyncio

GROUP = {"HAPROXY_DEPLOYMENT_GROUP": "web", "HAPROXY_DEPLOYMENT_ALT_PORT": "8081"}
SET = {**GROUP, "HAPROXY_0_PORT": "8080"}  # as marathon-lb's script sets it
KEY = RouteKey(address="", service_port=8080)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Virtual time for all of them."""
    return {"virtual": VirtualLoop}


@pytest.fixture
async def ask() -> AsyncIterator[Client]:
    async with marathon() as client:
        yield client


def app(path: str, number: int, labels: Mapping[str, str], instances: int = 2) -> dict[str, Any]:
    ports = [{"port": number, "name": "http"}]
    return {"id": path, "cmd": "x y", "instances": instances, "portDefinitions": ports, "labels": labels}  # fmt: skip


def served(ask: Client, key: RouteKey = KEY) -> list[str]:
    """Whose instances get what comes to a listener, as the balancer has it."""
    route = ask.portway.balancer.served[key]
    endpoints = [*route.endpoints, *(e for pool in route.pools for e in pool.endpoints)]
    ready = (e for e in endpoints if e.state is EndpointState.READY)
    return sorted(e.instance_id.rpartition("/")[2].split(".")[0] for e in ready)


async def test_blue_and_green_share_a_plain_service_port_and_take_turns(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", app("/blue", 8080, SET))
    assert served(ask) == ["blue", "blue"]
    await ask.deploy("POST", "/v2/apps", app("/green", 8081, SET, instances=1))
    assert served(ask) == ["blue", "blue", "green"]
    assert served(ask, RouteKey(address="", service_port=8081)) == ["green"]
    await ask.deploy("PUT", "/v2/apps/green", {"instances": 2})
    await ask.deploy("DELETE", "/v2/apps/blue")
    assert served(ask) == ["green", "green"]
    await ask.deploy("POST", "/v2/apps", app("/blue", 8080, SET))
    await ask.deploy("DELETE", "/v2/apps/green")
    assert served(ask) == ["blue", "blue"]
    assert (await ask.get("/v2/apps/blue"))["app"]["portDefinitions"][0]["port"] == 8080


async def test_the_alternative_port_serves_the_newcomer_apart(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", app("/blue", 8080, GROUP))
    await ask.deploy("POST", "/v2/apps", app("/green", 8081, GROUP))
    assert served(ask) == ["blue", "blue"]
    assert served(ask, RouteKey(address="", service_port=8081)) == ["green", "green"]


async def test_two_apps_of_a_group_may_have_one_number_and_others_not(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", app("/a", 8080, GROUP))
    await ask.deploy("POST", "/v2/apps", app("/b", 8080, GROUP))
    assert served(ask) == ["a", "a", "b", "b"]
    other = {**GROUP, "HAPROXY_DEPLOYMENT_GROUP": "other"}
    for labels in ({}, other):
        status, told = await ask.refusal("POST", "/v2/apps", app("/c", 8080, labels))
        assert status == 409
        assert "HAPROXY_DEPLOYMENT_GROUP" in told["message"]
    # A number that only a label names is nobody else's either.
    await ask.deploy("POST", "/v2/apps", app("/d", 9001, {**other, "HAPROXY_0_PORT": "9000"}))
    status, told = await ask.refusal("POST", "/v2/apps", app("/e", 9000, {}))
    assert (status, "marathon/d has already" in told["message"]) == (409, True)


async def test_a_port_does_not_turn_from_one_apps_to_a_groups_while_it_is_served(
    ask: Client,
) -> None:
    await ask.deploy("POST", "/v2/apps", app("/a", 8080, {}))
    status, told = await ask.refusal("PUT", "/v2/apps/a", {"labels": GROUP})
    assert (status, "nobody would answer there" in told["message"]) == (409, True)
    await ask.deploy("POST", "/v2/apps", app("/b", 8090, GROUP))
    status, told = await ask.refusal("PUT", "/v2/apps/b", {"labels": {}})
    assert (status, "served at 8090 alone" in told["message"]) == (409, True)


async def test_numbers_that_were_given_to_apps_of_a_group_are_not_assigned_again(
    ask: Client,
) -> None:
    await ask.deploy("POST", "/v2/apps", app("/a", 8080, GROUP))
    [given] = ask.portway.app("marathon/a").service_ports.values()
    await ask.deploy("POST", "/v2/apps", app("/b", 0, {}))
    number = (await ask.get("/v2/apps/b"))["app"]["portDefinitions"][0]["port"]
    assert number != given
