"""What an instance is told: its ports, its host, who it is, where its links are."""

from __future__ import annotations

import pytest

from portway.core.app import App, PortSpec, Protocol
from portway.core.environment import (
    LinkTarget,
    expand,
    instance_environment,
    is_known_at_start,
    link_container_port,
    link_variables,
    port_variables,
)
from portway.core.instance import InstanceIdentity
from portway.core.ports import Lease
from portway.core.state import Revision


def lease(name: str, host_port: int, container_port: int) -> Lease:
    return Lease(
        port_name=name,
        node="local",
        protocol=Protocol.TCP,
        host_port=host_port,
        container_port=container_port,
    )


LEASES = (lease("80", 31000, 8080), lease("admin-ui", 31001, 9000))


def environment(
    *, app: dict[str, str] | None = None, stack: dict[str, str] | None = None, **fields: object
) -> dict[str, str]:
    revision = Revision(
        id="R1-2",
        release="R1",
        app=App(id="shop/web", environment=app or {}),
        environment=stack or {},
    )
    identity = InstanceIdentity(
        id="shop/web.2.7", app_id="shop/web", slot=2, serial=7, revision="R1-2", release="R1",
        node="local", leases=LEASES,
    )  # fmt: skip
    return instance_environment(revision, identity, node_address="10.0.0.1", **fields)  # type: ignore[arg-type]


def test_every_port_has_its_variables_in_the_order_of_the_ports() -> None:
    assert port_variables(LEASES, node_address="10.0.0.1") == {
        "HOST": "10.0.0.1",
        "PORT": "31000",
        "PORTS": "31000,31001",
        "PORT0": "31000",
        "PORT1": "31001",
        "PORT_80": "31000",
        "PORT_8080": "31000",
        "PORT_ADMIN_UI": "31001",
        "PORT_9000": "31001",
    }


def test_of_two_ports_with_one_variable_the_first_has_it() -> None:
    variables = port_variables((lease("a", 1, 80), lease("b", 2, 80)), node_address="")
    assert variables["PORT_80"] == "1"


def test_without_ports_only_the_host_is_told() -> None:
    assert port_variables((), node_address="10.0.0.1") == {"HOST": "10.0.0.1"}


def test_an_instance_is_told_who_it_is() -> None:
    told = environment()
    assert {k: told[k] for k in ("APP", "PROCESS", "RELEASE", "PORTWAY_INSTANCE")} == {
        "APP": "shop",
        "PROCESS": "web",
        "RELEASE": "R1",
        "PORTWAY_INSTANCE": "shop/web.2.7",
    }
    assert told["PORTWAY_SLOT"] == "2"


def test_the_manifest_overrides_portway_and_the_stack_overrides_both() -> None:
    told = environment(
        app={"PORT": "3000", "MODE": "manifest", "APP": "mine"}, stack={"MODE": "stack"}
    )
    assert (told["PORT"], told["APP"], told["MODE"]) == ("3000", "mine", "stack")


def test_a_link_is_told_and_gives_way_to_the_manifest() -> None:
    link = LinkTarget(alias="db", address="db", port_number=5432, environment={})
    assert environment(links=(link,))["DB_URL"] == "tcp://db:5432"
    assert environment(links=(link,), app={"DB_URL": "mine"})["DB_URL"] == "mine"


@pytest.mark.parametrize(
    ("linked", "url"),
    [
        ({}, "tcp://db:5432"),
        ({"LINK_SCHEME": "postgres", "LINK_PATH": "app"}, "postgres://db:5432/app"),
        ({"LINK_PATH": "/app"}, "tcp://db:5432/app"),
        ({"LINK_USERNAME": "bob", "LINK_PASSWORD": "pw"}, "tcp://bob:pw@db:5432"),
        ({"LINK_PASSWORD": "pw"}, "tcp://:pw@db:5432"),
    ],
)
def test_the_url_of_a_link_is_what_the_linked_app_says(linked: dict[str, str], url: str) -> None:
    link = LinkTarget(alias="my-db", address="db", port_number=5432, environment=linked)
    variables = link_variables(link)
    assert variables["MY_DB_URL"] == url
    assert (variables["MY_DB_HOST"], variables["MY_DB_PORT"]) == ("db", "5432")


TCP = PortSpec(name="80", container_port=80)
UDP = PortSpec(name="53", container_port=53, protocol=Protocol.UDP)


@pytest.mark.parametrize(
    ("app", "container_port"),
    [
        (App(id="s/a", ports=(UDP, TCP)), 80),
        (App(id="s/a", ports=(TCP,), environment={"LINK_PORT": "81"}), 81),
        (App(id="s/a", ports=(TCP,), environment={"LINK_PORT": "http"}), 80),
        (App(id="s/a", expose=(5432, 1)), 5432),
        (App(id="s/a", ports=(UDP,)), None),
        (App(id="s/a"), None),
    ],
    ids=["first TCP", "LINK_PORT", "LINK_PORT that is none", "exposed", "UDP only", "none"],
)
def test_a_link_means_link_port_else_the_first_tcp_port(
    app: App, container_port: int | None
) -> None:
    assert link_container_port(app) == container_port


@pytest.mark.parametrize(
    "name", ["HOST", "PORT", "PORTS", "PORT0", "PORT12", "PORT_80", "PORT_HTTP"]
)
def test_port_and_host_variables_are_known_at_start(name: str) -> None:
    assert is_known_at_start(name)


@pytest.mark.parametrize("name", ["PORTAL", "PORT_", "HOSTNAME", "APP", "port", "PORT-1", ""])
def test_no_other_variable_is_known_at_start(name: str) -> None:
    assert not is_known_at_start(name)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("listen $HOST:$PORT0", "listen 10.0.0.1:31000"),
        ("${PORT0}0", "310000"),
        ("$PORT9 stays", "$PORT9 stays"),
        ("$HOME and $$ and ${ and $", "$HOME and $$ and ${ and $"),
        ("$PORT0_", "$PORT0_"),
    ],
)
def test_ports_and_host_are_filled_in_and_every_other_dollar_stays(
    text: str, expanded: str
) -> None:
    known = {"HOST": "10.0.0.1", "PORT0": "31000", "HOME": "/root"}
    assert expand(text, known) == expanded
