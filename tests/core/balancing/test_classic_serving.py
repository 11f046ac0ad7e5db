"""How instances of a classic load balancer stand, and who of them gets traffic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import Balance, ListenerProtocol
from portway.core.balancing.classic import ClassicAttributes
from portway.core.balancing.classic_serving import (
    ELSEWHERE,
    FAILED,
    IN_SERVICE,
    LEAVING,
    NOT_PASSED,
    REGISTERING,
    classic_routes,
    instance_states,
    state_of_instance,
)
from portway.core.balancing.targets import TargetHealth, TargetState
from portway.core.health import Health, HealthStatus
from portway.core.routes import EndpointState, Route
from portway.core.rules import StickyKind
from tests.core.balancing.classics import CLASSIC, POLICIES, SSL, TCP, WEB, ZONE, classic
from tests.core.balancing.values import member, standing

FAILING = TargetHealth(state=TargetState.UNHEALTHY, reason="Instance", description=FAILED)
PASSING = HealthStatus.PASSING


def served(*standings, **fields) -> dict[int, list[tuple[str, str, EndpointState]]]:
    """By port of the load balancer, who is behind it."""
    return {
        route.key.service_port: [
            (e.instance_id, f"{e.address}:{e.port_number}", e.state)
            for e in route.pools[0].endpoints
        ]
        for route in classic_routes(classic(**fields), standings)
    }


def only(listener, **fields) -> Route:
    [route] = classic_routes(classic(listeners=(listener,), **fields), ())
    return route


@pytest.mark.parametrize(
    ("health", "reason", "description"),
    [
        (None, "ELB", "Instance registration is still in progress."),
        (Health(), "ELB", "Instance registration is still in progress."),
        (Health(passes=1), "Instance", NOT_PASSED),
        (Health(unchecked="no"), "ELB", "A transient error occurred. Please try again later."),
        (Health(status=PASSING), "N/A", "N/A"),
        (Health(status=HealthStatus.FAILING), "Instance", FAILED),
        (Health(status=HealthStatus.FAILING, passes=1), "Instance", NOT_PASSED),
    ],
)
def test_a_state_has_its_reason_and_description(health, reason: str, description: str) -> None:
    told = state_of_instance(CLASSIC, member(), health, zone=ZONE)
    assert (told.reason, told.description) == (reason, description)


def test_who_leaves_is_gone_or_elsewhere_is_not_judged() -> None:
    passing = Health(status=PASSING)
    leaving = member(draining_until_ms=5)
    assert state_of_instance(CLASSIC, leaving, passing, zone=ZONE) == LEAVING
    gone = state_of_instance(CLASSIC, member(address=""), passing, zone=ZONE)
    assert gone.description == "Instance is in terminated state."
    elsewhere = state_of_instance(CLASSIC, member(), passing, zone="us-east-1b")
    assert (elsewhere.reason, elsewhere.description) == ("ELB", ELSEWHERE)
    known = member(was_well=True)
    assert state_of_instance(CLASSIC, known, None, zone=ZONE) == IN_SERVICE


def test_an_instance_is_told_once_and_stays_while_any_task_of_it_does() -> None:
    leaves = standing("a", LEAVING, draining_until_ms=5)
    assert instance_states([standing("b", IN_SERVICE), leaves]) == {"i-1": IN_SERVICE}
    assert instance_states([leaves]) == {"i-1": LEAVING}


def test_every_listener_leads_to_its_own_port_of_every_instance_in_service() -> None:
    hand = standing("i-1:0", IN_SERVICE)
    ill = standing("i-2:0", FAILING, id="i-2", address="127.0.0.2")
    fresh = standing("i-3:0", REGISTERING, id="i-3", address="127.0.0.3")
    ready, draining = EndpointState.READY, EndpointState.DRAINING
    assert served(hand, ill, fresh) == {
        80: [("i-1:3245", "127.0.0.1:3245", ready), ("i-2:3245", "127.0.0.2:3245", draining)],
        443: [("i-1:56839", "127.0.0.1:56839", ready), ("i-2:56839", "127.0.0.2:56839", draining)],
    }


def test_where_all_fail_nobody_gets_anything() -> None:
    assert served(standing("a", FAILING))[80][0][2] is EndpointState.DRAINING


def test_a_port_that_a_task_has_is_the_tasks_and_drains_with_it() -> None:
    leaving = standing("c/a.1.1", LEAVING, host_ports=(3245,), draining_until_ms=9)
    stays = standing("c/b.1.1", IN_SERVICE, host_ports=(4000,))
    found = served(leaving, stays)
    assert found[80] == [("c/a.1.1", "127.0.0.1:3245", EndpointState.DRAINING)]
    assert found[443] == [("i-1:56839", "127.0.0.1:56839", EndpointState.READY)]
    both = served(standing("c/a.1.1", IN_SERVICE, host_ports=(3245, 56839)))
    assert [each[0] for each in (*both[80], *both[443])] == ["c/a.1.1", "c/a.1.1"]


def test_one_that_is_only_still_shown_gets_nothing() -> None:
    assert served(standing("a", LEAVING, is_routable=False))[80] == []


def test_a_route_is_what_its_listener_says() -> None:
    tcp, ssl, web = only(TCP), only(SSL), only(WEB)
    assert (tcp.listener.protocol, tcp.pools[0].spec.is_http) == (ListenerProtocol.TCP, False)
    assert tcp.pools[0].spec.balance is Balance.ROUND_ROBIN
    assert (ssl.listener.protocol, ssl.certificates) == (ListenerProtocol.TLS, (SSL.certificate,))
    assert web.pools[0].spec.balance is Balance.LEAST_CONNECTIONS
    assert not web.ruled.http2
    assert tcp.owner == CLASSIC.owner
    idle = only(WEB, attributes=ClassicAttributes(idle_timeout_s=7))
    assert (idle.ruled.idle_timeout_s, idle.listener.idle_timeout_s) == (7.0, 7.0)
    assert only(replace(WEB, instance_protocol="HTTPS")).pools[0].spec.secure


def test_policies_take_effect_where_they_are_set() -> None:
    assert only(WEB).pools[0].spec.sticky is None
    kept = only(replace(WEB, policies=("affinity",))).pools[0].spec.sticky
    assert kept is not None
    assert (kept.kind, kept.duration_s, kept.cookie) == (StickyKind.COOKIE, 60, "AWSELB")
    ages = replace(POLICIES[0], attributes=(("CookieExpirationPeriod", "9999999999"),))
    long = only(replace(WEB, policies=("affinity",)), policies=(ages,)).pools[0].spec.sticky
    assert long is not None
    assert long.duration_s == 10 * 365 * 24 * 3600
    app = only(replace(WEB, policies=("session",))).pools[0].spec.sticky
    assert app is not None
    assert (app.kind, app.cookie, app.own_cookie) == (StickyKind.APP_COOKIE, "SID", "AWSELB")
    told = {"backend_policies": ((3245, ("proxy",)),)}
    assert only(TCP, **told).pools[0].spec.proxy_protocol == 1
    assert only(WEB, **told).pools[0].spec.proxy_protocol == 0
    assert only(SSL, **told).pools[0].spec.proxy_protocol == 0
