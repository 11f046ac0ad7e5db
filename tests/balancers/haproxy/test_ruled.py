"""The rendered sections of listeners with rules: golden files, structure, and no way in for a user's text."""

from __future__ import annotations

import shutil
import string
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.balancers.haproxy.listeners import route_problem
from portway.balancers.haproxy.render import CONFIG, Settings, render
from portway.core.app import Balance, ListenerProtocol, ListenerSpec
from portway.core.routes import Endpoint, EndpointState, Pool, Route, RouteKey
from portway.core.rules import (
    Action,
    Condition,
    Forward,
    ForwardedMode,
    Part,
    PoolSpec,
    Redirect,
    Respond,
    Rule,
    RuledListener,
    Sticky,
    StickyKind,
)
from tests.balancers.haproxy.test_render import SETTINGS, make_listener
from tests.balancers.support import make_certificate

WEB = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/0123456789abcdef"
BLUE, GREEN = WEB.replace("/web/", "/blue/"), WEB.replace("/web/", "/green/")


def pool(name: str, count: int = 1, **spec: object) -> Pool:
    return Pool(
        name=name,
        spec=PoolSpec(**spec),  # pyright: ignore[reportArgumentType]
        endpoints=tuple(
            Endpoint(
                instance_id=f"shop/web.{slot}.{slot}",
                address=f"172.18.0.{slot + 1}",
                port_number=32768 + slot,
                state=EndpointState.READY if slot > 1 else EndpointState.DRAINING,
            )
            for slot in range(1, count + 1)
        ),
    )


def ruled(
    default: Action,
    *rules: Rule,
    pools: tuple[Pool, ...] = (),
    protocol: ListenerProtocol = ListenerProtocol.HTTP,
    listener: RuledListener | None = None,
    service_port: int = 80,
) -> Route:
    return Route(
        key=RouteKey(address="127.64.0.1", service_port=service_port),
        owner="lb:arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/web/1",
        port_name="listener",
        listener=ListenerSpec(protocol=protocol),
        rules=rules,
        default=default,
        pools=pools,
        ruled=listener or RuledListener(),
    )


def rule(action: Action, *conditions: Condition, name: str = "1") -> Rule:
    return Rule(name=name, conditions=conditions, action=action)


def when(part: Part, *values: str, **more: object) -> Condition:
    return Condition(part=part, values=values, **more)  # pyright: ignore[reportArgumentType]


RICH = replace(
    ruled(
        Forward(pools=((WEB, 1),)),
        rule(Respond(status=404, content_type="text/html", body="<i>\"no'\n</i>"), when(Part.PATH, "/api/*")),
        rule(
            Redirect(status=301, protocol="HTTPS", port_text="443", query="a=1&#{query}"),
            when(Part.HOST, "*.example.com", "example.com"),
            when(Part.HEADER, "a b", name="X-Kind"),
            when(Part.METHOD, "GET", "HEAD"),
            Condition(part=Part.QUERY, pairs=(("k?", "v*"), ("", "x"))),
            when(Part.SOURCE, "10.0.0.0/8", "::1/128"),
        ),
        rule(Forward(pools=((BLUE, 30), (GREEN, 70)), sticky_s=60), when(Part.PATH, "^/v[0-9]'#", is_regex=True)),
        rule(Respond(status=503)),
        pools=(
            pool(WEB, 2, sticky=Sticky(kind=StickyKind.COOKIE, duration_s=86400)),
            pool(BLUE, balance=Balance.LEAST_CONNECTIONS, secure=True, slow_start_s=30),
            pool(GREEN, sticky=Sticky(kind=StickyKind.APP_COOKIE, cookie="SID")),
        ),
        protocol=ListenerProtocol.HTTPS,
        listener=RuledListener(
            forwarded=ForwardedMode.REMOVE,
            preserve_host=False,
            drop_invalid_headers=True,
            http2=False,
            tls_policy="ELBSecurityPolicy-TLS13-1-3-2021-06",
            headers_out=(("Strict-Transport-Security", 'max-age=1; "x" 5%'),),
        ),
        service_port=8443,
    ),
    certificates=("one", "two"),
)  # fmt: skip
STREAM = ruled(
    Forward(pools=((BLUE, 1), (GREEN, 2))),
    pools=(
        pool(BLUE, sticky=Sticky(kind=StickyKind.SOURCE), proxy_protocol=2),
        pool(GREEN, proxy_protocol=1),
    ),
    protocol=ListenerProtocol.TCP,
)
ROUTES = {"rules": RICH, "rules_tcp": STREAM, "rules_none": ruled(Respond(status=404, body="no"))}


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_it_renders_as_agreed(name: str, golden: Callable[[str, str], None]) -> None:
    rendered = render([make_listener(ROUTES[name])], SETTINGS)
    sides = {path: text for path, text in rendered.files.items() if path != CONFIG}
    notes = "".join(f"# {path}: {text!r}\n" for path, text in sorted(sides.items()))
    golden(f"haproxy/{name}.cfg", rendered.files[CONFIG] + notes)


def loaded(route: Route, directory: Path) -> str:
    """What HAProxy says of the configuration; "" when nothing."""
    rendered = render([make_listener(route)], Settings(connections_max=99))
    pem = make_certificate("one", "one.test").pem
    for path, text in rendered.files.items():
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_text(pem if path.endswith(".pem") else text)
    checked = subprocess.run(
        ["haproxy", "-c", "-C", directory, "-f", CONFIG],
        capture_output=True,
        text=True,
        check=False,
    )
    return checked.stderr if checked.returncode or "WARNING" in checked.stderr else ""


@pytest.mark.haproxy
@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
@pytest.mark.parametrize("name", sorted(ROUTES))
def test_haproxy_loads_it(name: str, tmp_path: Path) -> None:
    assert loaded(ROUTES[name], tmp_path) == ""


def test_plain_listeners_are_written_as_if_there_were_none_with_rules() -> None:
    plain = replace(
        RICH, default=None, rules=(), pools=(), key=RouteKey(address="", service_port=1)
    )
    alone, beside = (
        render([make_listener(one) for one in routes], SETTINGS).files[CONFIG]
        for routes in ([plain], [plain, RICH])
    )
    assert beside.split("\n", 2)[2].startswith(alone.rstrip("\n").split("\n", 2)[2])


def test_endpoints_do_not_touch_the_structure() -> None:
    fuller = replace(RICH, pools=tuple(replace(p, endpoints=()) for p in RICH.pools))
    first, second = (render([make_listener(r)], SETTINGS) for r in (RICH, fuller))
    assert first.structure == second.structure
    assert first.files != second.files


@pytest.mark.parametrize(
    "other",
    [
        replace(RICH, default=Respond(status=404)),
        replace(RICH, rules=RICH.rules[1:]),
        replace(RICH, ruled=RuledListener()),
        replace(RICH, pools=(replace(RICH.pools[0], spec=PoolSpec()), *RICH.pools[1:])),
        replace(RICH, rules=(replace(RICH.rules[0], action=Respond(status=404, body="other")),)),
    ],
)
def test_everything_else_changes_the_structure(other: Route) -> None:
    first, second = (render([make_listener(r)], SETTINGS).structure for r in (RICH, other))
    assert first != second


hostile = st.text(
    alphabet=st.one_of(
        st.sampled_from("\n\r\t #\"'\\{}%[]$(),;:|&!<-.*?"),
        st.sampled_from(string.ascii_letters),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=40,
)


def with_texts(host: str, path: str, value: str, regex: str, body: str, name: str) -> Route:
    return ruled(
        Respond(status=404, body=body),
        rule(
            Redirect(status=302, host=host, path=path, query=value),
            when(Part.HOST, value),
            when(Part.PATH, value, path),
            when(Part.HEADER, value, name="X-Y"),
            Condition(part=Part.QUERY, pairs=((host, value),)),
            name=name,
        ),
        rule(Forward(pools=((name, 1),)), when(Part.PATH, regex, is_regex=True)),
        pools=(Pool(name=name),),
    )


@given(hostile, hostile, hostile, hostile, hostile, hostile)
def test_no_text_of_a_user_can_add_or_change_a_line(
    host: str, path: str, value: str, regex: str, body: str, name: str
) -> None:
    texts = [
        render([make_listener(route)], SETTINGS).files[CONFIG]
        for route in (
            with_texts("h", "p", "v", "r", "b", "n"),
            with_texts(host, path, value or "v", regex, body or "b", name),
        )
    ]
    assert [kind(line) for line in texts[0].split("\n")] == [
        kind(line) for line in texts[1].split("\n")
    ]
    assert set(texts[1]) <= set(string.ascii_letters + string.digits + string.punctuation + " \n")
    assert all(line.count("'") in (0, 2, 4) for line in texts[1].split("\n"))


def kind(line: str) -> str:
    """What kind of line it is: its first words without names."""
    words = line.split()
    return " ".join(words[: 1 if {"description", "backend", "use_backend"} & set(words[:1]) else 2])


@pytest.mark.haproxy
@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_haproxy_loads_whatever_is_written(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host, path, value, body, name = (data.draw(hostile) for _ in range(5))
    route = with_texts(host, path, value, ".", body, name)
    assert route_problem(route) == ""
    assert loaded(route, tmp_path_factory.mktemp("cfg")) == ""


def test_an_albs_cookie_is_renewed_and_a_classic_balancers_is_not() -> None:
    def lines(cookie: str) -> list[str]:
        sticky = Sticky(kind=StickyKind.COOKIE, cookie=cookie, duration_s=60)
        route = ruled(Forward(pools=((WEB, 1),)), pools=(pool(WEB, sticky=sticky),))
        config = render([make_listener(route)], SETTINGS).files[CONFIG]
        return [line for line in config.split("\n") if "add-header set-cookie" in line]

    assert all(line.endswith('"') for line in lines("AWSALB"))
    assert lines("") == lines("AWSALB")
    assert all("AWSELB" in line and "!{ srv_name" in line for line in lines("AWSELB"))


def test_a_cookie_beside_the_applications_may_have_a_name_of_its_own_and_traces_may_be_off() -> (
    None
):
    sticky = Sticky(kind=StickyKind.APP_COOKIE, cookie="SID", own_cookie="AWSELB")
    route = ruled(Forward(pools=((WEB, 1),)), pools=(pool(WEB, sticky=sticky),))
    quiet = replace(route, ruled=RuledListener(is_traced=False))
    config, untraced = (render([make_listener(r)], SETTINGS).files[CONFIG] for r in (route, quiet))
    assert 'set-cookie "AWSELB=' in config
    assert "AWSALBAPP" not in config
    assert ("x-amzn-trace-id" in config, "x-amzn-trace-id" in untraced) == (True, False)
    bad = replace(sticky, own_cookie="a b")
    assert "cookie that can be set" in route_problem(
        ruled(Forward(pools=((WEB, 1),)), pools=(pool(WEB, sticky=bad),))
    )


def test_streams_over_tls_have_certificates_and_no_rules() -> None:
    route = replace(STREAM, listener=ListenerSpec(protocol=ListenerProtocol.TLS))
    config = render([make_listener(route)], SETTINGS).files[CONFIG]
    (bind,) = [line for line in config.split("\n") if "bind 127.64.0.1:80" in line]
    assert "ssl crt-list" in bind
    assert "alpn" not in bind
    assert "txn.to" not in config
