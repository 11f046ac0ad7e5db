"""Task definitions and services as files, deployed on the real controller: Apps like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from portway.controller.secret_files import SecretFiles
from portway.core.errors import ManifestError
from tests.controller.inprocess import Portway
from tests.controller.test_secrets import everything_shown

VIRTUAL_TIME = True

SECRET = "canary-5c20d3"
WEB: dict[str, Any] = {
    "name": "web",
    "image": "web",
    "memory": 64,
    "portMappings": [{"containerPort": 80, "hostPort": 8000}],
    "secrets": [{"name": "PASSWORD", "valueFrom": "/prod/db"}],
}
SIDE: dict[str, Any] = {"name": "side", "image": "side", "memory": 16, "essential": False}
SERVICE = {"serviceName": "front", "taskDefinition": "web", "desiredCount": 2}


def task(**changes: Any) -> str:
    return json.dumps({"family": "web", "containerDefinitions": [{**WEB, **changes}, SIDE]})


@pytest.fixture
def with_secret(portway: Portway, tmp_path: Path) -> Portway:
    (tmp_path / "secrets" / "prod").mkdir(parents=True)
    (tmp_path / "secrets" / "prod" / "db").write_text(f"{SECRET}\n")
    portway.operations._secret_files = SecretFiles(tmp_path)
    return portway


async def deploy(portway: Portway, text: str) -> Any:
    files = {"service.json": json.dumps(SERVICE)}
    return await portway.deploy("shop", text, manifest_name="taskdef.json", files=files)


async def test_two_files_are_one_app_whose_change_rolls(with_secret: Portway) -> None:
    portway = with_secret
    await deploy(portway, task())
    state = portway.world.apps["shop/front"]
    assert state.count == 2
    assert [container.name for container in state.target.app.containers] == ["side"]
    assert state.target.app.environment == {"PASSWORD": SECRET}
    again = await deploy(portway, task())
    assert again.unchanged == ("front",)
    again = await deploy(portway, task(command=["x"]))
    assert again.unchanged == ()


async def test_what_a_secret_holds_is_shown_nowhere(with_secret: Portway) -> None:
    await deploy(with_secret, task())
    assert SECRET not in await everything_shown(with_secret)


async def test_a_changed_secret_replaces_the_instances(
    with_secret: Portway, tmp_path: Path
) -> None:
    await deploy(with_secret, task())
    (tmp_path / "secrets" / "prod" / "db").write_text("another")
    assert (await deploy(with_secret, task())).unchanged == ()


async def test_a_secret_that_is_not_there_makes_no_release(portway: Portway) -> None:
    with pytest.raises(ManifestError, match=r"taskdef\.json:1:.*the secret PASSWORD has no value"):
        await deploy(portway, task())
    assert portway.world.stacks == {}
