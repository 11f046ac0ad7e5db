"""Apps as a compose file: what is not told as lost comes back as it was."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from portway.core.app import App, NetworkMode, PortSpec
from portway.manifests.compose import parse_compose
from portway.manifests.compose_write import write_compose
from portway.manifests.ecs import parse_ecs
from portway.manifests.losses import comparable
from tests.manifests.test_ecs_write import WHOLE, apps_of


def task(**changes: object) -> tuple[App, ...]:
    container = {
        "name": "web",
        "image": "x",
        "memory": 64,
        "portMappings": [{"containerPort": 80, "hostPort": 8000}],
        **changes,
    }
    value = {"family": "web", "containerDefinitions": [container]}
    return parse_ecs({"t.json": json.dumps(value)}, stack="shop").apps


def test_a_compose_file_comes_back_whole() -> None:
    apps = apps_of(WHOLE)
    written = write_compose(apps, directory="/p")
    assert [str(loss) for loss in written.losses] == []
    (app,) = parse_compose(written.text, stack="shop", directory="/p").apps
    assert comparable(app) == comparable(apps[0])


def test_a_plain_task_definition_is_a_service() -> None:
    written = write_compose(task(environment=[{"name": "A", "value": "$B"}]))
    assert written.losses == ()
    assert "8000:80" in written.text
    assert "A: $$B" in written.text
    assert "memory: 64m" in written.text


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        (
            {"portMappings": [{"containerPort": 80, "hostPort": 0}]},
            ["ports[0].address", "ports[0].ephemeral"],
        ),
        ({"startTimeout": 5}, ["container_start_timeout_s"]),
    ],
)
def test_what_compose_cannot_say_is_named(changes: dict[str, object], paths: list[str]) -> None:
    found = write_compose(task(**changes)).losses
    assert [loss.path for loss in found] == paths
    assert all("compose" in loss.message for loss in found)


def test_no_apps_are_a_loss_and_no_crash() -> None:
    assert write_compose(()).losses


def test_what_has_the_ports_of_its_node_is_a_service_with_listeners_and_all_that_is_lost_is_told():
    spec = PortSpec(name="http", container_port=0, service_ports=(8000,))
    other = PortSpec(name="8081", container_port=0)
    [made] = task()
    app = replace(made, ports=(spec, other), network_mode=NetworkMode.HOST)
    written = write_compose([app])
    assert "network_mode" not in written.text
    assert "target: 8000" in written.text
    assert "0.0.0.0::8081" in written.text
    told = {loss.path: loss.message for loss in written.losses}
    assert "share the network of their stack" in told["network_mode"]
    assert "$PORT" in told["ports[0].container_port"]
