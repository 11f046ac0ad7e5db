"""Apps over the Marathon API: made, read back, changed, restarted, removed."""

from __future__ import annotations

from tests.api.marathon.client import Client

WEB = {
    "id": "/shop/web",
    "instances": 2,
    "container": {
        "type": "DOCKER",
        "docker": {"image": "web:1"},
        "portMappings": [{"containerPort": 80, "name": "http"}],
    },
    "networks": [{"mode": "container/bridge"}],
}


async def test_an_app_is_made_read_back_and_runs(ask: Client) -> None:
    made = await ask("POST", "/v2/apps", WEB)
    assert made.status == 201, made.body
    assert made.headers["location"] == "/shop/web"
    assert made.json["deployments"] == [{"id": made.headers["marathon-deployment-id"]}]
    assert made.json["container"]["portMappings"][0]["servicePort"] == 0
    await ask.rested()
    shown = (await ask.get("/v2/apps//shop/web"))["app"]
    assert shown["container"]["portMappings"][0]["servicePort"] == 10000
    assert shown["tasksRunning"] == 2
    assert [task["state"] for task in shown["tasks"]] == ["TASK_RUNNING"] * 2
    assert ask.portway.live("shop/web")
    assert ask.portway.serving(10000)


SLEEP = {"id": "/sleep", "cmd": "sleep 100", "instances": 1}


async def test_what_is_posted_is_shown_as_it_was_sent(ask: Client) -> None:
    made = await ask("POST", "/v2/apps", {"id": "a", "cmd": "sleep 1"})
    body = made.json
    version, deployment = body.pop("version"), body.pop("deployments")
    assert version.endswith("Z")
    assert len(deployment) == 1
    assert body == {
        "id": "/a",
        "cmd": "sleep 1",
        "instances": 1,
        "cpus": 1,
        "mem": 128,
        "disk": 0,
        "gpus": 0,
        "executor": "",
        "backoffFactor": 1.15,
        "backoffSeconds": 1,
        "maxLaunchDelaySeconds": 300,
        "requirePorts": False,
        "killSelection": "YOUNGEST_FIRST",
        "labels": {},
        "networks": [{"mode": "host"}],
        "portDefinitions": [{"port": 0, "name": "default", "protocol": "tcp"}],
        "role": "*",
        "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        "upgradeStrategy": {"maximumOverCapacity": 1, "minimumHealthCapacity": 1},
        "tasksStaged": 0,
        "tasksRunning": 0,
        "tasksHealthy": 0,
        "tasksUnhealthy": 0,
    }


async def test_an_app_is_made_once(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", SLEEP)
    assert await ask.refusal("POST", "/v2/apps", SLEEP) == (
        409,
        {"message": "An app with id [/sleep] already exists."},
    )


async def test_what_is_not_there_is_404(ask: Client) -> None:
    told = {"message": "App '/no' does not exist"}
    for method, url, body in (
        ("GET", "/v2/apps//no", None),
        ("DELETE", "/v2/apps/no", None),
        ("PATCH", "/v2/apps/no/", {"instances": 2}),
        ("POST", "/v2/apps/no/restart", None),
        ("GET", "/v2/apps/no/tasks", None),
        ("DELETE", "/v2/apps/no/tasks", None),
        ("GET", "/v2/apps/no/versions", None),
    ):
        assert await ask.refusal(method, url, body) == (404, told)
    nowhere = await ask.refusal("GET", "/v2/nothing/here")
    assert nowhere == (404, {"message": "URI not found: /v2/nothing/here"})


async def test_bodies_are_refused_as_marathon_does(ask: Client) -> None:
    status, told = await ask.refusal("POST", "/v2/apps", text="{")
    assert (status, told["message"]) == (400, "Invalid JSON")
    assert isinstance(told["details"], str)
    status, told = await ask.refusal("POST", "/v2/apps")
    assert (status, told["message"]) == (400, "Please specify data in JSON format")
    assert await ask.refusal("POST", "/v2/apps", {"id": "/a"}) == (
        422,
        {
            "message": "Object is not valid",
            "details": [
                {
                    "path": "/",
                    "errors": [
                        "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'."
                    ],
                }
            ],
        },
    )
    status, told = await ask.refusal("PUT", "/v2/apps/a", [1])
    assert (status, told["message"]) == (422, "Invalid JSON")
    assert await ask.get("/v2/apps") == {"apps": []}


async def test_a_change_of_the_count_alone_replaces_nothing(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", SLEEP)
    before = (await ask.get("/v2/apps/sleep"))["app"]
    old = ask.portway.live("marathon/sleep")
    changed = await ask.deploy("PUT", "/v2/apps/sleep", {"instances": 3})
    assert set(changed.json) == {"version", "deploymentId"}
    after = (await ask.get("/v2/apps/sleep"))["app"]
    assert after["instances"] == after["tasksRunning"] == 3
    assert set(old) <= set(ask.portway.live("marathon/sleep"))
    info, was = after["versionInfo"], before["versionInfo"]
    assert info["lastConfigChangeAt"] == was["lastConfigChangeAt"]
    assert info["lastScalingAt"] == after["version"] > was["lastScalingAt"]


async def test_any_other_change_replaces_every_task(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", SLEEP)
    old = ask.portway.live("marathon/sleep")
    await ask.deploy("PATCH", "/v2/apps/sleep", {"labels": {"a": "b"}})
    assert not set(old) & set(ask.portway.live("marathon/sleep"))
    app = (await ask.get("/v2/apps/sleep"))["app"]
    assert app["labels"] == {"a": "b"}
    assert app["cmd"] == "sleep 100"
    assert [task["version"] for task in app["tasks"]] == [app["version"]]


async def test_a_whole_replacement_has_the_defaults_again(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {**SLEEP, "cpus": 2, "instances": 0})
    await ask.deploy("PUT", "/v2/apps/sleep?partialUpdate=false", {"cmd": "sleep 5"})
    app = (await ask.get("/v2/apps/sleep"))["app"]
    assert (app["cpus"], app["cmd"], app["instances"]) == (1, "sleep 5", 1)


async def test_the_same_again_is_a_deployment_without_steps(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", SLEEP)
    before = (await ask.get("/v2/apps/sleep"))["app"]["version"]
    reply = await ask("PUT", "/v2/apps/sleep", {"cmd": "sleep 100"})
    assert reply.status == 200
    assert (await ask.get("/v2/apps/sleep"))["app"]["version"] == before
    await ask.rested()


async def test_a_put_makes_what_is_not_there(ask: Client) -> None:
    reply = await ask.deploy("PUT", "/v2/apps/a/b", {"id": "/ignored", "cmd": "sleep 1"})
    assert (reply.status, reply.headers["location"]) == (201, "/a/b")
    assert (await ask.get("/v2/apps/a/b"))["app"]["id"] == "/a/b"


async def test_several_apps_are_one_deployment(ask: Client) -> None:
    both = [{"id": "/a", "cmd": "sleep 1"}, {"id": "/b", "cmd": "sleep 1"}]
    reply = await ask("PUT", "/v2/apps", both)
    assert reply.status == 200, reply.body
    [running] = await ask.get("/v2/deployments")
    assert running["affectedApps"] == ["/a", "/b"]
    assert running["id"] == reply.json["deploymentId"]
    await ask.rested()
    assert await ask.refusal("PUT", "/v2/apps", [{"cmd": "x"}]) == (
        422,
        {"message": "App Update must have app id set"},
    )
    status, _ = await ask.refusal("PATCH", "/v2/apps", [{"id": "/c", "cmd": "sleep 2"}])
    assert status == 404
    await ask.deploy("PATCH", "/v2/apps", [{"id": "/a", "instances": 2}])
    assert (await ask.get("/v2/apps/a"))["app"]["tasksRunning"] == 2


async def test_an_app_goes_back_to_a_version(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", SLEEP)
    await ask.deploy("PUT", "/v2/apps/sleep", {"cmd": "sleep 200"})
    newest, oldest = (await ask.get("/v2/apps/sleep/versions"))["versions"]
    assert newest > oldest
    old = await ask.get(f"/v2/apps/sleep/versions/{oldest}")
    assert (old["cmd"], old["version"]) == ("sleep 100", oldest)
    await ask.deploy("PUT", "/v2/apps/sleep", {"version": oldest})
    app = (await ask.get("/v2/apps/sleep"))["app"]
    assert app["cmd"] == "sleep 100"
    assert app["version"] > newest
    status, told = await ask.refusal("PUT", "/v2/apps/sleep", {"version": oldest, "cmd": "sleep 1"})
    assert status == 422
    assert told["details"][0]["errors"] == [
        "The 'version' field may only be combined with the 'id' field."
    ]
    status, told = await ask.refusal("GET", "/v2/apps/sleep/versions/2001-01-01T00:00:00.000Z")
    assert told["message"] == "App '/sleep' does not exist in version 2001-01-01T00:00:00.000Z"


async def test_a_restart_replaces_what_is_unchanged(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", SLEEP)
    old, before = ask.portway.live("marathon/sleep"), (await ask.get("/v2/apps/sleep"))["app"]
    await ask.deploy("POST", "/v2/apps/sleep/restart")
    after = (await ask.get("/v2/apps/sleep"))["app"]
    assert not set(old) & set(ask.portway.live("marathon/sleep"))
    assert after["versionInfo"]["lastConfigChangeAt"] == after["version"] > before["version"]
    assert after["versionInfo"]["lastScalingAt"] == before["versionInfo"]["lastScalingAt"]


async def test_a_removed_app_is_gone_with_all_of_it(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    reply = await ask.deploy("DELETE", "/v2/apps/shop/web")
    assert reply.headers["marathon-deployment-id"] == reply.json["deploymentId"]
    assert await ask.get("/v2/apps") == {"apps": []}
    assert ask.portway.world.apps == {}
    documents = ask.portway.store.documents
    assert await documents.list("marathon.app") == ()
    assert await documents.list("marathon.version") == ()


async def test_apps_are_filtered(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {**SLEEP, "labels": {"env": "test"}})
    await ask.deploy("POST", "/v2/apps", WEB)

    async def found(query: str) -> list[str]:
        return [app["id"] for app in (await ask.get(f"/v2/apps?{query}"))["apps"]]

    assert await found("") == ["/shop/web", "/sleep"]
    assert await found("cmd=SLEEP") == ["/sleep"]
    assert await found("id=hop") == ["/shop/web"]
    assert await found("label=env%3D%3Dtest") == ["/sleep"]
    assert await found("label=env!%3Dtest") == []
    assert (await ask.refusal("GET", "/v2/apps?label=%3D%3D"))[0] == 422


async def test_a_list_embeds_what_is_asked_for(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    [plain] = (await ask.get("/v2/apps"))["apps"]
    assert "tasks" not in plain
    assert (plain["tasksRunning"], plain["deployments"]) == (2, [])
    url = "/v2/apps?embed=apps.tasks&embed=app.taskStats&embed=apps.readiness&embed=nonsense"
    [full] = (await ask.get(url))["apps"]
    assert len(full["tasks"]) == 2
    assert full["readinessCheckResults"] == []
    assert full["tasksStats"]["totalSummary"]["stats"]["counts"]["running"] == 2
    inside = await ask.get("/v2/apps/shop/*")
    assert [app["id"] for app in inside["*"]] == ["/shop/web"]
    assert [app["id"] for app in (await ask.get("/v2/apps//*"))["*"]] == ["/shop/web"]
    assert await ask.refusal("GET", "/v2/apps/no/*") == (
        404,
        {"message": "Group '/no' does not exist"},
    )


async def test_service_ports_are_lowest_first_and_stay(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    await ask.deploy("POST", "/v2/apps", SLEEP)

    async def port_of(path: str) -> int:
        app = (await ask.get(f"/v2/apps/{path}"))["app"]
        if "portDefinitions" in app:
            return app["portDefinitions"][0]["port"]
        return app["container"]["portMappings"][0]["servicePort"]

    assert (await port_of("shop/web"), await port_of("sleep")) == (10000, 10001)
    await ask.deploy("PUT", "/v2/apps/shop/web", {"container": WEB["container"]})
    assert await port_of("shop/web") == 10000


async def test_two_apps_cannot_serve_the_same_port(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {**SLEEP, "ports": [10500]})
    status, told = await ask.refusal("POST", "/v2/apps", {**SLEEP, "id": "/b", "ports": [10500]})
    assert status == 409
    assert told["message"].startswith(
        "App '/b' wants the service port 10500, which App '/sleep' has already"
    )
    both = [{"id": "/c", "cmd": "x y", "ports": [1]}, {"id": "/d", "cmd": "x y", "ports": [1]}]
    assert (await ask.refusal("PUT", "/v2/apps", both))[0] == 409
    assert [app["id"] for app in (await ask.get("/v2/apps"))["apps"]] == ["/sleep"]


async def test_one_path_is_one_thing(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {**SLEEP, "id": "/a/b"})
    for path in ("/a", "/a/b/c"):
        status, told = await ask.refusal("POST", "/v2/apps", {**SLEEP, "id": path})
        assert status == 422
        assert told["details"][0]["errors"] == [
            "Groups and Applications may not have the same identifier."
        ]


async def test_apps_that_wait_for_each_other_are_refused(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {**SLEEP, "id": "/a"})
    await ask.deploy("POST", "/v2/apps", {**SLEEP, "id": "/b", "dependencies": ["/a"]})
    status, told = await ask.refusal("PUT", "/v2/apps/a", {"dependencies": ["/b"]})
    assert status == 422
    assert told["details"] == [
        {"path": "/", "errors": ["Dependency graph has cyclic dependencies."]}
    ]
