"""Apps that were made otherwise: seen over the Marathon API, and changed where they were made."""

from __future__ import annotations

import json

from tests.api.marathon.client import Client
from tests.controller.inprocess import compose

SHOP = compose(web="image: web; ports: ['80:8080']; environment: {SECRET: x}", db_main="image: db")


async def test_a_compose_app_is_listed_with_its_tasks(ask: Client) -> None:
    await ask.portway.deploy("shop", SHOP)
    await ask.deploy("POST", "/v2/apps", {"id": "/a", "cmd": "sleep 1"})
    found = {app["id"]: app for app in (await ask.get("/v2/apps?embed=apps.tasks"))["apps"]}
    assert set(found) == {"/a", "/shop/db-main", "/shop/web"}
    web = found["/shop/web"]
    assert (web["instances"], web["tasksRunning"], web["deployments"]) == (1, 1, [])
    assert web["tasks"][0]["state"] == "TASK_RUNNING"
    assert "env" not in web
    assert 80 in [m["servicePort"] for m in web["container"]["portMappings"]]
    assert (await ask.get("/v2/apps/shop/web"))["app"]["id"] == "/shop/web"
    assert (await ask.get("/v2/groups"))["groups"][0]["id"] == "/shop"
    assert len((await ask.get("/v2/groups/shop"))["apps"]) == 2
    assert await ask.get("/v2/deployments") == []
    assert len((await ask.get("/v2/tasks"))["tasks"]) == 3


async def test_a_compose_app_is_changed_by_its_manifest_only(ask: Client) -> None:
    await ask.portway.deploy("shop", SHOP)
    for method, url, body in (
        ("PUT", "/v2/apps/shop/web", {"instances": 2}),
        ("PATCH", "/v2/apps/shop/web", {"instances": 2}),
        ("DELETE", "/v2/apps/shop/web", None),
        ("POST", "/v2/apps/shop/web/restart", None),
        ("DELETE", "/v2/apps/shop/web/tasks", None),
        ("PUT", "/v2/groups/shop", {"apps": [{"id": "web", "cmd": "sleep 1"}]}),
    ):
        status, told = await ask.refusal(method, url, body)
        assert status == 409, (method, url)
        assert told["message"].endswith("Change it with its manifest and `portway deploy -a shop`.")
    assert (await ask.refusal("POST", "/v2/apps", {"id": "/shop/web", "cmd": "x y"}))[0] == 409
    assert len(ask.portway.live("shop/web")) == 1


async def test_an_app_is_not_put_beside_what_is_deployed_as_a_whole(ask: Client) -> None:
    await ask.portway.deploy("shop", SHOP)
    status, told = await ask.refusal("POST", "/v2/apps", {"id": "/shop/new", "cmd": "sleep 1"})
    assert status == 409
    assert "shop is deployed as a whole" in told["message"]
    assert await ask.portway.store.documents.list("marathon.app") == ()


async def test_ports_assigned_to_others_are_not_assigned_again(ask: Client) -> None:
    await ask.portway.deploy("shop", compose(web="image: web; ports: ['8080']"))
    [taken] = ask.portway.listeners()
    assert taken == 10000
    await ask.deploy("POST", "/v2/apps", {"id": "/a", "cmd": "sleep 1"})
    assert (await ask.get("/v2/apps/a"))["app"]["portDefinitions"][0]["port"] == 10001


async def test_an_app_of_marathon_is_an_app_of_portway(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {"id": "/shop/a", "cmd": "sleep 1", "instances": 2})
    stack = await ask.portway.operations.stack("shop")
    [app] = stack.apps
    assert (app.name, app.count, app.healthy) == ("a", 2, 2)
    assert [route.service_port for route in await ask.portway.operations.map("shop")] == [10000]


async def test_who_scales_an_app_by_other_means_changes_its_definition(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {"id": "/shop/a", "cmd": "sleep 1"})
    before = (await ask.get("/v2/apps/shop/a"))["app"]["version"]
    await ask.portway.operations.scale("shop", {"a": 3})
    await ask.portway.settled("shop")
    await ask.rested()
    app = (await ask.get("/v2/apps/shop/a"))["app"]
    assert (app["instances"], app["tasksRunning"]) == (3, 3)
    assert app["version"] > before
    assert len(ask.portway.live("shop/a")) == 3


async def test_a_stack_goes_with_the_last_app_of_it(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {"id": "/shop/a", "cmd": "sleep 1"})
    await ask.deploy("DELETE", "/v2/apps/shop/a")
    assert await ask.portway.operations.stacks() == ()
    assert (await ask.get("/v2/groups/shop"))["apps"] == []


async def test_a_definition_deployed_as_a_file_is_told_what_is_shown_of_it(ask: Client) -> None:
    file = json.dumps({"id": "/other/web", "cmd": "sleep 1", "instances": 1})
    await ask.portway.deploy("shop", file, manifest_name="app.json")
    await ask.portway.idle(3)
    await ask.portway.operations.scale("shop", {"web": 2})
    await ask.portway.idle(3)
    tasks = (await ask.get("/v2/apps/shop/web?embed=app.tasks"))["app"]["tasks"]
    shown = {task["id"]: (task["appId"], task["version"]) for task in tasks}
    running = ask.portway.engine.world.instances
    environments = [running[i].request.environment for i in ask.portway.live("shop/web")]
    told = {
        e["MESOS_TASK_ID"]: (e["MARATHON_APP_ID"], e["MARATHON_APP_VERSION"]) for e in environments
    }
    assert told == shown
    assert len(told) == 2
