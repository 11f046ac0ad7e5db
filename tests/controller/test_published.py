"""Ports without a listener of their own, on the map."""

from __future__ import annotations

import pytest

from portway.core.app import App, Exposure, NetworkMode, PortSpec
from tests.controller.inprocess import Portway


@pytest.mark.parametrize(
    ("mode", "leased", "exposure", "note"),
    [
        (
            NetworkMode.OWN,
            False,
            "own",
            "its tasks answer at addresses of their own, not balanced",
        ),
        (NetworkMode.HOST, True, "host", "it listens on the machine itself, not balanced"),
        (NetworkMode.BRIDGE, True, "host", "this port is published by the engine, not balanced"),
    ],
)
async def test_the_map_says_where_an_app_without_a_listener_answers(
    portway: Portway, mode: NetworkMode, leased: bool, exposure: str, note: str
) -> None:
    spec = PortSpec(name="80", container_port=80, exposure=Exposure.HOST, leased=leased)
    app = App(id="shop/web", image="web", ports=(spec,), network_mode=mode)
    await portway.operations.put_app("shop", app, count=1)
    await portway.settled()
    (route,) = await portway.operations.map("shop")
    assert (route.exposure, route.note) == (exposure, note)
    (endpoint,) = route.endpoints
    assert (endpoint.slot_name, endpoint.container_port) == ("web.1", 80)
    assert (endpoint.host_port == 0, bool(endpoint.target_address)) == (not leased, not leased)
