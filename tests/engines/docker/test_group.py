"""instance_specs: which containers an instance is, under which names, in which networks, and what they are told."""

from __future__ import annotations

from typing import Any

import pytest

from portway.core.app import (
    App,
    CheckKind,
    Container,
    ContainerCondition,
    ContainerDependency,
    ContainerOptions,
    HealthCheck,
    NetworkMode,
    PortSpec,
    Protocol,
)
from portway.core.instance import InstanceIdentity
from portway.core.ports import Lease
from portway.core.state import Revision
from portway.engines.base import StartRequest
from portway.engines.docker.command import ContainerSpec, Settings
from portway.engines.docker.group import SANDBOX, docker_name, instance_specs, notes_of

SETTINGS = Settings(home_id="home1")
NAME = "portway-home1-shop-web-1-7"
CHECK = HealthCheck(kind=CheckKind.COMMAND, command=("CMD-SHELL", "true"), interval_s=2)


def lease(name: str, container_port: int, host_port: int) -> Lease:
    return Lease(
        port_name=name,
        node="local",
        protocol=Protocol.TCP,
        host_port=host_port,
        container_port=container_port,
        address="0.0.0.0",
    )


def specs(*others: Container, **fields: Any) -> dict[str, ContainerSpec]:
    """The containers by name; the ports are a of the first, twice, and b of "side"."""
    ports = (
        PortSpec(name="a", container_port=80),
        PortSpec(name="a2", container_port=80),
        PortSpec(name="b", container_port=81, container="side"),
    )
    given = {"container_name": "app", "ports": ports, "containers": others} | fields
    app = App(id="shop/web", image="web:1", **given)
    identity = InstanceIdentity(
        id="shop/web.1.7",
        app_id="shop/web",
        slot=1,
        serial=7,
        revision="R1",
        release="R1",
        node="local",
        leases=(lease("a", 80, 3245), lease("a2", 80, 56839), lease("b", 81, 32768)),
    )
    request = StartRequest(
        identity=identity,
        revision=Revision(id="R1", release="R1", app=app),
        environment={"FIRST": "1"},
        command=("serve",),
        command_text=None,
        aliases=("web",),
    )
    return {spec.member: spec for spec in instance_specs(request, SETTINGS)}


def side(**fields: Any) -> Container:
    return Container(name="side", image="side:2", environment={"OWN": "2"}, **fields)


def host(spec: ContainerSpec) -> dict[str, Any]:
    return spec.body["HostConfig"]


def bound(spec: ContainerSpec) -> dict[str, list[str]]:
    return {
        key: [one["HostPort"] for one in found]
        for key, found in host(spec).get("PortBindings", {}).items()
    }


@pytest.mark.parametrize("mode", [NetworkMode.STACK, NetworkMode.OWN])
def test_a_sandbox_holds_the_address_the_ports_and_the_names_of_all(mode: NetworkMode) -> None:
    app = {"container": ContainerOptions(hostname="me", dns=("10.0.0.2",))}
    made = specs(side(links=(("app", "front"),)), network_mode=mode, **app)
    assert list(made) == [SANDBOX, "app", "side"]
    sandbox = made[SANDBOX]
    assert sandbox.name == NAME
    assert [use.name for use in sandbox.networks] == ["portway-home1-shop"]
    assert bound(sandbox) == {"80/tcp": ["3245", "56839"], "81/tcp": ["32768"]}
    assert (sandbox.body["Hostname"], host(sandbox)["Dns"]) == ("me", ["10.0.0.2"])
    assert host(sandbox)["ExtraHosts"] == ["front:127.0.0.1"]
    for name in ("app", "side"):
        assert host(made[name])["NetworkMode"] == f"container:{NAME}"
        assert made[name].networks == ()
        # What Docker refuses beside a shared network.
        assert not {"Hostname", "ExposedPorts", "NetworkingConfig"} & set(made[name].body)
        assert not {"PortBindings", "Dns", "ExtraHosts", "Links"} & set(host(made[name]))


def test_on_the_bridge_each_publishes_its_own_and_links_are_dockers() -> None:
    made = specs(side(links=(("app", "front"),)), network_mode=NetworkMode.BRIDGE)
    assert list(made) == ["app", "side"]
    assert bound(made["app"]) == {"80/tcp": ["3245", "56839"]}
    assert bound(made["side"]) == {"81/tcp": ["32768"]}
    assert host(made["side"])["Links"] == [f"{NAME}:front"]
    assert {host(spec)["NetworkMode"] for spec in made.values()} == {"bridge"}
    assert not any("NetworkingConfig" in spec.body for spec in made.values())


@pytest.mark.parametrize("mode", [NetworkMode.HOST, NetworkMode.NONE])
def test_nothing_is_published_where_there_is_nothing_between(mode: NetworkMode) -> None:
    made = specs(side(links=(("app", "front"),)), network_mode=mode)
    assert all(not bound(spec) and spec.networks == () for spec in made.values())
    assert {host(spec)["NetworkMode"] for spec in made.values()} == {str(mode)}
    hosts = host(made["side"]).get("ExtraHosts", [])
    assert hosts == (["front:127.0.0.1"] if mode is NetworkMode.HOST else [])


def test_each_has_its_own_image_command_variables_and_a_note_on_all() -> None:
    made = specs(side(command=("watch",), essential=False), network_mode=NetworkMode.BRIDGE)
    assert made["app"].body["Cmd"] == ["serve"]
    assert made["side"].body["Cmd"] == ["watch"]
    assert made["side"].body["Image"] == "side:2"
    assert made["side"].body["Env"] == ["OWN=2"]
    assert made["app"].body["Env"] == ["FIRST=1"]
    notes = notes_of(made["side"].labels)
    assert notes == notes_of(made["app"].labels)
    assert [(n.name, n.essential, n.own, n.ports) for n in notes] == [
        ("app", True, True, (80, 80)),
        ("side", False, False, (81,)),
    ]
    assert made["side"].labels["portway.instance"] == "shop/web.1.7"
    assert made["side"].labels["portway.container"] == "side"
    assert made["side"].name == docker_name("home1", "shop/web.1.7", notes, "side")


def test_the_first_to_start_has_the_instances_own_name() -> None:
    wait = (ContainerDependency(name="side", condition=ContainerCondition.START),)
    made = specs(side(), network_mode=NetworkMode.BRIDGE, container_depends_on=wait)
    assert [(s.member, s.name) for s in made.values()] == [("side", NAME), ("app", f"{NAME}-app")]


def test_docker_checks_what_the_controller_does_not_or_what_others_wait_for() -> None:
    def checked(*others: Container) -> list[str]:
        made = specs(*others, network_mode=NetworkMode.NONE, health=CHECK)
        return [name for name, spec in made.items() if "Healthcheck" in spec.body]

    assert checked(side(health=CHECK)) == ["side"]
    wait = (ContainerDependency(name="app", condition=ContainerCondition.HEALTHY),)
    assert checked(side(depends_on=wait)) == ["app"]
    found = specs(side(health=CHECK), network_mode=NetworkMode.NONE)["side"].body["Healthcheck"]
    assert found["Test"] == ["CMD-SHELL", "true"]
    assert (found["Interval"], found["Retries"]) == (2_000_000_000, 2)


def test_volumes_of_another_are_named_by_its_container() -> None:
    shared = (("app", True),)
    made = specs(side(volumes_from=shared), network_mode=NetworkMode.NONE)
    assert host(made["side"])["VolumesFrom"] == [f"{NAME}:ro"]
    assert [d.name for d in made["side"].depends_on] == ["app"]


def test_settings_of_the_network_are_the_sandboxs_where_it_is_shared() -> None:
    options = ContainerOptions(sysctls={"net.core.somaxconn": "1024", "kernel.msgmax": "1"})
    made = specs(side(container=options), network_mode=NetworkMode.OWN)
    assert host(made[SANDBOX])["Sysctls"] == {"net.core.somaxconn": "1024"}
    assert host(made["side"])["Sysctls"] == {"kernel.msgmax": "1"}
    own = specs(side(container=options), network_mode=NetworkMode.BRIDGE)
    assert host(own["side"])["Sysctls"] == dict(options.sysctls)


def test_one_container_has_no_note_and_only_a_name_of_its_own_if_it_was_given_one() -> None:
    (alone,) = specs().values()
    assert (alone.name, notes_of(alone.labels)) == (NAME, ())
    assert alone.labels["portway.container"] == "app"
