"""What the Marathon face tells as it happens: deployments, tasks, health, definitions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.api.marathon.client import Client

WEB = {
    "id": "/web",
    "container": {
        "type": "DOCKER",
        "docker": {"image": "web"},
        "portMappings": [{"containerPort": 80, "hostPort": 0}],
    },
    "networks": [{"mode": "container/bridge"}],
    "healthChecks": [{"protocol": "HTTP", "portIndex": 0, "intervalSeconds": 5}],
}

BORN = ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"]

Heard = list[tuple[str, dict[str, Any]]]


@asynccontextmanager
async def hearing(ask: Client) -> AsyncIterator[Heard]:
    """What was told until the block is left."""
    heard: Heard = []
    with ask.marathon.happenings.listening() as listener:
        yield heard
        await ask.portway.idle(1)
        ask.marathon.happenings.send_away()
        heard += [(one.kind, dict(one.fields)) async for one in listener]


def of(heard: Heard, kind: str) -> list[dict[str, Any]]:
    return [fields for name, fields in heard if name == kind]


async def test_a_deployment_is_told_step_by_step(ask: Client) -> None:
    async with hearing(ask) as heard:
        made = await ask.deploy("POST", "/v2/apps", WEB)
    kinds = [kind for kind, _ in heard if kind.startswith("deployment")]
    step = ["deployment_info", "deployment_step_success"]
    assert kinds == [*step, *step, "deployment_success"]
    first, plan = of(heard, "deployment_info")[0], of(heard, "deployment_success")[0]["plan"]
    assert first["currentStep"] == {"actions": [{"action": "StartApplication", "app": "/web"}]}
    assert set(plan) == {"id", "steps", "version", "original", "target"}
    assert (plan["original"]["apps"], plan["target"]["id"]) == ([], "/")
    assert [app["id"] for app in plan["target"]["apps"]] == ["/web"]
    assert plan["id"] == made.headers["marathon-deployment-id"]
    [group] = of(heard, "group_change_success")
    assert group == {"groupId": "/", "version": plan["version"]}


async def test_who_sent_a_definition_is_told_with_it(ask: Client) -> None:
    async with hearing(ask) as heard:
        await ask.deploy("POST", "/v2/apps", WEB)
        await ask.deploy("PUT", "/v2/apps/web", {"instances": 2})
    first, second = of(heard, "api_post_event")
    assert (first["clientIp"], first["uri"]) == ("127.0.0.1", "/v2/apps")
    assert first["appDefinition"]["id"] == "/web"
    assert (second["uri"], second["appDefinition"]["instances"]) == ("/v2/apps/web", 2)


async def test_the_life_of_a_task_is_told(ask: Client) -> None:
    async with hearing(ask) as heard:
        await ask.deploy("POST", "/v2/apps", WEB)
        [task] = (await ask.get("/v2/apps/web/tasks"))["tasks"]
        await ask.deploy("DELETE", "/v2/apps/web")
    states = [e["taskStatus"] for e in of(heard, "status_update_event")]
    assert states == [*BORN, "TASK_KILLING", "TASK_KILLED"]
    staging, starting, running = of(heard, "status_update_event")[:3]
    assert staging.keys() == starting.keys() == running.keys()
    assert (running["taskId"], running["appId"], running["host"]) == (
        task["id"],
        "/web",
        task["host"],
    )
    assert (running["ports"], running["version"]) == (task["ports"], task["version"])
    conditions = [e["condition"] for e in of(heard, "instance_changed_event")]
    assert conditions == ["Staging", "Starting", "Running", "Killing", "Killed"]
    assert of(heard, "app_terminated_event") == [{"appId": "/web"}]


async def test_health_is_told_when_it_changes(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    [task] = (await ask.get("/v2/apps/web/tasks"))["tasks"]
    [sick] = ask.portway.live("marathon/web")
    async with hearing(ask) as heard:
        ask.portway.engine.set_health(sick, passed=False, detail="HTTP 500 from /")
        await ask.portway.until(lambda: sick not in ask.portway.live("marathon/web"))
    name = task["healthCheckResults"][0]["instanceId"]
    assert of(heard, "health_status_changed_event")[0] == {
        "appId": "/web",
        "instanceId": name,
        "version": task["version"],
        "alive": False,
    }
    assert of(heard, "instance_health_changed_event")[0]["healthy"] is False
    [killed] = of(heard, "unhealthy_instance_kill_event")
    assert (killed["taskId"], killed["instanceId"]) == (task["id"], name)
    assert killed["reason"]


async def test_every_failed_check_is_told_before_the_verdict_it_leads_to(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    [task] = (await ask.get("/v2/apps/web/tasks"))["tasks"]
    [sick] = ask.portway.live("marathon/web")
    async with hearing(ask) as heard:
        ask.portway.engine.set_health(sick, passed=False, detail="HTTP 500 from /")
        await ask.portway.until(lambda: sick not in ask.portway.live("marathon/web"))
    kinds = [kind for kind, _ in heard]
    failed = of(heard, "failed_health_check_event")
    name = task["healthCheckResults"][0]["instanceId"]
    assert {(f["appId"], f["taskId"]) for f in failed} == {("/web", name)}
    assert failed[0]["healthCheck"]["protocol"] == "HTTP"
    told = kinds[: kinds.index("health_status_changed_event")]
    assert told.count("failed_health_check_event") == len(failed) > 1


async def test_a_check_that_fails_while_its_task_starts_is_not_told(ask: Client) -> None:
    docker = {"type": "DOCKER", "docker": {"image": "never-healthy"}}
    async with hearing(ask) as heard:
        await ask("POST", "/v2/apps", {**WEB, "container": {**WEB["container"], **docker}})
        await ask.portway.idle(60)
    assert "TASK_RUNNING" in [e["taskStatus"] for e in of(heard, "status_update_event")]
    assert not of(heard, "failed_health_check_event"), "its grace period is 300 seconds"


async def test_nobody_is_told_healthy_before_it_is_told_to_run(ask: Client) -> None:
    async with hearing(ask) as heard:
        await ask.deploy("POST", "/v2/apps", WEB)
    kinds = [f.get("taskStatus", name) for name, f in heard if name.startswith(("st", "health"))]
    assert kinds == [*BORN, "health_status_changed_event"]


async def test_health_checks_are_told_as_they_come_and_go(ask: Client) -> None:
    async with hearing(ask) as heard:
        await ask.deploy("POST", "/v2/apps", WEB)
        await ask.deploy("PUT", "/v2/apps/web", {"healthChecks": []})
    [added] = of(heard, "add_health_check_event")
    assert (added["appId"], added["healthCheck"]["protocol"]) == ("/web", "HTTP")
    assert of(heard, "remove_health_check_event") == [{"appId": "/web"}]


async def test_a_server_that_begins_tells_nothing_old(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", WEB)
    await ask.marathon.abdicate()
    async with hearing(ask) as heard:
        ask.portway.controller.touch_all()
    assert heard == []
