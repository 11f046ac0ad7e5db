"""One network a stack: names resolve inside it, and it goes with the stack."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from portway.core.app import Network
from portway.core.instance import EngineState
from portway.engines.docker.client import DockerClient
from portway.engines.docker.command import NetworkUse
from portway.engines.docker.engine import DockerEngine
from portway.engines.docker.names import container_name
from portway.engines.docker.networks import Networks
from tests.engines.docker.support import (
    Requests,
    docker_json,
    quietly,
    refusal_of,
    seen,
)

pytestmark = pytest.mark.docker


async def networks_of(client: DockerClient, home: str) -> list[str]:
    """The names of every network with that home in its name."""
    return sorted(n["Name"] for n in await docker_json(client, "networks") if home in n["Name"])


async def page(engine: DockerEngine, asking: str, url: str) -> str:
    """What an instance gets from a URL."""
    check = f"for n in 1 2 3 4 5 6 7 8 9; do wget -qO- {url} && break; sleep 0.2; done"
    return (await engine.run_check(asking, ("CMD-SHELL", check), timeout_s=20)).output


async def test_a_network_that_was_there_is_looked_for_again_only_once_it_is_missed(
    engine: DockerEngine,
    requests: Requests,
    client: DockerClient,
    home: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, third = (requests.sleeper() for _ in range(3))
    await engine.start(first)
    asked: list[str] = []
    ask = engine._client.call

    async def heard(method: str, path: str, **how: Any) -> bytes:
        asked.append(path.partition("/")[0])
        return await ask(method, path, **how)

    monkeypatch.setattr(engine._client, "call", heard)
    await engine.start(second)
    assert "networks" not in asked
    for request in (first, second):
        await engine.remove(request.identity.id)
    (name,) = await networks_of(client, home)
    await client.call("DELETE", f"networks/{name}")
    await engine.start(third)
    assert (await seen(engine, third)).state is EngineState.RUNNING
    assert await networks_of(client, home) == [name]


async def test_instances_of_a_stack_find_each_other_by_their_aliases(
    engine: DockerEngine, requests: Requests
) -> None:
    web, asking = requests(aliases=("web", "www")), requests.sleeper(name="asking")
    await engine.start(web)
    await engine.start(asking)
    assert "hello from portway" in await page(engine, asking.identity.id, "http://web/")
    assert "hello from portway" in await page(engine, asking.identity.id, "http://www:80/")
    found = await engine.run_check(asking.identity.id, ("nslookup", "web"), timeout_s=20)
    assert (await seen(engine, web)).address in found.output


async def test_instances_of_two_stacks_do_not_find_each_other(
    engine: DockerEngine, requests: Requests, home: str
) -> None:
    await engine.start(requests())
    stranger = Requests(requests.image, f"t{home}").sleeper()
    await engine.start(stranger)
    found = await engine.run_check(stranger.identity.id, ("nslookup", "web"), timeout_s=30)
    assert found.exit_code != 0 or "Name: web" not in found.output
    await engine.remove(stranger.identity.id)
    await engine.remove_stack(f"t{home}")


async def test_the_address_is_the_one_on_the_stacks_own_network(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    await client.call("POST", "networks/create", body={"Name": f"shared-{home}"})
    try:
        request = requests.sleeper(
            networks=(
                Network(name="back", aliases=("db",)),
                Network(name=f"shared-{home}", external=True),
            )
        )
        await engine.start(request)
        name = container_name(home, request.identity.id)
        joined = (await docker_json(client, f"containers/{name}/json"))["NetworkSettings"]
        own = f"portway-{home}-s{home}"
        assert set(joined["Networks"]) == {own, f"{own}.back", f"shared-{home}"}
        assert {"web", "db"} <= set(joined["Networks"][f"{own}.back"]["Aliases"])
        assert (await seen(engine, request)).address == joined["Networks"][own]["IPAddress"]
        await engine.remove(request.identity.id)
        await engine.remove_stack(f"s{home}")
        assert await networks_of(client, home) == [f"shared-{home}"]
    finally:
        await quietly(client, "DELETE", f"networks/shared-{home}", {})


async def test_an_external_network_that_is_not_there_is_named(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper(networks=(Network(name="portway-test-nowhere", external=True),))
    error = await refusal_of(engine.start(request))
    assert "the network portway-test-nowhere does not exist" in error.message
    assert "docker network create portway-test-nowhere" in error.hint
    assert await engine.list() == ()


async def test_a_network_removed_by_hand_is_made_again(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    first = requests.sleeper()
    await engine.start(first)
    await engine.remove(first.identity.id)
    await client.call("DELETE", f"networks/portway-{home}-s{home}")
    second = requests.sleeper()
    await engine.start(second)
    assert (await seen(engine, second)).state is EngineState.RUNNING


async def test_two_controllers_that_need_a_network_at_once_make_it_once(
    client: DockerClient, home: str
) -> None:
    use = NetworkUse(name=f"portway-{home}-race")
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            networks = Networks(client, home_id=home)
            group.create_task(networks.ensure((use,), stack="race"))
    assert await networks_of(client, home) == [use.name]


async def test_removing_a_stack_takes_its_networks_and_no_others(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    mine, other = requests.sleeper(), Requests(requests.image, f"s{home}2").sleeper()
    await engine.start(mine)
    await engine.start(other)
    await engine.remove(mine.identity.id)
    await engine.remove_stack(f"s{home}")
    await engine.remove_stack(f"s{home}")
    assert await networks_of(client, home) == [f"portway-{home}-s{home}2"]


async def test_a_network_somebody_still_uses_is_kept_and_its_users_named(
    engine: DockerEngine,
    requests: Requests,
    home: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("portway.engines.docker.networks.LINGER_S", 0.3)
    request = requests.sleeper()
    await engine.start(request)
    error = await refusal_of(engine.remove_stack(f"s{home}"))
    assert container_name(home, request.identity.id) in error.message
    assert "docker network disconnect" in error.hint
    assert (await seen(engine, request)).state is EngineState.RUNNING


async def test_a_stack_can_be_removed_while_its_last_instance_is_going(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.remove(request.identity.id))
        group.create_task(engine.remove_stack(f"s{home}"))
    assert await networks_of(client, home) == []
