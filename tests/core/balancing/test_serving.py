"""The Routes a load balancer means, and who of a group gets traffic."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import Balance, ListenerProtocol
from portway.core.balancing.model import Kind, ListenerRule
from portway.core.balancing.serving import ServedListener, endpoints_of, routes_of
from portway.core.balancing.targets import (
    CHECKING,
    DISABLED,
    DRAINING,
    HEALTHY,
    TIMED_OUT,
    unhealthy,
)
from portway.core.routes import EndpointState
from portway.core.rules import Condition, Forward, ForwardedMode, Part, Respond, StickyKind
from tests.core.balancing.values import BALANCER, GROUP, LISTENER, group, standing

ILL = unhealthy(TIMED_OUT)
READY, LEAVING = EndpointState.READY, EndpointState.DRAINING


def states(of=GROUP, **healths):
    found = endpoints_of(of, [standing(name, health) for name, health in healths.items()])
    return {endpoint.instance_id: endpoint.state for endpoint in found}


def test_only_healthy_targets_get_traffic_and_ill_ones_keep_what_they_have():
    assert states(a=HEALTHY, b=ILL, c=CHECKING) == {"a": READY, "b": LEAVING}


def test_where_none_is_healthy_all_get_traffic():
    assert states(a=ILL, b=ILL, c=CHECKING) == {"a": READY, "b": READY, "c": READY}


def test_while_all_only_start_none_gets_traffic():
    assert states(a=CHECKING, b=CHECKING) == {}


def test_a_group_may_ask_for_more_healthy_ones_before_it_opens():
    key = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
    two = group(attributes={f"{key}.count": "2"})
    assert states(two, a=HEALTHY, b=ILL) == {"a": READY, "b": READY}
    half = group(attributes={f"{key}.percentage": "50"})
    assert states(half, a=HEALTHY, b=ILL, c=ILL) == {"a": READY, "b": READY, "c": READY}
    assert states(half, a=HEALTHY, b=ILL) == {"a": READY, "b": LEAVING}


def test_without_checks_everybody_gets_traffic():
    assert states(a=DISABLED) == {"a": READY}


def test_one_that_drains_does_not_count_and_keeps_its_connections():
    pairs = [standing("a", DRAINING, draining_until_ms=9), standing("b", ILL)]
    found = {e.instance_id: e.state for e in endpoints_of(GROUP, pairs)}
    assert found == {"a": LEAVING, "b": READY}
    gone = [standing("a", DRAINING, draining_until_ms=9, is_routable=False)]
    assert endpoints_of(GROUP, gone) == ()


def test_a_listener_is_a_route_with_its_rules_in_order_and_each_pool_once():
    other = group(arn="arn:other")
    rule = ListenerRule(
        arn="r",
        listener="arn:li",
        priority=10,
        conditions=(Condition(part=Part.PATH, values=("/x*",)),),
        action=Forward(pools=(("arn:other", 1), ("arn:tg", 2))),
    )
    [route] = routes_of(
        BALANCER,
        [ServedListener(listener=LISTENER, rules=(rule,))],
        {"arn:tg": GROUP, "arn:other": other},
        {"arn:tg": [standing("a")]},
    )
    assert (route.owner, route.key.address, route.key.service_port) == (
        "lb:arn:lb",
        "127.64.0.1",
        80,
    )
    assert (route.default, route.rules[0].name) == (LISTENER.action, "10")
    assert [(pool.name, len(pool.endpoints)) for pool in route.pools] == [
        ("arn:other", 0),
        ("arn:tg", 1),
    ]
    assert route.listener.protocol is ListenerProtocol.HTTP


def test_attributes_become_what_the_balancer_does():
    set_to = {
        "stickiness.enabled": "true",
        "load_balancing.algorithm.type": "least_outstanding_requests",
        "slow_start.duration_seconds": "30",
    }
    balancer = replace(
        BALANCER,
        attributes={
            "idle_timeout.timeout_seconds": "5",
            "routing.http.xff_header_processing.mode": "remove",
            "routing.http2.enabled": "false",
        },
    )
    [route] = routes_of(
        balancer, [ServedListener(listener=LISTENER)], {"arn:tg": group(attributes=set_to)}, {}
    )
    spec = route.pools[0].spec
    assert spec.sticky is not None
    assert (spec.sticky.kind, spec.sticky.duration_s) == (StickyKind.COOKIE, 86400)
    assert (spec.balance, spec.slow_start_s) == (Balance.LEAST_CONNECTIONS, 30.0)
    assert (route.ruled.idle_timeout_s, route.ruled.http2) == (5.0, False)
    assert route.ruled.forwarded is ForwardedMode.REMOVE


def test_other_kinds_of_stickiness():
    cookie = {"stickiness.enabled": "true", "stickiness.type": "app_cookie", "stickiness.app_cookie.cookie_name": "sid"}  # fmt: skip
    for given, protocol, kind in (
        (cookie, "HTTP", StickyKind.APP_COOKIE),
        ({"stickiness.enabled": "true"}, "TCP", StickyKind.SOURCE),
    ):
        pools = {"arn:tg": group(attributes=given, protocol=protocol)}
        [route] = routes_of(BALANCER, [ServedListener(listener=LISTENER)], pools, {})
        assert route.pools[0].spec.sticky.kind is kind


def test_a_network_load_balancer_passes_streams_on():
    network = replace(BALANCER, kind=Kind.NETWORK)
    listener = replace(LISTENER, protocol="TCP", attributes={"tcp.idle_timeout.seconds": "60"})
    pools = {"arn:tg": group(protocol="TCP", attributes={"proxy_protocol_v2.enabled": "true"})}
    [route] = routes_of(network, [ServedListener(listener=listener)], pools, {})
    assert route.listener.protocol is ListenerProtocol.TCP
    assert (route.pools[0].spec.is_http, route.pools[0].spec.proxy_protocol) == (False, 2)
    assert route.ruled.idle_timeout_s == 60.0


def test_a_listener_that_only_answers_has_no_pools():
    listener = replace(LISTENER, action=Respond(status=404))
    [route] = routes_of(BALANCER, [ServedListener(listener=listener)], {}, {})
    assert route.pools == ()
