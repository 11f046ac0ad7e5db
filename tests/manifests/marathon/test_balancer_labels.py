"""What marathon-lb's labels mean for the ports of an app, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from portway.core.app import App, Balance, JointPort, ListenerProtocol, PortSpec, VirtualHost
from portway.core.routing import is_routed
from portway.manifests.ecs_fields import Use
from portway.manifests.marathon.accept import accept_app
from portway.manifests.marathon.apps import to_app
from portway.manifests.marathon.balancer_labels import LABELS, label_faults
from portway.manifests.marathon.refusal import MarathonRefusal
from portway.manifests.marathon.scheduling import Making
from portway.manifests.marathon.settings import Settings


def made(labels: dict[str, str], *, groups: tuple[str, ...] = ("*",), ports: int = 1) -> App:
    given = {
        "id": "/shop/web",
        "cmd": "serve",
        "portDefinitions": [{"port": 12000 + nth} for nth in range(ports)],
        "labels": labels,
    }
    return to_app(accept_app(given, Settings()), Making(groups=groups))


def port_of(labels: dict[str, str], *, groups: tuple[str, ...] = ("*",)) -> PortSpec:
    (spec,) = made(labels, groups=groups).ports
    return spec


def faults(labels: dict[str, str], ports: int = 1) -> list[str]:
    return [one.error for one in label_faults(labels, ports)]


def test_without_labels_a_service_port_is_served_and_the_first_bytes_tell_what_it_speaks() -> None:
    spec = port_of({})
    assert spec == port_of({"HAPROXY_GROUP": "external", "OTHER": "x"})
    assert (spec.listener.protocol, spec.virtual) == (ListenerProtocol.AUTO, None)
    assert is_routed(spec)


def test_a_virtual_host_makes_a_port_speak_http_unless_its_mode_is_said() -> None:
    spec = port_of({"HAPROXY_0_VHOST": "Shop.example.com, *.shop.example.com"})
    assert spec.virtual == VirtualHost(hosts=("shop.example.com", "*.shop.example.com"))
    assert spec.listener.protocol is ListenerProtocol.HTTP
    assert port_of({"HAPROXY_0_VHOST": "a", "HAPROXY_0_MODE": "tcp"}).listener.protocol is ListenerProtocol.TCP  # fmt: skip


def test_every_word_about_a_virtual_host_is_kept() -> None:
    spec = port_of(
        {
            "HAPROXY_0_VHOST": "a.example.com",
            "HAPROXY_0_PATH": "/api",
            "HAPROXY_0_REDIRECT_TO_HTTPS": "true",
            "HAPROXY_0_SSL_CERT": "/etc/ssl/private/a.pem",
            "HAPROXY_0_BACKEND_WEIGHT": "5",
            "HAPROXY_0_STICKY": "true",
            "HAPROXY_0_BALANCE": "leastconn",
            "HAPROXY_0_BIND_ADDR": "127.0.0.3",
        }
    )
    assert spec.virtual == VirtualHost(
        hosts=("a.example.com",), path="/api", redirects=True, weight=5, certificate="a.pem"
    )
    assert (spec.listener.sticky, spec.listener.balance) == (True, Balance.LEAST_CONNECTIONS)
    assert spec.address == "127.0.0.3"


def test_the_number_of_a_label_is_the_index_of_a_service_port() -> None:
    first, second = made({"HAPROXY_1_VHOST": "b", "HAPROXY_7_MODE": "ftp"}, ports=2).ports
    assert first.virtual is None
    assert second.virtual == VirtualHost(hosts=("b",))


@pytest.mark.parametrize(
    ("labels", "groups", "is_served"),
    [
        ({"HAPROXY_GROUP": "a,b"}, ("b",), True),
        ({"HAPROXY_GROUP": "a"}, ("b",), False),
        ({}, ("b",), False),
        ({"HAPROXY_GROUP": "b", "HAPROXY_0_GROUP": "a"}, ("b",), False),
        ({"HAPROXY_GROUP": "a", "HAPROXY_0_GROUP": "b"}, ("b",), True),
        ({"HAPROXY_0_ENABLED": "false"}, ("*",), False),
        ({"HAPROXY_0_ENABLED": "true"}, ("*",), True),
    ],
)
def test_a_port_is_served_if_it_is_enabled_and_its_group_is_one_of_the_servers(
    labels: dict[str, str], groups: tuple[str, ...], is_served: bool
) -> None:
    spec = port_of({**labels, "HAPROXY_0_VHOST": "a"}, groups=groups)
    assert is_routed(spec) is is_served
    assert bool(spec.virtual) is is_served
    assert spec.unserved.startswith("not served: its") is not is_served
    assert spec.service_ports == (12000,)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"HAPROXY_0_MODE": "ftp"}, "is no mode: use http or tcp"),
        ({"HAPROXY_0_BALANCE": "uri"}, "is not supported: use roundrobin"),
        ({"HAPROXY_0_STICKY": "maybe"}, "neither true nor false"),
        ({"HAPROXY_0_VHOST": "a b"}, '"a b" is not a host name'),
        ({"HAPROXY_0_VHOST": " , "}, "is 1 to 100 host names"),
        ({"HAPROXY_0_PATH": "/x"}, "only with HAPROXY_0_VHOST"),
        ({"HAPROXY_0_VHOST": "a", "HAPROXY_0_PATH": "x"}, "it begins with /"),
        ({"HAPROXY_0_REDIRECT_TO_HTTPS": "true"}, "only with HAPROXY_0_VHOST"),
        ({"HAPROXY_0_VHOST": "a", "HAPROXY_0_SSL_CERT": "/etc/ssl/"}, "does not name a file"),
        ({"HAPROXY_0_BIND_ADDR": "eth0"}, "is not an IP address"),
        ({"HAPROXY_0_BACKEND_WEIGHT": "high"}, "is not a whole number"),
        ({"HAPROXY_0_PORT": "80"}, "give it as the service port"),
        ({"HAPROXY_0_PORT": "many", "HAPROXY_DEPLOYMENT_GROUP": "g"}, "is not a port"),
        ({"HAPROXY_0_AUTH": "realm:user:secret"}, "no passwords are asked for"),
        ({"HAPROXY_0_BACKEND_HTTP_OPTIONS": "option x"}, "haproxy.cfg as it is"),
        ({"HAPROXY_BACKEND_HEAD": "backend x"}, "haproxy.cfg as it is"),
        ({"HAPROXY_HEAD": "global"}, "haproxy.cfg as it is"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_with_a_reason(labels: dict[str, str], told: str) -> None:
    assert [told in fault for fault in faults(labels)] == [True]
    with pytest.raises(MarathonRefusal) as caught:
        made(labels)
    assert told in str(caught.value.__dict__) + str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [
        {"HAPROXY_0_REDIRECT_TO_HTTPS": "false"},
        {"HAPROXY_0_USE_HSTS": "false"},
        {"HAPROXY_3_MODE": "ftp"},
        {"HAPROXY_0_COLOUR_OF_OURS": "x"},
        {"HAPROXY_0_VHOST": "*", "HAPROXY_0_PATH": "/"},
        {"HAPROXY_0_BIND_ADDR": "*"},
        {"HAPROXY_DEPLOYMENT_GROUP": "g", "HAPROXY_DEPLOYMENT_ALT_PORT": "10001"},
    ],
)
def test_what_says_nothing_is_taken(labels: dict[str, str]) -> None:
    assert faults(labels) == []
    assert made(labels).labels == {**labels, **made({}).labels}


GROUP = {"HAPROXY_DEPLOYMENT_GROUP": "g", "HAPROXY_DEPLOYMENT_ALT_PORT": "10001"}


@pytest.mark.parametrize(
    ("labels", "number", "joint", "own"),
    [
        (GROUP, 10000, 10000, ()),
        (GROUP, 10001, None, (10001,)),
        ({**GROUP, "HAPROXY_0_PORT": "10000"}, 10001, 10000, (10001,)),
        ({**GROUP, "HAPROXY_0_PORT": "10000"}, 10000, 10000, ()),
        ({**GROUP, "HAPROXY_0_PORT": "x"}, 10000, None, (10000,)),
        ({"HAPROXY_0_PORT": "10002"}, 10000, None, (10000,)),
    ],
)
def test_a_deployment_group_has_a_service_port_together(
    labels: dict[str, str], number: int, joint: int | None, own: tuple[int, ...]
) -> None:
    definition = {"id": "/a", "cmd": "x", "portDefinitions": [{"port": number}]}
    (spec,) = to_app({**accept_app(definition, Settings()), "labels": labels}).ports
    assert spec.joint == (JointPort(group="g", service_port=joint) if joint else None)
    assert spec.service_ports == own


def test_odd_labels_that_were_stored_before_are_left_aside() -> None:
    definition = accept_app({"id": "/a", "cmd": "x", "portDefinitions": [{"port": 0}]}, Settings())
    labels = {"HAPROXY_0_VHOST": "a b", "HAPROXY_0_MODE": "ftp", "HAPROXY_0_BALANCE": "uri"}
    (spec,) = to_app({**definition, "labels": labels}).ports
    assert spec == to_app(definition).ports[0]


def test_the_table_has_a_reason_for_whatever_is_refused_or_without_effect() -> None:
    assert all(label.told for label in LABELS.values())
    assert {label.use for label in LABELS.values()} == set(Use)


def test_the_reference_says_what_becomes_of_every_label() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/marathon-lb.md").read_text()
    missing = [
        label.name
        for label in LABELS.values()
        if f"| `{label.name}` | {label.use.value} | {label.told} |" not in page
        and not (label.use is Use.REFUSED and f"`{label.name}`" in page and label.told in page)
    ]
    assert missing == []
