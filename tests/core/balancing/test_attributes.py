"""Attributes have their defaults, their ranges, and one kind of load balancer that has them."""

from __future__ import annotations

import pytest

from portway.core.balancing.attributes import (
    BALANCER_ATTRIBUTES,
    GROUP_ATTRIBUTES,
    LISTENER_ATTRIBUTES,
    attributes_for,
    balancer_attributes,
    deregistration_delay_s,
    group_attributes,
    kind_of_group,
    listener_attributes,
)
from portway.core.balancing.model import Kind, TargetType
from tests.core.balancing.values import BALANCER, LISTENER, group


@pytest.mark.parametrize("every", [GROUP_ATTRIBUTES, BALANCER_ATTRIBUTES, LISTENER_ATTRIBUTES])
def test_every_default_but_the_empty_one_is_allowed(every):
    for attribute in every:
        assert not attribute.default or not attribute.problem(attribute.default), attribute.key


def test_all_attributes_of_a_kind_are_told_and_no_others():
    of_alb, of_nlb = group_attributes(group()), group_attributes(group(protocol="TCP"))
    assert (of_alb["stickiness.type"], of_nlb["stickiness.type"]) == ("lb_cookie", "source_ip")
    assert "slow_start.duration_seconds" not in of_nlb
    assert "proxy_protocol_v2.enabled" not in of_alb
    assert balancer_attributes(BALANCER)["idle_timeout.timeout_seconds"] == "60"
    assert kind_of_group(group(protocol="TLS")) is Kind.NETWORK


def test_the_client_address_is_kept_for_instances_and_not_for_addresses():
    of_ip = group_attributes(group(protocol="TCP", target_type=TargetType.IP))
    assert of_ip["preserve_client_ip.enabled"] == "false"
    assert group_attributes(group(protocol="TCP"))["preserve_client_ip.enabled"] == "true"


def test_what_was_set_is_told_instead_of_the_default():
    given = {"deregistration_delay.timeout_seconds": "5"}
    assert deregistration_delay_s(group(attributes=given)) == 5
    assert deregistration_delay_s(group()) == 300


def test_only_tcp_listeners_have_attributes():
    assert listener_attributes(LISTENER, Kind.NETWORK) == {}


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("deregistration_delay.timeout_seconds", "3601", "between '0' and '3600'"),
        ("deregistration_delay.timeout_seconds", "soon", "must be a number"),
        ("slow_start.duration_seconds", "29", "between '30' and '900'"),
        ("slow_start.duration_seconds", "0", ""),
        ("stickiness.enabled", "yes", "one of [true, false]"),
        ("stickiness.app_cookie.cookie_name", "anything", ""),
    ],
)
def test_a_value_outside_its_range_is_refused(key: str, value: str, problem: str):
    found = attributes_for(GROUP_ATTRIBUTES, Kind.APPLICATION)[key].problem(value)
    assert problem in found
    assert bool(found) is bool(problem)
