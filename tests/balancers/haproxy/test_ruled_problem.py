"""What is refused before it is written: each with its sentence, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.balancers.haproxy.listeners import route_problem
from portway.balancers.haproxy.ruled_problem import CONDITIONS_MAX, ruled_problem
from portway.core.app import ListenerProtocol
from portway.core.routes import Endpoint, Pool
from portway.core.rules import (
    Action,
    Condition,
    Forward,
    Part,
    PoolSpec,
    Redirect,
    Respond,
    RuledListener,
    Sticky,
    StickyKind,
)
from tests.balancers.haproxy.test_ruled import RICH, ROUTES, rule, ruled, when

TO_WEB = Forward(pools=(("web", 1),))
WEB = Pool(name="web")


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_what_can_be_served_is_no_problem(name: str) -> None:
    assert route_problem(ROUTES[name]) == ""


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Redirect(status=307), "301 or 302"),
        (Redirect(status=301, protocol="gopher"), "nothing to redirect to"),
        (Redirect(status=301, port_text="80 x"), "nothing to redirect to"),
        (Redirect(status=301, path="/\ud800"), "no text has"),
        (Respond(status=302), "2xx, 4xx or 5xx"),
        (Respond(status=99), "2xx, 4xx or 5xx"),
        (Respond(status=200, body="x" * 1025), "at most 1024"),
        (Respond(status=200, body="\0"), "is text"),
        (Respond(status=200, content_type="text/x y"), "is none of text/plain"),
        (Forward(pools=(("web", 1000),)), "from 0 to 999"),
        (Forward(pools=(("gone", 1),)), "forwards to gone, which is no pool"),
    ],
)
def test_an_action_that_cannot_be_done_is_a_problem(action: Action, said: str) -> None:
    assert said in ruled_problem(ruled(action, pools=(WEB,)))
    assert said in ruled_problem(ruled(Respond(status=404), rule(action), pools=(WEB,)))


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (when(Part.PATH), "has no values"),
        (Condition(part=Part.QUERY), "has no values"),
        (when(Part.HEADER, "a", name="x y"), "no name of a header"),
        (when(Part.HEADER, "a", name="x'y"), "no name of a header"),
        (when(Part.SOURCE, "10.0.0.0/33"), "no range of addresses"),
        (when(Part.SOURCE, "fe80::1%eth0"), "no range of addresses"),
        (when(Part.PATH, "a\ud800"), "no text has"),
        (when(Part.PATH, "\\Qa'", is_regex=True), "instead of \\Q"),
    ],
)
def test_a_condition_that_cannot_be_asked_is_a_problem_of_its_rule(
    condition: Condition, said: str
) -> None:
    problem = ruled_problem(ruled(Respond(status=404), rule(Respond(status=200), condition)))
    assert problem.startswith("Rule 1: ")
    assert said in problem


def test_a_rule_has_only_so_many_conditions() -> None:
    one = when(Part.PATH, "/")
    for count, said in ((CONDITIONS_MAX, ""), (CONDITIONS_MAX + 1, "more than 40 conditions")):
        route = ruled(Respond(status=404), rule(Respond(status=200), *[one] * count))
        assert said in ruled_problem(route)
        assert bool(said) == bool(ruled_problem(route))


@pytest.mark.parametrize(
    "sticky",
    [
        Sticky(kind=StickyKind.APP_COOKIE),
        Sticky(kind=StickyKind.APP_COOKIE, cookie="a b"),
        Sticky(kind=StickyKind.COOKIE, cookie='a"'),
        Sticky(kind=StickyKind.COOKIE, cookie="a%"),
    ],
)
def test_a_cookie_has_a_name_that_can_be_looked_for(sticky: Sticky) -> None:
    pool = Pool(name="web", spec=PoolSpec(sticky=sticky))
    assert "no name of a cookie" in ruled_problem(ruled(TO_WEB, pools=(pool,)))


def test_an_instance_may_be_in_a_pool_with_two_ports_but_not_twice_with_one() -> None:
    one = Endpoint(instance_id="i", address="10.0.0.1", port_number=32768)
    other = replace(one, port_number=32769)
    twice = ruled(TO_WEB, pools=(replace(WEB, endpoints=(one, one)),))
    assert "listed twice in pool web" in ruled_problem(twice)
    fine = ruled(TO_WEB, pools=(replace(WEB, endpoints=(one, other)),))
    assert ruled_problem(fine) == ""


def test_an_endpoint_of_a_pool_is_an_address_and_a_port() -> None:
    bad = Endpoint(instance_id="i", address="web.local", port_number=1)
    assert "web.local" in route_problem(ruled(TO_WEB, pools=(replace(WEB, endpoints=(bad,)),)))


def test_a_pool_is_listed_once() -> None:
    assert "A pool is listed twice" in ruled_problem(ruled(TO_WEB, pools=(WEB, WEB)))


def test_streams_are_only_forwarded() -> None:
    tcp = ListenerProtocol.TCP
    for route in (
        ruled(Respond(status=200), protocol=tcp),
        ruled(TO_WEB, rule(TO_WEB), pools=(WEB,), protocol=tcp),
    ):
        assert "it can only forward" in ruled_problem(route)


def test_a_header_sent_is_one_line() -> None:
    for name, value in (("x y", "1"), ("x", "1\r\nSet-Cookie: a=b")):
        bad = replace(RICH, ruled=RuledListener(headers_out=((name, value),)))
        assert "no header that can be sent" in ruled_problem(bad)
