"""Pods over the Marathon API."""

from __future__ import annotations

from tests.api.marathon.client import Client

POD = {
    "id": "/pair",
    "networks": [{"mode": "container/bridge"}],
    "containers": [
        {
            "name": "web",
            "image": {"kind": "DOCKER", "id": "web:1"},
            "resources": {"cpus": 0.1, "mem": 32},
            "endpoints": [{"name": "http", "containerPort": 80, "hostPort": 0}],
            "healthCheck": {"http": {"endpoint": "http", "path": "/"}},
        },
        {
            "name": "side",
            "image": {"kind": "DOCKER", "id": "side:1"},
            "resources": {"cpus": 0.1, "mem": 32},
        },
    ],
}


async def test_a_pod_is_made_read_back_and_runs(ask: Client) -> None:
    made = await ask("POST", "/v2/pods", POD)
    assert made.status == 201, made.body
    assert made.headers["location"] == "/pair"
    assert made.headers["marathon-deployment-id"]
    await ask.rested()
    assert (await ask.get("/v2/pods/pair")) == made.json
    assert [pod["id"] for pod in await ask.get("/v2/pods")] == ["/pair"]
    assert (await ask("HEAD", "/v2/pods")).status == 200
    assert len(ask.portway.live("marathon/pair")) == 1
    assert await ask.get("/v2/apps") == {"apps": []}


async def test_how_a_pod_stands(ask: Client) -> None:
    await ask.deploy("POST", "/v2/pods", POD)
    status = await ask.get("/v2/pods/pair::status")
    assert (status["id"], status["status"], status["spec"]["id"]) == ("/pair", "STABLE", "/pair")
    [instance] = status["instances"]
    assert instance["id"].startswith("pair.instance-")
    assert instance["status"] == "STABLE"
    assert instance["resources"]["cpus"] == 0.3, "with the executor's, and no dust of floats"
    version = status["spec"]["version"]
    assert instance["specReference"] == f"/v2/pods/pair::versions/{version}"
    web, side = instance["containers"]
    [record] = ask.portway.app("marathon/pair").live
    [lease] = record.identity.leases
    assert web["endpoints"] == [
        {"name": "http", "allocatedHostPort": lease.host_port, "healthy": True}
    ]
    assert web["containerId"] == f"{instance['id']}.web.1"
    assert web["conditions"][0]["value"] == "true"
    assert side["conditions"] == []
    assert await ask.get("/v2/pods::status")


async def test_a_sick_pod_is_degraded(ask: Client) -> None:
    await ask.deploy("POST", "/v2/pods", POD)
    [sick] = ask.portway.live("marathon/pair")
    ask.portway.engine.set_health(sick, passed=False, detail="HTTP 500")
    await ask.portway.until(
        lambda: ask.marathon.sight.counts(ask.marathon.find("/pair"))["tasksUnhealthy"]
    )
    status = await ask.get("/v2/pods/pair::status")
    assert status["status"] == "DEGRADED"
    await ask.portway.until(lambda: sick not in ask.portway.live("marathon/pair"))
    status = await ask.get("/v2/pods/pair::status")
    assert status["terminationHistory"]


async def test_a_pod_changes_and_goes_by_version(ask: Client) -> None:
    await ask.deploy("POST", "/v2/pods", POD)
    first = (await ask.get("/v2/pods/pair"))["version"]
    changed = {**POD, "scaling": {"kind": "fixed", "instances": 2}}
    reply = await ask.deploy("PUT", "/v2/pods/pair", changed)
    assert (reply.status, reply.json["scaling"]["instances"]) == (200, 2)
    assert len(ask.portway.live("marathon/pair")) == 2
    versions = await ask.get("/v2/pods/pair::versions")
    assert versions == [reply.json["version"], first]
    old = await ask.get(f"/v2/pods/pair::versions/{first}")
    assert old["scaling"]["instances"] == 1
    assert await ask.refusal("PUT", "/v2/pods/pair", {**POD, "id": "/b"}) == (
        400,
        {"message": "'/pair' does not match definition's id ('/b')"},
    )


async def test_instances_of_a_pod_are_killed_and_replaced(ask: Client) -> None:
    await ask.deploy("POST", "/v2/pods", POD)
    [one] = (await ask.get("/v2/pods/pair::status"))["instances"]
    killed = await ask("DELETE", f"/v2/pods/pair::instances/{one['id']}")
    assert killed.json["id"] == one["id"]
    await ask.portway.settled()
    [next_one] = (await ask.get("/v2/pods/pair::status"))["instances"]
    assert next_one["id"] != one["id"]
    several = await ask("DELETE", "/v2/pods/pair::instances", [next_one["id"], "nobody"])
    assert [each["id"] for each in several.json] == [next_one["id"]]


async def test_a_removed_pod_is_gone(ask: Client) -> None:
    await ask.deploy("POST", "/v2/pods", POD)
    reply = await ask.deploy("DELETE", "/v2/pods/pair")
    assert (reply.status, reply.body) == (202, b"")
    assert reply.headers["location"]
    assert await ask.refusal("GET", "/v2/pods/pair") == (
        404,
        {"message": "Pod '/pair' does not exist", "details": []},
    )
    assert ask.portway.world.apps == {}


async def test_deployments_of_pods_say_so(ask: Client) -> None:
    await ask("POST", "/v2/pods", POD)
    [shown] = await ask.get("/v2/deployments")
    assert shown["affectedPods"] == ["/pair"]
    assert shown["steps"][0]["actions"] == [{"action": "StartPod", "pod": "/pair"}]
