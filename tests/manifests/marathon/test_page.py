"""The configurations of Marathon's page about ports, each as the App that it means."""

from __future__ import annotations

from typing import Any

import pytest

from portway.core.app import Exposure, NetworkMode
from portway.manifests.marathon.accept import accept_app
from portway.manifests.marathon.apps import to_app
from portway.manifests.marathon.settings import Settings

DOCKER = {"image": "my-image:1.0"}
ANY = [(0, None, ())] * 3
NUMBERS = [(80, None, (2000,)), (443, None, (2001,)), (4000, None, (3000,))]
MAPPINGS = [{"containerPort": c, "hostPort": 0, "servicePort": s[0]} for c, _, s in NUMBERS]


def docker(network: str, **fields: Any) -> dict[str, Any]:
    return {"container": {"type": "DOCKER", "docker": {**DOCKER, "network": network, **fields}}}


@pytest.mark.parametrize(
    ("fields", "mode", "ports"),
    [
        (docker("HOST"), NetworkMode.HOST, ANY[:1]),
        ({"ports": [0, 0, 0]}, NetworkMode.HOST, ANY),
        ({"portDefinitions": [{"port": 0}, {"port": 0}, {"port": 0}]}, NetworkMode.HOST, ANY),
        ({"ports": [2001, 3000]}, NetworkMode.HOST, [(0, None, (2001,)), (0, None, (3000,))]),
        ({"ports": [2001], "requirePorts": True}, NetworkMode.HOST, [(0, 2001, (2001,))]),
        (docker("BRIDGE"), NetworkMode.BRIDGE, ANY[:1]),
        (docker("BRIDGE", portMappings=[{"containerPort": 0, "hostPort": 0}] * 3), NetworkMode.BRIDGE, ANY),
        (docker("BRIDGE", portMappings=MAPPINGS), NetworkMode.BRIDGE, NUMBERS),
        ({**docker("USER"), "ipAddress": {"networkName": "someUserNetwork"}}, NetworkMode.OWN, ANY[:1]),
    ],
)  # fmt: skip
def test_what_the_page_shows_is_what_the_app_has(
    fields: dict[str, Any], mode: NetworkMode, ports: list[Any]
) -> None:
    command = {} if "container" in fields else {"cmd": "./my-app --http-port=$PORT0"}
    app = to_app(accept_app({"id": "/acme", **command, **fields}, Settings()))
    assert app.network_mode is mode
    assert [
        (spec.container_port, spec.host_port, spec.service_ports) for spec in app.ports
    ] == ports
    on_node = {spec.exposure for spec in app.ports if spec.host_port}
    assert on_node <= {Exposure.HOST}
