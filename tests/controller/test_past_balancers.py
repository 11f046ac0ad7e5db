"""Load balancers in the map of a moment."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.past_balancers import (
    balanced_apps,
    is_of_balancer,
    map_of_balancers_then,
)
from portway.core.balancing.shared import OWNER as SHARED_OWNER
from portway.core.ownership import Holding, HoldingKind
from tests.core.balancing.values import BALANCER

LISTENER = Holding(
    kind=HoldingKind.LISTENER, number=443, app_id=BALANCER.owner, port_name="https-443", protocol="https", address="127.64.0.1"
)  # fmt: skip
WEB = replace(
    LISTENER, kind=HoldingKind.ENDPOINT, port_name="arn:aws:e:r:a:targetgroup/tg/1", instance_id="c/web.1.1#1",
    target_address="10.0.0.1", target_port=31004, state="ready",
)  # fmt: skip
HAND = replace(WEB, port_name="arn:aws:e:r:a:targetgroup/hand/2", instance_id="10.9.9.9:80", target_address="10.9.9.9", target_port=80)  # fmt: skip
LEASE = Holding(
    kind=HoldingKind.LEASE, number=31004, app_id="c/web", instance_id="c/web.1.1", container_port=80, address="10.0.0.1"
)  # fmt: skip
HELD = (LISTENER, WEB, HAND, LEASE)


def test_each_target_group_of_a_listener_is_an_entry() -> None:
    hand, web = map_of_balancers_then(HELD, {})
    assert (web.url, web.tls, web.target_group) == ("https://127.64.0.1/", True, "tg")
    assert (web.stack, web.app, hand.stack, hand.app) == ("c", "web", "", "")
    (one,), (other,) = web.endpoints, hand.endpoints
    assert (one.instance, one.host_port, one.container_port) == ("web.1.1", 31004, 80)
    assert (other.instance, other.host_port, other.target_port) == ("", 0, 80)


def test_what_there_still_is_has_its_name_and_scheme() -> None:
    inside = replace(BALANCER, scheme="internal", dns_name="web.elb")
    routes = map_of_balancers_then(HELD, {BALANCER.owner: inside})
    assert {(r.exposure, r.url) for r in routes} == {("internal", "https://web.elb/")}


def test_of_a_stack_are_the_entries_that_one_of_its_instances_was_in() -> None:
    assert [r.target_group for r in map_of_balancers_then(HELD, {}, stack="c")] == ["tg"]
    assert map_of_balancers_then(HELD, {}, stack="d") == ()


def test_a_listener_that_only_answers_itself_has_no_targets() -> None:
    shared = replace(LISTENER, app_id=SHARED_OWNER)
    (route,) = map_of_balancers_then((shared,), {})
    assert (route.load_balancer, route.endpoints, route.note) == ("of virtual hosts", (), "no targets")  # fmt: skip


def test_apps_behind_load_balancers_are_told_from_those_that_only_publish() -> None:
    assert balanced_apps(HELD) >= {"c/web"}
    assert [is_of_balancer(h) for h in HELD] == [True, True, True, False]
