"""Each thing that would drop requests has its sentence, and the sentence its fix."""

from __future__ import annotations

from typing import Any

import pytest

from portway.core.app import (
    App,
    CheckKind,
    Exposure,
    HealthCheck,
    ListenerProtocol,
    ListenerSpec,
    PortSpec,
    Rollout,
    Volume,
    VolumeKind,
)
from portway.core.drops import drop_warnings


def port(service_port: int = 80, **fields: Any) -> PortSpec:
    base: dict[str, Any] = {"name": "web", "container_port": 8080, "service_ports": (service_port,)}
    return PortSpec(**{**base, **fields})


def app(**fields: Any) -> App:
    return App(**{"id": "shop/web", "ports": (port(),), **fields})


def warnings(one: App, *, count: int = 1, nodes: int = 1, before: App | None = None) -> list[str]:
    return list(drop_warnings(one, count=count, nodes=nodes, before=before))


def test_an_ordinary_app_drops_nothing() -> None:
    assert warnings(app()) == []
    assert warnings(app(), count=3, before=app()) == []


FIXED = port(host_port=8080, exposure=Exposure.HOST)
STREAM = port(listener=ListenerSpec(protocol=ListenerProtocol.TCP))
DATA = Volume(kind=VolumeKind.NAMED, source="data", target="/data")


@pytest.mark.parametrize(
    ("fields", "count", "says", "fix"),
    [
        ({"ports": (FIXED,)}, 1, "host port 8080 is fixed", "through the balancer"),
        (
            {"rollout": Rollout(minimum_percent=0, maximum_percent=100)},
            2,
            "expect a gap",
            "portway.deployment.minimum=100",
        ),
        (
            {"volumes": (DATA,), "rollout": Rollout(minimum_percent=0, maximum_percent=100)},
            1,
            "two versions must not write data at once",
            "portway.deployment.minimum=100",
        ),
        (
            {"rollout": Rollout(minimum_percent=50, maximum_percent=100)},
            4,
            "only 2 of 4 are sure to serve",
            "portway.deployment.maximum=200",
        ),
        ({"health": HealthCheck(kind=CheckKind.NONE)}, 1, "without a health check", "healthcheck"),
        (
            {"rollout": Rollout(drain_timeout_s=0)},
            1,
            "requests under way are cut",
            "portway.draining.timeout",
        ),
        (
            {"rollout": Rollout(drain_timeout_s=0), "ports": (STREAM,)},
            1,
            "connections of plain TCP, which last, are cut",
            "portway.draining.timeout",
        ),
        ({"stop_grace_s": 0.0}, 1, "its stop grace is 0", "stop_grace_period"),
        ({"stop_signal": "SIGKILL"}, 1, "its stop signal is SIGKILL", "stop_signal: SIGTERM"),
        ({}, 0, "it has no instance", "portway scale"),
    ],
)
def test_what_would_drop_requests_says_why_and_what_to_do(
    fields: dict[str, Any], count: int, says: str, fix: str
) -> None:
    (sentence,) = warnings(app(**fields), count=count)
    assert says in sentence
    assert fix in sentence


def test_a_fixed_host_port_on_enough_machines_is_no_gap() -> None:
    assert warnings(app(ports=(FIXED,)), count=1, nodes=2) == []


def test_more_instances_than_fixed_ports_cannot_be() -> None:
    assert any("cannot all have" in s for s in warnings(app(ports=(FIXED,)), count=2))


def test_a_listener_that_goes_is_named() -> None:
    (sentence,) = warnings(app(ports=(port(81),)), before=app())
    assert "listener 80 goes" in sentence
    assert "keep it beside" in sentence
    assert warnings(app(ports=(port(81), port(80, name="old"))), before=app()) == []


def test_an_app_nobody_reaches_over_the_network_may_be_stopped_as_it_likes() -> None:
    worker = app(ports=(), health=HealthCheck(kind=CheckKind.NONE))
    assert warnings(worker) == []
    assert warnings(worker, count=0) == []
