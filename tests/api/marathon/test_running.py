"""Marathon's definitions as they run, in memory: where instances go, who leaves first, what waits for what."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.api.marathon.client import Client
from tests.api.marathon.conftest import marathon

IMAGE = {"container": {"type": "DOCKER", "docker": {"image": "web"}}}
SINGLE = {"MARATHON_SINGLE_INSTANCE_APP": "true"}


def spread(ask: Client, app_id: str) -> Counter[str]:
    return Counter(r.identity.node for r in ask.portway.app(app_id).live)


async def test_unique_instances_are_each_on_a_node_of_their_own() -> None:
    async with marathon(nodes=3) as ask:
        app = {"id": "/a", **IMAGE, "instances": 4, "constraints": [["hostname", "UNIQUE"]]}
        await ask("POST", "/v2/apps", app)
        await ask.portway.idle(10)
        assert sorted(spread(ask, "marathon/a").values()) == [1, 1, 1]
        [waiting] = (await ask.get("/v2/queue"))["queue"]
        assert waiting["count"] == 1
        await ask.deploy("PUT", "/v2/apps/a?force=true", {"instances": 3})
        await ask.deploy("POST", "/v2/apps/a/restart")  # the older ones are in nobody's way
        assert sorted(spread(ask, "marathon/a").values()) == [1, 1, 1]


async def test_groups_are_filled_evenly_and_emptied_evenly() -> None:
    async with marathon(nodes=3) as ask:
        app = {"id": "/a", **IMAGE, "instances": 6, "constraints": [["hostname", "GROUP_BY"]]}
        await ask.deploy("POST", "/v2/apps", app)
        assert sorted(spread(ask, "marathon/a").values()) == [2, 2, 2]
        await ask.deploy("PUT", "/v2/apps/a", {"instances": 3})
        assert sorted(spread(ask, "marathon/a").values()) == [1, 1, 1]


@pytest.mark.parametrize(("selection", "kept"), [("YOUNGEST_FIRST", 0), ("OLDEST_FIRST", 2)])
async def test_of_too_many_the_selected_go_first(ask: Client, selection: str, kept: int) -> None:
    app = {"id": "/a", **IMAGE, "instances": 3, "killSelection": selection}
    await ask.deploy("POST", "/v2/apps", app)
    ids = ask.portway.live("marathon/a")
    await ask.deploy("PUT", "/v2/apps/a", {"instances": 1})
    assert ask.portway.live("marathon/a") == [sorted(ids)[kept]]


def counted(ask: Client, running: int) -> list[int]:
    """How many run after each start and stop from now on, of so many."""
    engine, history = ask.portway.engine, [running]
    real_start, real_stop = engine.start, engine.stop

    async def start(request: Any) -> None:
        await real_start(request)
        history.append(history[-1] + 1)

    async def stop(instance_id: str, **how: Any) -> None:
        history.append(history[-1] - 1)
        await real_stop(instance_id, **how)

    engine.start, engine.stop = start, stop  # type: ignore[method-assign]
    return history


async def test_a_single_instance_ends_before_its_successor_starts(ask: Client) -> None:
    upgrade = {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}
    app = {"id": "/a", **IMAGE, "labels": SINGLE, "upgradeStrategy": upgrade}
    await ask.deploy("POST", "/v2/apps", app)
    history = counted(ask, 1)
    await ask.deploy("POST", "/v2/apps/a/restart")
    assert history == [1, 0, 1]
    status, said = await ask.refusal("PUT", "/v2/apps/a", {"instances": 2})
    assert status == 422
    assert "Single instance app may only have one instance" in str(said)


async def test_half_of_them_make_room_for_the_next(ask: Client) -> None:
    upgrade = {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}
    app = {"id": "/a", **IMAGE, "instances": 4, "upgradeStrategy": upgrade}
    await ask.deploy("POST", "/v2/apps", app)
    history = counted(ask, 4)
    await ask.deploy("PUT", "/v2/apps/a", {"env": {"V": "2"}})
    assert (max(history), min(history), history[-1]) == (4, 2, 4)


async def test_a_required_port_that_is_taken_is_waited_for(ask: Client) -> None:
    first = {"id": "/a", **IMAGE, "requirePorts": True, "portDefinitions": [{"port": 31005}]}
    await ask.deploy("POST", "/v2/apps", first)
    bridge = {"networks": [{"mode": "container/bridge"}]}
    mapping = {"containerPort": 80, "hostPort": 31005}
    second = {"id": "/b", **bridge, "container": {**IMAGE["container"], "portMappings": [mapping]}}
    await ask("POST", "/v2/apps", second)
    await ask.portway.idle(5)
    assert ask.portway.live("marathon/b") == []
    [blocked, *_] = ask.portway.world.blocked["marathon/b"]
    assert "31005" in blocked
    assert "leased by marathon/a" in blocked
    await ask("DELETE", "/v2/apps/a")
    await ask.rested()
    assert len(ask.portway.live("marathon/b")) == 1


async def test_nobody_gets_requests_before_it_says_that_it_is_ready(ask: Client) -> None:
    check = {"name": "r", "portName": "http", "intervalSeconds": 2, "timeoutSeconds": 1}
    ports = [{"port": 0, "name": "http"}]
    app = {"id": "/a", **IMAGE, "portDefinitions": ports, "readinessChecks": [check]}
    app["container"] = {"type": "DOCKER", "docker": {"image": "never-healthy"}}
    await ask("POST", "/v2/apps", app)
    await ask.portway.idle(10)
    [shown] = await ask.get("/v2/deployments")
    [result] = shown["currentActions"][0]["readinessCheckResults"]
    assert (result["name"], result["ready"]) == ("r", False)
    [instance] = ask.portway.live("marathon/a")
    ask.portway.engine.set_health(instance, passed=True)
    await ask.rested()


async def test_the_variables_of_the_ports_have_the_prefix_of_the_server() -> None:
    async with marathon(settings={"marathon_env_vars_prefix": "CUSTOM_"}) as ask:
        endpoint = {"name": "web", "containerPort": 80, "hostPort": 0}
        inner = {
            "name": "c",
            "resources": {"cpus": 0.1, "mem": 32},
            "image": {"kind": "DOCKER", "id": "web"},
            "endpoints": [endpoint],
        }
        pod = {"id": "/p", "networks": [{"mode": "container/bridge"}], "containers": [inner]}
        await ask.deploy("POST", "/v2/apps", {"id": "/a", **IMAGE, "env": {"PORT0": "mine"}})
        await ask.deploy("POST", "/v2/pods", pod)
        running = ask.portway.engine.world.instances
        of_app, of_pod = (
            running[ask.portway.live(f"marathon/{name}")[0]].request.environment for name in "ap"
        )
        assert {"CUSTOM_HOST", "CUSTOM_PORT0", "CUSTOM_PORTS"} <= of_app.keys()
        assert not {"HOST", "PORTS", "CUSTOM_MARATHON_APP_ID"} & of_app.keys()
        assert of_app["PORT0"] == "mine"
        assert "CUSTOM_ENDPOINT_WEB" in of_pod
        info = await ask.get("/v2/info")
        assert info["marathon_config"]["env_vars_prefix"] == "CUSTOM_"
