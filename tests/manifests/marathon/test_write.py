"""Apps written as Marathon's definitions: what is said, and that all that is not said is told as a loss."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from portway.core.app import (
    App,
    Backoff,
    CheckKind,
    Constraint,
    ConstraintOperator,
    Container,
    ContainerOptions,
    Exposure,
    HealthCheck,
    NetworkMode,
    PortSpec,
    Protocol,
    Resources,
    Rollout,
    Unreachable,
    Volume,
    VolumeKind,
)
from portway.manifests.compose import parse_compose
from portway.manifests.compose_write import write_compose
from portway.manifests.marathon.accept import accept_app, accept_pod
from portway.manifests.marathon.apps import to_app
from portway.manifests.marathon.files import SETTINGS
from portway.manifests.marathon.pods import to_pod_app
from portway.manifests.marathon.refusal import MarathonRefusal
from portway.manifests.marathon.scheduling import Making
from portway.manifests.marathon.settings import Settings
from portway.manifests.marathon.write import from_app, write_marathon
from tests.features import examples
from tests.manifests.marathon.samples import APPS, PODS

MIB = 1 << 20

# What Marathon can say of an App, all of it.
SAYABLE = App(
    id="st/web",
    image="nginx:1.25",
    command=("-g", "daemon off;"),
    environment={"A": "b"},
    count=3,
    ports=(
        PortSpec(name="http", container_port=80, service_ports=(10042,)),
        PortSpec(name="both", container_port=53, protocol=Protocol.TCP, host_port=5353),
        PortSpec(name="plain", container_port=0),
    ),
    health=HealthCheck(kind=CheckKind.HTTP, port_name="http", path="/health", unhealthy_threshold=4),
    further_checks=(HealthCheck(kind=CheckKind.TCP, port_name="both", lethal=False, unhealthy_threshold=1),),
    readiness=HealthCheck(kind=CheckKind.HTTP, port_name="http", path="/ready", statuses=((200, 200), (204, 204)), interval_s=30, timeout_s=10),
    rollout=Rollout(minimum_percent=50, maximum_percent=150),
    resources=Resources(cpus=0.5, memory_bytes=64 * MIB, pids=100),
    volumes=(
        Volume(kind=VolumeKind.BIND, source="/srv", target="/data", read_only=True),
        Volume(kind=VolumeKind.NAMED, source="cache", target="/cache"),
        Volume(kind=VolumeKind.TMPFS, source="", target="/run"),
    ),
    network_mode=NetworkMode.BRIDGE,
    extra_hosts=(("db", "10.0.0.1"),),
    labels={"team": "a"},
    user="nobody",
    working_dir="/srv",
    stop_signal="SIGINT",
    stop_grace_s=30.0,
    container=ContainerOptions(
        privileged=True,
        tty=True,
        cap_add=("NET_ADMIN",),
        hostname="web",
        init=True,
        ulimits={"nofile": (100, 200)},
        sysctls={"net.core.somaxconn": "100"},
        shm_size_bytes=MIB,
        log_driver="syslog",
        log_options={"tag": "x"},
    ),
    backoff=Backoff(first_s=2, factor=2, maximum_s=60),
    unreachable=Unreachable(inactive_after_s=None),
    kill_oldest=True,
)  # fmt: skip


def test_what_marathon_can_say_is_said_without_a_loss() -> None:
    constraint = Constraint(field="rack", operator=ConstraintOperator.GROUP_BY, value="2")
    app = replace(SAYABLE, placement=replace(SAYABLE.placement, constraints=(constraint,)))
    written = write_marathon([app])
    assert [str(loss) for loss in written.losses] == []
    assert written.document["id"] == "/st/web"
    assert written.document["container"]["portMappings"][0]["servicePort"] == 10042


def test_a_process_is_a_command_on_the_nodes_network() -> None:
    app = App(id="st/p", command=("/bin/sh", "-c", "run $PORT"), command_text="run $PORT", network_mode=NetworkMode.HOST, ports=(PortSpec(name="http", container_port=0),), resources=Resources(cpus=1, memory_bytes=128 * MIB), health=HealthCheck(kind=CheckKind.NONE))  # fmt: skip
    written = write_marathon([app])
    assert written.losses == ()
    assert written.document["cmd"] == "run $PORT"
    assert written.document["portDefinitions"] == [{"port": 0, "name": "http", "protocol": "tcp"}]
    assert written.document["networks"] == [{"mode": "host"}]


def test_several_apps_are_a_group_with_its_dependencies() -> None:
    text = "services:\n  web: {image: nginx, depends_on: [db]}\n  db: {image: postgres}\n"
    apps = parse_compose(text, stack="shop").apps
    document = write_marathon(apps).document
    assert (document["id"], [app["id"] for app in document["apps"]]) == ("/shop", ["/shop/web", "/shop/db"])  # fmt: skip
    assert document["apps"][0]["dependencies"] == ["/shop/db"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"containers": (Container(name="b", image="i"),)}, "readiness"),
        ({"network_mode": NetworkMode.STACK}, "network_mode"),
        ({"rollout": Rollout(maximum_percent=400)}, "rollout.maximum_percent"),
        ({"stop_grace_s": 0.5}, "stop_grace_s"),
        ({"health": HealthCheck(kind=CheckKind.HTTP, port_name="http", host="a.example")}, "health.host"),
        ({"health": HealthCheck(kind=CheckKind.TLS, port_name="http"), "further_checks": ()}, "health"),
        ({"readiness": HealthCheck(kind=CheckKind.TCP, port_name="http")}, "readiness"),
        ({"ports": (PortSpec(name="HTTP", container_port=80),), "further_checks": (), "readiness": None, "health": HealthCheck(kind=CheckKind.NONE)}, "ports[0].name"),
        ({"entrypoint": ("a", "b")}, "entrypoint"),
    ],
)  # fmt: skip
def test_what_marathon_cannot_say_is_told(changes: dict[str, Any], path: str) -> None:
    written = write_marathon([replace(SAYABLE, **changes)])
    assert path in [loss.path.split(":")[0][: len(path)] for loss in written.losses]


def test_a_name_that_is_no_id_is_told() -> None:
    written = write_marathon([replace(SAYABLE, id="st/a_b")])
    assert [str(loss) for loss in written.losses] == ["a_b: name: is another one there"]


def test_the_definition_of_an_app_from_elsewhere_is_canonical() -> None:
    definition = from_app(SAYABLE, count=7, service_ports={"both": 10001})
    assert definition["instances"] == 7
    assert definition["container"]["portMappings"][1]["servicePort"] == 10001
    assert accept_app({**definition, "id": "/st/web"}, Settings()) == {**definition, "id": "/st/web"}  # fmt: skip


def test_an_app_of_marathon_shows_the_names_its_ports_were_given() -> None:
    given = accept_app({"id": "/a", "cmd": "x", "portDefinitions": [{"protocol": "udp,tcp"}]}, Settings())  # fmt: skip
    assert from_app(to_app(given))["portDefinitions"] == [{"port": 0, "protocol": "udp,tcp"}]


def test_compose_files_come_back_through_marathon() -> None:
    check = "{test: [CMD-SHELL, 'true'], interval: 5s}"
    text = f"services:\n  web: {{image: nginx, ports: ['8080:80'], healthcheck: {check}}}\n"
    apps = parse_compose(text, stack="shop").apps
    written = write_marathon(apps)
    assert [loss.path for loss in written.losses] == ["network_mode"]
    back = write_compose([to_app(accept_app(written.document, Settings()))])
    assert "8080:80" in back.text
    assert "Marathon's" in "\n".join(map(str, back.losses))


def test_an_app_of_several_containers_is_a_pod() -> None:
    side = Container(
        name="side",
        image="redis",
        command=("redis-server",),
        environment={"A": "b"},
        volumes=(Volume(kind=VolumeKind.BIND, source="/srv", target="/s"),),
        health=HealthCheck(
            kind=CheckKind.COMMAND, command=("CMD", "true"), interval_s=30, start_interval_s=1.0
        ),
        resources=Resources(cpus=0.5, memory_bytes=64 * MIB),
        user="nobody",
    )
    app = App(
        id="st/pod",
        image="nginx",
        entrypoint=("run",),
        command=("-a",),
        containers=(side,),
        container_name="web",
        count=2,
        network_mode=NetworkMode.OWN,
        ports=(
            PortSpec(name="http", container_port=80, exposure=Exposure.HOST, host_port=8080),
            PortSpec(
                name="dns",
                container_port=53,
                exposure=Exposure.HOST,
                leased=False,
                container="side",
            ),
        ),
        health=HealthCheck(kind=CheckKind.HTTP, port_name="http", path="/ok", interval_s=30),
        further_checks=(HealthCheck(kind=CheckKind.TCP, port_name="http", interval_s=30),),
        kill_oldest=True,
        backoff=Backoff(first_s=3),
    )
    written = write_marathon([app])
    assert [loss.path for loss in written.losses] == ["further_checks"]
    assert [each["name"] for each in written.document["containers"]] == ["web", "side"]
    assert written.document["containers"][0]["exec"] == {
        "command": {"argv": ["run", "-a"]},
        "overrideEntrypoint": True,
    }


def test_apps_and_pods_are_written_into_one_group() -> None:
    pod = App(id="st/pod", image="i", containers=(Container(name="b", image="j"),))
    document = write_marathon([SAYABLE, pod]).document
    assert ([a["id"] for a in document["apps"]], [p["id"] for p in document["pods"]]) == (
        ["/st/web"],
        ["/st/pod"],
    )


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(APPS | PODS)
def test_nothing_is_lost_of_what_marathon_said(raw: dict[str, Any]) -> None:
    accept, make = (accept_pod, to_pod_app) if "containers" in raw else (accept_app, to_app)
    try:
        definition = accept(raw, SETTINGS)
    except MarathonRefusal:
        return
    app = make(definition, Making(app_id="st/a", patient=False))
    assert write_marathon([app]).losses == ()
