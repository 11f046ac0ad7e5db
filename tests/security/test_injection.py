"""No text of a user becomes a line, a rule or a command of anybody who reads lines: HAProxy, its socket, an instance."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.balancers.haproxy.changes import plan_map, plan_servers
from portway.balancers.haproxy.listeners import Listener, build_listener
from portway.balancers.haproxy.render import CONFIG, LOG_MAP, Settings, render
from portway.core.app import ListenerProtocol, ListenerSpec
from portway.core.errors import ManifestError
from portway.core.routes import Endpoint, Route, RouteKey
from portway.manifests.compose import parse_compose

PLAIN = frozenset(string.ascii_letters + string.digits + "._-/: +|")
SETTINGS = Settings(connections_max=100, has_log=True)
hostile = st.text(
    st.one_of(st.sampled_from("\n\r\0\t ;#\"'\\{}%[]$(),:|&!<"), st.characters()), max_size=40
)


def listener_of(owner: str, port_name: str, instance_id: str, certificate: str) -> Listener:
    route = Route(
        key=RouteKey(address="", service_port=8000),
        owner=owner,
        port_name=port_name,
        listener=ListenerSpec(sticky=True, protocol=ListenerProtocol.HTTPS),
        endpoints=(Endpoint(instance_id=instance_id, address="10.0.0.1", port_number=80),),
        certificates=(certificate,),
    )
    return build_listener(
        route,
        public_addresses=("0.0.0.0",),
        certificates={certificate: "PEM\n"},
        fallback_pem="",
        is_reported=True,
    )


@given(owner=hostile, port_name=hostile, instance_id=hostile, certificate=hostile)
def test_every_command_to_the_balancer_is_one_of_ours(
    owner: str, port_name: str, instance_id: str, certificate: str
) -> None:
    listener = listener_of(owner, port_name, instance_id, certificate)
    changes = plan_servers([listener], {})
    entries, _ = plan_map(listener.groups[0].cookie_map, {})
    commands = [*changes.additions, *changes.weights, *entries, listener.list_path]
    commands += [slot.path for slot in listener.slots]
    assert {character for command in commands for character in command} <= PLAIN


@given(owner=hostile, port_name=hostile, instance_id=hostile, certificate=hostile)
def test_every_file_of_the_balancer_has_the_lines_of_a_harmless_one(
    owner: str, port_name: str, instance_id: str, certificate: str
) -> None:
    tricky = render([listener_of(owner, port_name, instance_id, certificate)], SETTINGS).files
    plain = render([listener_of("shop/web", "web", "i", "c")], SETTINGS).files
    assert len(tricky) == len(plain)
    assert tricky[CONFIG].count("\n") == plain[CONFIG].count("\n")
    assert tricky[LOG_MAP].count("\n") == 1
    for path, text in tricky.items():
        assert set(path) <= PLAIN
        if path != CONFIG:
            assert set(text) <= PLAIN | {"\n"}
            assert text.count("\n") == 1


@pytest.mark.parametrize(
    "path",
    ["/a\\r\\nHost: evil", "/a\\nX: y", "/a b", "/a\\0", "//169.254.169.254/", "http://evil/", "a"],
)
@pytest.mark.parametrize("label", ["portway.health.path", "convox.health.path"])
def test_a_health_check_asks_for_a_path_and_nothing_else(path: str, label: str) -> None:
    text = f'services: {{web: {{image: w, ports: ["80:80"], labels: {{{label}: "{path}"}}}}}}'
    try:
        manifest = parse_compose(text, stack="shop", file="f", variables={}, files={})
    except ManifestError:
        return
    kept = manifest.apps[0].health.path
    assert kept.startswith("/")
    assert kept.isprintable()
    assert " " not in kept
