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
