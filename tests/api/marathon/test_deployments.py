"""Deployments over the Marathon API: locks, force, cancelling, and what survives a server's end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.core.errors import StoreError
from portway.engines.memory import Fault
from tests.api.marathon.client import Client
from tests.api.marathon.conftest import marathon, serving

APP = {"id": "/a", "cmd": "sleep 1", "instances": 1}
LOCKED = (
    "App is locked by one or more deployments. Override with the option '?force=true'. "
    "View details at '/v2/deployments/<DEPLOYMENT_ID>'."
)


async def test_a_running_deployment_is_shown(ask: Client) -> None:
    name = (await ask("POST", "/v2/apps", APP)).json["deployments"][0]["id"]
    [shown] = await ask.get("/v2/deployments")
    version = shown.pop("version")
    assert version == (await ask.get("/v2/apps/a"))["app"]["version"]
    assert shown == {
        "id": name,
        "affectedApps": ["/a"],
        "affectedPods": [],
        "steps": [
            {"actions": [{"action": "StartApplication", "app": "/a"}]},
            {"actions": [{"action": "ScaleApplication", "app": "/a"}]},
        ],
        "currentActions": [
            {"action": "StartApplication", "app": "/a", "readinessCheckResults": []}
        ],
        "currentStep": 1,
        "totalSteps": 2,
    }
    await ask.rested()
    assert await ask.get("/v2/deployments") == []


async def test_what_is_being_deployed_is_locked(ask: Client) -> None:
    name = (await ask("POST", "/v2/apps", APP)).json["deployments"][0]["id"]
    told = {"message": LOCKED, "deployments": [{"id": name}]}
    assert await ask.refusal("PUT", "/v2/apps/a", {"instances": 2}) == (409, told)
    assert (await ask.get("/v2/apps/a"))["app"]["instances"] == 1
    other = await ask("POST", "/v2/apps", {**APP, "id": "/b"})
    assert other.status == 201


async def test_force_takes_the_place_of_what_runs(ask: Client) -> None:
    name = (await ask("POST", "/v2/apps", APP)).json["deployments"][0]["id"]
    heard: list[Any] = []
    with ask.marathon.happenings.listening() as listener:
        reply = await ask("PUT", "/v2/apps/a?force=true", {"instances": 2})
        await ask.rested()
        ask.marathon.happenings.send_away()
        heard = [one async for one in listener]
    [failed] = [one for one in heard if one.kind == "deployment_failed"]
    assert failed.fields["id"] == name
    assert failed.fields["reason"] == "The upgrade has been cancelled"
    done = [one.fields["id"] for one in heard if one.kind == "deployment_success"]
    assert done == [reply.json["deploymentId"]]
    assert (await ask.get("/v2/apps/a"))["app"]["tasksRunning"] == 2


async def test_a_cancelled_deployment_puts_back_what_it_changed(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", APP)
    before = ask.portway.live("marathon/a")
    name = (await ask("PUT", "/v2/apps/a", {"cmd": "sleep 2"})).json["deploymentId"]
    reply = await ask.deploy("DELETE", f"/v2/deployments/{name}")
    assert reply.status == 200
    assert set(reply.json) == {"version", "deploymentId"}
    app = (await ask.get("/v2/apps/a"))["app"]
    assert (app["cmd"], app["tasksRunning"]) == ("sleep 1", 1)
    assert before


async def test_a_cancelled_first_deployment_leaves_nothing(ask: Client) -> None:
    name = (await ask("POST", "/v2/apps", APP)).json["deployments"][0]["id"]
    await ask.deploy("DELETE", f"/v2/deployments/{name}")
    assert await ask.get("/v2/apps") == {"apps": []}
    await ask.portway.until(lambda: not ask.portway.world.apps)


async def test_by_force_a_deployment_only_ends(ask: Client) -> None:
    name = (await ask("POST", "/v2/apps", APP)).json["deployments"][0]["id"]
    reply = await ask("DELETE", f"/v2/deployments/{name}?force=true")
    assert (reply.status, reply.body) == (202, b"")
    assert await ask.get("/v2/deployments") == []
    assert (await ask.get("/v2/apps/a"))["app"]["id"] == "/a"
    assert await ask.refusal("DELETE", f"/v2/deployments/{name}") == (
        404,
        {"message": f"DeploymentPlan {name} does not exist"},
    )


async def test_only_so_many_run_at_once(ask: Client) -> None:
    ask.marathon.settings = replace(ask.marathon.settings, max_running_deployments=1)
    await ask("POST", "/v2/apps", APP)
    status, told = await ask.refusal("POST", "/v2/apps", {**APP, "id": "/b"})
    assert status == 403
    assert told["message"].startswith("Max number (1) of running deployments is achieved.")


async def test_a_server_that_ends_goes_on_where_it_was() -> None:
    async with marathon() as ask:
        await ask.deploy("POST", "/v2/apps", APP)
        both = [{"id": "/a", "instances": 3}, {"id": "/b", "cmd": "sleep 1"}]
        name = (await ask("PUT", "/v2/apps", both)).json["deploymentId"]
        after = await ask.portway.successor()
        try:
            async with serving(after) as later:
                assert [d["id"] for d in await later.get("/v2/deployments")] == [name]
                await later.rested()
                counts = [app["tasksRunning"] for app in (await later.get("/v2/apps"))["apps"]]
                assert counts == [3, 1]
                versions = (await later.get("/v2/apps/a/versions"))["versions"]
                assert len(versions) == 2
        finally:
            await after.crash()


async def test_what_was_not_yet_written_down_is_taken_from_the_deployment() -> None:
    async with marathon() as ask:
        await ask("POST", "/v2/apps", APP)
        await ask.portway.store.documents.delete("marathon.app", "/a")
        after = await ask.portway.successor()
        try:
            async with serving(after) as later:
                await later.rested()
                assert (await later.get("/v2/apps/a"))["app"]["tasksRunning"] == 1
        finally:
            await after.crash()


def ill(path: str) -> dict[str, Any]:
    """An app that runs and never becomes healthy."""
    return {
        "id": path,
        "container": {"type": "DOCKER", "docker": {"image": "never-healthy"}},
        "healthChecks": [{"protocol": "HTTP", "portIndex": 0, "intervalSeconds": 5}],
    }


async def test_a_step_waits_for_the_one_before(ask: Client) -> None:
    second = {**APP, "id": "/s/web", "dependencies": ["/s/db"]}
    reply = await ask("PUT", "/v2/apps", [ill("/s/db"), second])
    assert reply.status == 200, reply.body
    [shown] = await ask.get("/v2/deployments")
    steps = [[a["app"] for a in step["actions"]] for step in shown["steps"]]
    assert steps == [["/s/db", "/s/web"], ["/s/db"], ["/s/web"]]
    await ask.portway.until(lambda: "s/db" in ask.portway.world.apps)
    await ask.portway.idle(60)
    assert "s/web" not in ask.portway.world.apps
    [shown] = await ask.get("/v2/deployments")
    assert (shown["currentStep"], shown["currentActions"][0]["app"]) == (2, "/s/db")
    [db] = ask.portway.live("s/db")
    ask.portway.engine.set_health(db, passed=True)
    await ask.rested()
    assert len(ask.portway.running()) == 2


async def test_a_deployment_that_fails_is_tried_for_ever(ask: Client) -> None:
    await ask("POST", "/v2/apps", ill("/a"))
    await ask.portway.idle(900)
    assert len(await ask.get("/v2/deployments")) == 1


async def test_a_deployment_called_off_elsewhere_fails(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", APP)
    with ask.marathon.happenings.listening() as listener:
        reply = await ask("PUT", "/v2/apps/a?partialUpdate=false", ill("/a"))
        assert reply.status == 200, reply.body
        await ask.portway.until(lambda: len(ask.portway.live("marathon/a")) > 1)
        await ask.portway.operations.cancel("marathon")
        await ask.rested()
        ask.marathon.happenings.send_away()
        heard = [one async for one in listener]
    [failed] = [one for one in heard if one.kind == "deployment_failed"]
    assert failed.fields["reason"]


async def test_what_the_engine_cannot_do_yet_is_tried_again(ask: Client) -> None:
    ask.portway.engine.inject(Fault(operation="start", times=3))
    await ask.deploy("POST", "/v2/apps", APP)
    assert (await ask.get("/v2/apps/a"))["app"]["tasksRunning"] == 1


async def test_a_store_that_fails_for_a_while_stops_nothing(ask: Client) -> None:
    await ask("POST", "/v2/apps", APP)
    documents, put = ask.marathon.documents, ask.marathon.documents.put_deployment
    failing = [StoreError("the disk is full")] * 2

    async def sometimes(deployment: Any) -> None:
        if failing:
            raise failing.pop()
        await put(deployment)

    documents.put_deployment = sometimes
    await ask.rested()
    assert failing == []
    failing.append(StoreError("the disk is full"))
    status, told = await ask.refusal("PUT", "/v2/apps/a", {"instances": 2})
    assert (status, told) == (503, {"message": "the disk is full."})
    assert (await ask.get("/v2/apps/a"))["app"]["instances"] == 1
