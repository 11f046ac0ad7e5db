"""Tasks over the Marathon API: listed with their ports and health, killed, scaled down."""

from __future__ import annotations

from typing import Any

from tests.api.marathon.client import Client

CHECK = {"protocol": "HTTP", "portIndex": 0, "path": "/", "intervalSeconds": 5}
WEB = {
    "id": "/shop/web",
    "instances": 2,
    "container": {
        "type": "DOCKER",
        "docker": {"image": "web:1"},
        "portMappings": [
            {"containerPort": 80, "hostPort": 0},
            {"containerPort": 81, "hostPort": 0},
        ],
    },
    "networks": [{"mode": "container/bridge"}],
    "healthChecks": [CHECK],
}


async def tasks_of(ask: Client, path: str = "/shop/web") -> list[dict[str, Any]]:
    return (await ask.get(f"/v2/apps{path}/tasks"))["tasks"]


async def test_a_task_says_where_it_answers_and_how_it_is(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    version = (await ask.get("/v2/apps/shop/web"))["app"]["version"]
    first, second = await tasks_of(ask)
    assert first["id"].startswith("shop_web.instance-")
    assert first["id"].endswith("._app.1")
    assert first["id"] != second["id"]
    assert (first["appId"], first["state"], first["version"]) == (
        "/shop/web",
        "TASK_RUNNING",
        version,
    )
    held = {
        lease.host_port for r in ask.portway.app("shop/web").live for lease in r.identity.leases
    }
    assert {*first["ports"], *second["ports"]} == held
    assert len(first["ports"]) == 2
    assert first["servicePorts"] == []
    [health] = first["healthCheckResults"]
    assert health["alive"] is True
    assert first["id"].startswith(health["instanceId"])
    assert first["startedAt"] >= first["stagedAt"]
    app = (await ask.get("/v2/apps/shop/web"))["app"]
    assert (app["tasksHealthy"], app["tasksUnhealthy"]) == (2, 0)


async def test_ids_of_tasks_outlive_the_server(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    names = [task["id"] for task in await tasks_of(ask)]
    await ask.marathon.abdicate()
    assert [task["id"] for task in await tasks_of(ask)] == names


async def test_all_tasks_come_with_service_ports(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    found = (await ask.get("/v2/tasks"))["tasks"]
    assert [task["servicePorts"] for task in found] == [[10000, 10001]] * 2
    assert len((await ask.get("/v2/tasks?status=running"))["tasks"]) == 2
    assert (await ask.get("/v2/tasks?status[]=staging"))["tasks"] == []


async def test_tasks_as_text_are_a_line_a_service_port(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    await ask.deploy("POST", "/v2/apps", {"id": "/job", "cmd": "sleep 1", "ports": []})
    reply = await ask("GET", "/v2/tasks", accept="text/plain")
    ports = [task["ports"] for task in await tasks_of(ask)]
    host = (await tasks_of(ask))[0]["host"]

    def line(nth: int) -> str:
        where = sorted(f"{host}:{numbers[nth]}" for numbers in ports)
        return f"shop_web\t{10000 + nth}\t" + "".join(f"{one}\t" for one in where)

    assert reply.body.decode().split("\n") == [f"job\t \t{host}\t", line(0), line(1), ""]
    assert reply.headers["content-type"].startswith("text/plain")


async def test_a_killed_task_is_replaced(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    first, second = await tasks_of(ask)
    killed = await ask("DELETE", f"/v2/apps/shop/web/tasks/{first['id']}")
    assert killed.json["task"]["id"] == first["id"]
    await ask.portway.settled()
    names = [task["id"] for task in await tasks_of(ask)]
    assert len(names) == 2
    assert first["id"] not in names
    assert second["id"] in names
    assert await ask.refusal("DELETE", f"/v2/apps/shop/web/tasks/{first['id']}") == (
        404,
        {"message": f"Task '{first['id']}' does not exist"},
    )


async def test_tasks_are_killed_by_host(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    nobody = await ask("DELETE", "/v2/apps/shop/web/tasks?host=elsewhere")
    assert nobody.json == {"tasks": []}
    every = await ask("DELETE", "/v2/apps/shop/web/tasks?host=*")
    assert len(every.json["tasks"]) == 2
    await ask.portway.settled()
    assert len(await tasks_of(ask)) == 2


async def test_killing_with_scale_asks_for_fewer_and_takes_that_one(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    first, second = await tasks_of(ask)
    reply = await ask.deploy("DELETE", f"/v2/apps/shop/web/tasks/{first['id']}?scale=true")
    assert set(reply.json) == {"version", "deploymentId"}
    assert [task["id"] for task in await tasks_of(ask)] == [second["id"]]
    assert (await ask.get("/v2/apps/shop/web"))["app"]["instances"] == 1


async def test_scale_and_wipe_exclude_each_other(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    told = (400, {"message": "You cannot use scale and wipe at the same time."})
    query = "scale=true&wipe=true"
    assert await ask.refusal("DELETE", f"/v2/apps/shop/web/tasks?{query}") == told
    assert await ask.refusal("POST", f"/v2/tasks/delete?{query}", {"ids": []}) == told


async def test_tasks_of_several_apps_are_killed_by_id(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    await ask.deploy("POST", "/v2/apps", {"id": "/job", "cmd": "sleep 1"})
    [job] = await tasks_of(ask, "/job")
    web = (await tasks_of(ask))[0]
    nobody = "no.instance-00000000-0000-0000-0000-000000000000._app.1"
    ids = [job["id"], web["id"], nobody]
    reply = await ask("POST", "/v2/tasks/delete", {"ids": ids})
    assert [task["id"] for task in reply.json["tasks"]] == ids[:2]
    status, told = await ask.refusal("POST", "/v2/tasks/delete", {"ids": ["x"]})
    assert status == 400
    assert told["message"].startswith("Invalid task id 'x'. [")
    assert (await ask.refusal("POST", "/v2/tasks/delete", {"ids": "x"}))[0] == 422
    await ask.portway.settled()


async def test_tasks_of_a_group(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    assert len((await ask.get("/v2/apps/shop/*/tasks"))["tasks"]) == 2
    killed = await ask("DELETE", "/v2/apps/shop/*/tasks")
    assert len(killed.json["tasks"]) == 2


async def test_a_sick_task_is_replaced_and_remembered(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {**WEB, "instances": 1})
    [sick] = ask.portway.live("shop/web")
    [task] = await tasks_of(ask)
    ask.portway.engine.set_health(sick, passed=False, detail="HTTP 500 from /")
    await ask.portway.until(lambda: sick not in ask.portway.live("shop/web"))
    await ask.portway.idle(5)
    failure = (await ask.get("/v2/apps/shop/web"))["app"]["lastTaskFailure"]
    assert (failure["state"], failure["taskId"]) == ("TASK_KILLED", task["id"])
    assert failure["message"].startswith("Task was killed since health check failed. Reason: ")
    assert (await ask.get("/v2/apps/shop/web"))["app"]["tasksHealthy"] == 1


async def test_a_task_that_ends_by_itself_is_the_last_failure(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {**WEB, "instances": 1})
    [one] = ask.portway.live("shop/web")
    [task] = await tasks_of(ask)
    ask.portway.engine.kill(one, exit_code=3)
    await ask.portway.until(lambda: one not in ask.portway.live("shop/web"))
    await ask.portway.idle(5)
    app = (await ask.get("/v2/apps/shop/web"))["app"]
    failure = app["lastTaskFailure"]
    assert (failure["state"], failure["taskId"]) == ("TASK_FAILED", task["id"])
    assert failure["version"] == app["version"]
    [listed] = (await ask.get("/v2/apps?embed=apps.lastTaskFailure"))["apps"]
    assert listed["lastTaskFailure"] == failure


async def test_no_task_has_the_id_of_one_before_it(ask: Client) -> None:
    seen: set[str] = set()
    for _ in range(2):
        await ask.deploy("POST", "/v2/apps", WEB)
        names = {task["id"] for task in await tasks_of(ask)}
        assert not names & seen
        seen |= names
        await ask.deploy("DELETE", "/v2/apps/shop/web")
