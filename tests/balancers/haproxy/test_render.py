"""The rendered configuration: golden files, order, and no way in for a user's text."""

from __future__ import annotations

import random
import shutil
import string
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.balancers.haproxy.listeners import Listener, build_listener, is_address, route_problem
from portway.balancers.haproxy.render import CONFIG, Settings, render
from portway.balancers.haproxy.request_lines import LOG_MAP
from portway.core.app import Balance, ListenerProtocol, ListenerSpec
from portway.core.routes import Endpoint, EndpointState, Route, RouteKey
from tests.balancers.support import make_certificate

SETTINGS = Settings(connections_max=4096, user="haproxy", has_log=True)
PEMS = {"one": "PEM ONE\n", "two": "PEM TWO\n"}


def make_listener(route: Route) -> Listener:
    return build_listener(
        route,
        public_addresses=("0.0.0.0", "::"),
        certificates=PEMS,
        fallback_pem="PEM OF OURS\n",
    )


def web(
    service_port: int = 8000, *, owner: str = "shop/web", count: int = 2, **spec: object
) -> Route:
    return Route(
        key=RouteKey(address="", service_port=service_port),
        owner=owner,
        port_name="web",
        listener=ListenerSpec(**spec),  # pyright: ignore[reportArgumentType]
        endpoints=tuple(
            Endpoint(
                instance_id=f"{owner}.{slot}.{slot}",
                address=f"172.18.0.{slot + 1}",
                port_number=80,
                state=EndpointState.READY if slot > 1 else EndpointState.DRAINING,
            )
            for slot in range(1, count + 1)
        ),
    )


ROUTES = {
    "empty": [],
    "auto_expects_http": [web(expects_http=True)],
    "auto": [web()],
    "http_sticky": [
        web(protocol=ListenerProtocol.HTTP, sticky=True, balance=Balance.LEAST_CONNECTIONS)
    ],
    "tcp_proxy_secure": [
        web(protocol=ListenerProtocol.TCP, proxy_protocol=True, secure=True, slow_start_s=2.5)
    ],
    "https_two_certificates": [replace(web(443), certificates=("one", "two"))],
    "tls_without_certificate": [web(443, protocol=ListenerProtocol.TLS, idle_timeout_s=60)],
    "two_apps_one_loopback": [
        web(),
        replace(
            web(6379, owner="shop/store"), key=RouteKey(address="127.0.0.1", service_port=6379)
        ),
    ],
}


def test_whose_requests_are_reported_is_no_matter_of_a_reload() -> None:
    quiet = make_listener(web())
    said = render([quiet], SETTINGS)
    told = render([replace(quiet, is_reported=True)], SETTINGS)
    assert told.structure == said.structure
    assert told.files[LOG_MAP] == f"{quiet.name} 1\n"
    assert said.files[LOG_MAP] == ""


def test_without_the_pipe_nothing_is_written_to_its_descriptor() -> None:
    rendered = render([make_listener(web())], replace(SETTINGS, has_log=False))
    assert "fd@" not in rendered.files[CONFIG]
    assert LOG_MAP not in rendered.files


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_it_renders_as_agreed(name: str, golden: Callable[[str, str], None]) -> None:
    rendered = render([make_listener(route) for route in ROUTES[name]], SETTINGS)
    side_files = {path: text for path, text in rendered.files.items() if path != CONFIG}
    notes = "".join(f"# {path}: {text!r}\n" for path, text in sorted(side_files.items()))
    golden(f"haproxy/{name}.cfg", rendered.files[CONFIG] + notes)


@pytest.mark.haproxy
@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
@pytest.mark.parametrize("name", sorted(ROUTES))
def test_haproxy_loads_it(name: str, tmp_path: Path) -> None:
    pem = make_certificate("one", "one.test").pem
    rendered = render(
        [make_listener(route) for route in ROUTES[name]], Settings(connections_max=99)
    )
    for path, text in rendered.files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(pem if path.endswith(".pem") else text)
    checked = subprocess.run(
        ["haproxy", "-c", "-C", tmp_path, "-f", CONFIG], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


def test_the_order_of_routes_and_endpoints_does_not_matter() -> None:
    routes = [web(8000 + n, owner=f"shop/app{n}", count=5) for n in range(6)]
    expected = render([make_listener(route) for route in routes], SETTINGS)
    shuffler = random.Random(7)
    for _ in range(10):
        shuffler.shuffle(routes)
        mixed = [
            replace(r, endpoints=tuple(shuffler.sample(r.endpoints, len(r.endpoints))))
            for r in routes
        ]
        assert render([make_listener(route) for route in mixed], SETTINGS) == expected


def test_endpoints_and_certificates_do_not_touch_the_structure() -> None:
    before = replace(web(443), certificates=("one",))
    after = replace(web(443, count=7), certificates=("one", "two"))
    first, second = (render([make_listener(r)], SETTINGS) for r in (before, after))
    assert first.structure == second.structure
    assert first.files != second.files


@pytest.mark.parametrize(
    "other",
    [
        web(8001),
        web(owner="shop/api"),
        web(sticky=True),
        web(slow_start_s=1),
        web(expects_http=True),
        web(proxy_protocol=True),
        web(secure=True),
        web(idle_timeout_s=5),
        web(balance=Balance.LEAST_CONNECTIONS),
        web(protocol=ListenerProtocol.TCP),
        replace(web(), certificates=("one",)),
        replace(web(), key=RouteKey(address="127.0.0.1", service_port=8000)),
    ],
)
def test_everything_else_changes_the_structure(other: Route) -> None:
    first, second = (render([make_listener(r)], SETTINGS).structure for r in (web(), other))
    assert first != second


hostile = st.text(
    alphabet=st.one_of(
        st.sampled_from("\n\r\0\t #\"'\\{}%[]$(),;:|&!"),
        st.sampled_from(string.ascii_letters),
        st.characters(),
    ),
    max_size=60,
)


@given(owner=hostile, port_name=hostile, instance_id=hostile, certificate=hostile, data=st.data())
def test_no_text_of_a_user_can_add_or_change_a_line(
    owner: str, port_name: str, instance_id: str, certificate: str, data: st.DataObject
) -> None:
    spec = ListenerSpec(
        protocol=data.draw(st.sampled_from(ListenerProtocol)),
        sticky=data.draw(st.booleans()),
        secure=data.draw(st.booleans()),
        idle_timeout_s=data.draw(st.floats(min_value=-1, max_value=1e12)),
        slow_start_s=data.draw(st.floats(min_value=-1, max_value=1e12)),
    )
    plain, tricky = (
        Route(
            key=RouteKey(address="", service_port=8000),
            owner=names[0],
            port_name=names[1],
            listener=spec,
            endpoints=(Endpoint(instance_id=names[2], address="10.0.0.1", port_number=80),),
            certificates=(names[3],),
        )
        for names in (("o", "p", "i", "c"), (owner, port_name, instance_id, certificate))
    )
    pems = {certificate: "PEM\n", "c": "PEM\n"}
    texts = []
    for route in (plain, tricky):
        listener = build_listener(
            route, public_addresses=("0.0.0.0",), certificates=pems, fallback_pem=""
        )
        texts.append(render([listener], SETTINGS).files[CONFIG])
    assert [keyword(line) for line in texts[0].split("\n")] == [
        keyword(line) for line in texts[1].split("\n")
    ]
    allowed = set(string.ascii_letters + string.digits + string.punctuation + " \n")
    assert set(texts[1]) <= allowed
    sentence = next((line for line in texts[1].split("\n") if "http-error" in line), "")
    assert sentence.count('"') in (0, 4)


NAMING = {
    "frontend",
    "backend",
    "server",
    "description",
    "use_backend",
    "default_backend",
    "use-server",
}


def keyword(line: str) -> str:
    """What kind of line it is: its first words without names."""
    words = line.split()
    return " ".join(words[: 1 if NAMING & set(words[:1]) else 2])


@given(address=hostile, target=hostile)
def test_only_plain_addresses_are_taken(address: str, target: str) -> None:
    route = replace(
        web(count=0),
        key=RouteKey(address=address, service_port=80),
        endpoints=(Endpoint(instance_id="i", address=target, port_number=80),),
    )
    is_plain = (not address or is_address(address)) and is_address(target)
    assert bool(route_problem(route)) != is_plain


@pytest.mark.parametrize("number", [0, -1, 65536])
def test_a_service_port_outside_its_range_is_a_problem(number: int) -> None:
    assert "not a port number" in route_problem(web(number))
