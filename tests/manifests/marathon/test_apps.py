"""What an App is made of a definition of Marathon's."""

from __future__ import annotations

from typing import Any

import pytest

from portway.core.app import (
    App,
    CheckKind,
    Constraint,
    ConstraintOperator,
    Exposure,
    Network,
    NetworkMode,
    PortSpec,
    Protocol,
    Unreachable,
    VolumeKind,
)
from portway.core.marathon.labels import origin_of
from portway.manifests.marathon.accept import accept_app
from portway.manifests.marathon.apps import to_app
from portway.manifests.marathon.scheduling import Making
from portway.manifests.marathon.settings import Settings

MIB = 1 << 20
IMAGE = {"docker": {"image": "nginx"}}
BRIDGE = [{"mode": "container/bridge"}]


def made(making: Making | None = None, **fields: Any) -> App:
    given = {"id": "/shop/web", **fields}
    if "container" not in fields and "args" not in fields:
        given.setdefault("cmd", "serve $PORT0")
    return to_app(accept_app(given, Settings()), making)


def port_of(**fields: Any) -> PortSpec:
    (spec,) = made(**fields).ports
    return spec


def test_an_app_is_called_by_its_path_and_says_where_it_is_from() -> None:
    app = made(Making(version="2020-01-01T00:00:00.000Z", enforces_role=True), role="shop", labels={"a": "b", "portway.marathon.id": "/other"})  # fmt: skip
    origin = origin_of(app)
    assert app.id == "shop/web"
    assert app.environment_form == "marathon"
    assert app.labels["a"] == "b"
    assert origin is not None
    assert (origin.path, origin.version, origin.role, origin.enforces_role) == ("/shop/web", "2020-01-01T00:00:00.000Z", "shop", True)  # fmt: skip


def test_a_cmd_without_an_image_is_a_process_on_the_nodes_network() -> None:
    app = made()
    assert (app.image, app.command_text) == (None, "serve $PORT0")
    assert app.network_mode is NetworkMode.HOST
    assert made(container={"type": "MESOS"}, cmd="run").image is None


def test_a_cmd_takes_the_place_of_an_images_entry_point_and_args_do_not() -> None:
    app = made(container=IMAGE, cmd="serve")
    assert (app.entrypoint, app.command, app.command_text) == (
        ("/bin/sh",),
        ("-c", "serve"),
        "serve",
    )
    app = made(container=IMAGE, args=["-a", "b"])
    assert (app.entrypoint, app.command) == (None, ("-a", "b"))
    assert made(container=IMAGE).command is None


def test_ports_of_the_node_are_any_and_listened_on_at_their_service_ports() -> None:
    spec = port_of(portDefinitions=[{"port": 10042, "name": "http"}])
    assert (spec.name, spec.container_port, spec.host_port) == ("http", 0, None)
    assert (spec.service_ports, spec.exposure, spec.shuffled) == ((10042,), Exposure.PUBLIC, True)
    assert port_of(portDefinitions=[{"port": 0}]).service_ports == ()


def test_required_ports_are_those_of_the_node_and_need_no_listener() -> None:
    spec = port_of(portDefinitions=[{"port": 10042}], requirePorts=True)
    assert (spec.host_port, spec.service_ports) == (10042, (10042,))
    assert (spec.exposure, spec.shuffled) == (Exposure.HOST, False)


@pytest.mark.parametrize(
    ("mapping", "network", "expected"),
    [
        ({"containerPort": 80}, "container/bridge", (80, None, True)),
        ({"containerPort": 80, "hostPort": 8080}, "container/bridge", (80, 8080, True)),
        ({"containerPort": 80}, "container", (80, None, False)),
        ({"containerPort": 80, "hostPort": 0}, "container", (80, None, True)),
        ({}, "container", (0, None, False)),
    ],
)
def test_mappings_take_a_host_port_where_they_say_so(
    mapping: dict[str, int], network: str, expected: tuple[int, int | None, bool]
) -> None:
    name = {"name": "net"} if network == "container" else {}
    networks = [{"mode": network, **name}]
    spec = port_of(container={**IMAGE, "portMappings": [mapping]}, networks=networks)
    assert (spec.container_port, spec.host_port, spec.leased) == expected


def test_networks_are_the_nodes_the_engines_bridge_or_one_with_an_address_each() -> None:
    assert made(container=IMAGE).network_mode is NetworkMode.HOST
    assert made(container=IMAGE, networks=BRIDGE).network_mode is NetworkMode.BRIDGE
    app = made(container=IMAGE, networks=[{"mode": "container", "name": "net"}])
    assert (app.network_mode, app.networks) == (NetworkMode.OWN, (Network(name="net", external=True),))  # fmt: skip
    app = made(container=IMAGE, networks=[{"mode": "container", "name": "default"}])
    assert app.networks == (Network(name="default"),)  # the Stack's


def test_a_port_for_both_protocols_is_two_with_one_host_port() -> None:
    first, second = made(portDefinitions=[{"port": 5353, "name": "dns", "protocol": "udp,tcp"}]).ports  # fmt: skip
    assert (first.name, first.protocol, first.exposure) == ("dns", Protocol.UDP, Exposure.HOST)
    assert (second.name, second.protocol, second.same_as) == ("dns-tcp", Protocol.TCP, "dns")
    assert second.exposure is Exposure.PUBLIC


def test_names_of_ports_never_clash_with_those_that_were_given() -> None:
    app = made(portDefinitions=[{"port": 0}, {"port": 0, "name": "port0"}, {"port": 0, "name": "port0x-tcp"}])  # fmt: skip
    assert [spec.name for spec in app.ports] == ["port0x", "port0", "port0x-tcp"]
    origin = origin_of(app)
    assert origin is not None
    assert origin.names == {"port0x": ""}


def test_the_failure_after_the_allowed_ones_kills_and_none_with_0() -> None:
    app = made(portDefinitions=[{"port": 0}], healthChecks=[{"maxConsecutiveFailures": 2, "gracePeriodSeconds": 7, "path": "ok"}, {"protocol": "TCP", "maxConsecutiveFailures": 0}])  # fmt: skip
    first, second = app.health, app.further_checks[0]
    assert (first.kind, first.path, first.port_name) == (CheckKind.HTTP, "/ok", "port0")
    assert (first.unhealthy_threshold, first.start_period_s, first.delay_s) == (3, 7, 0)
    assert (first.lethal, second.lethal) == (True, False)


def test_checks_of_an_agent_wait_and_kill_at_the_first_failure_with_0() -> None:
    checks = [{"protocol": "MESOS_HTTPS", "portIndex": 1, "maxConsecutiveFailures": 0, "delaySeconds": 4}, {"protocol": "COMMAND", "command": {"value": "true"}}]  # fmt: skip
    app = made(portDefinitions=[{"port": 0}, {"port": 0, "name": "b"}], healthChecks=checks)
    assert (app.health.kind, app.health.port_name, app.health.delay_s) == (CheckKind.HTTPS, "b", 4)
    assert (app.health.unhealthy_threshold, app.health.lethal) == (1, True)
    assert app.further_checks[0].command == ("CMD-SHELL", "true")


def test_a_check_asks_the_port_of_its_number_over_tcp() -> None:
    ports = [{"containerPort": 80}, {"containerPort": 53, "name": "dns", "protocol": "udp,tcp"}]
    app = made(container={**IMAGE, "portMappings": ports}, networks=BRIDGE, healthChecks=[{"port": 53, "protocol": "TCP"}])  # fmt: skip
    assert app.health.port_name == "dns-tcp"
    assert made(container=IMAGE).health.kind is CheckKind.NONE


def test_readiness_asks_the_port_of_its_name_for_its_statuses() -> None:
    app = made(portDefinitions=[{"port": 0, "name": "http-api"}], readinessChecks=[{"path": "ready", "httpStatusCodesForReady": [200, 204]}])  # fmt: skip
    assert app.readiness is not None
    assert (app.readiness.port_name, app.readiness.path) == ("http-api", "/ready")
    assert app.readiness.statuses == ((200, 200), (204, 204))


def test_upgrades_are_bounds_that_never_allow_more_than_was_said() -> None:
    strategy = {"minimumHealthCapacity": 0.333, "maximumOverCapacity": 0.259}
    app = made(upgradeStrategy=strategy)
    assert (app.rollout.minimum_percent, app.rollout.maximum_percent) == (34, 125)
    assert app.rollout.is_patient
    assert not app.rollout.breaker.enabled
    assert made(Making(patient=False)).rollout.breaker.enabled


def test_scheduling_is_said_by_fields_of_the_app() -> None:
    app = made(
        backoffSeconds=2,
        backoffFactor=3,
        maxLaunchDelaySeconds=60,
        killSelection="oldest_first",
        unreachableStrategy={"inactiveAfterSeconds": 5, "expungeAfterSeconds": 9},
        constraints=[["rack", "group_by", "2"], ["hostname", "UNIQUE"]],
        taskKillGracePeriodSeconds=4,
    )
    assert app.backoff is not None
    assert (app.backoff.first_s, app.backoff.factor, app.backoff.maximum_s) == (2, 3, 60)
    assert (app.kill_oldest, app.stop_grace_s) == (True, 4)
    assert app.unreachable == Unreachable(inactive_after_s=5, expunge_after_s=9)
    assert app.placement.constraints == (
        Constraint(field="rack", operator=ConstraintOperator.GROUP_BY, value="2"),
        Constraint(field="hostname", operator=ConstraintOperator.UNIQUE),
    )
    assert made(unreachableStrategy="disabled").unreachable == Unreachable(inactive_after_s=None)


def test_what_is_asked_for_is_the_limit_unless_another_is_given() -> None:
    resources = made(cpus=0.5, mem=64).resources
    assert (resources.cpus, resources.memory_bytes, resources.cpu_shares) == (0.5, 64 * MIB, None)
    limits = {"cpus": "unlimited", "mem": 512}
    resources = made(cpus=0.5, mem=64, resourceLimits=limits).resources
    assert (resources.cpus, resources.memory_bytes, resources.cpu_shares) == (None, 512 * MIB, 512)
    placement = made(Making(reserves=True), cpus=0.5, mem=64).placement
    assert (placement.reserves, placement.cpu_units, placement.memory_bytes) == (True, 512, 64 * MIB)  # fmt: skip


def test_parameters_of_docker_set_what_no_field_says() -> None:
    parameters = {"hostname": "h", "cap-add": "NET_ADMIN", "env": "A=1", "volume": "data:/data:ro", "user": "a", "memory-swappiness": "10", "ulimit": "nofile=10:20"}  # fmt: skip
    docker = {"image": "i", "parameters": [{"key": k, "value": v} for k, v in parameters.items()]}
    volume = {"containerPath": "/c", "hostPath": "/h", "mode": "RW"}
    app = made(container={"docker": {**docker, "privileged": True}, "volumes": [volume]}, env={"A": "2", "B": "3"}, user="b", tty=True)  # fmt: skip
    assert (app.container.hostname, app.container.cap_add) == ("h", ("NET_ADMIN",))
    assert (app.container.privileged, app.container.tty) == (True, True)
    assert app.container.ulimits == {"nofile": (10, 20)}
    assert app.environment == {"A": "2", "B": "3"}
    assert (app.user, app.resources.swappiness) == ("b", 10)
    assert [(v.kind, v.source, v.target, v.read_only) for v in app.volumes] == [
        (VolumeKind.BIND, "/h", "/c", False),
        (VolumeKind.NAMED, "data", "/data", True),
    ]


def test_a_long_name_of_a_port_is_shortened_and_kept_aside() -> None:
    app = made(portDefinitions=[{"port": 0, "name": "a" * 300}], healthChecks=[{"protocol": "TCP"}])
    (spec,) = app.ports
    origin = origin_of(app)
    assert origin is not None
    assert len(spec.name) <= 63
    assert origin.names == {spec.name: "a" * 300}
    assert app.health.port_name == spec.name
