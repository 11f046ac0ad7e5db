"""What is stored of a load balancer, and the check that a target group means."""

from __future__ import annotations

import json

import msgspec
import pytest

from portway.core.app import CheckKind
from portway.core.balancing.model import ListenerRule, TargetCheck, groups_of, health_check
from portway.core.health import CheckResult, Health, HealthStatus, judge
from portway.core.rules import Condition, Forward, Part, Redirect, Respond
from portway.store.codec import decode, encode
from tests.core.balancing.values import BALANCER, GROUP, LISTENER, group


@pytest.mark.parametrize(
    "value",
    [
        BALANCER,
        GROUP,
        LISTENER,
        *(
            ListenerRule(
                arn="r",
                listener="l",
                priority=1,
                conditions=(Condition(part=Part.PATH, values=("/a*",)),),
                action=action,
            )
            for action in (Redirect(status=301), Respond(status=404), Forward(pools=(("t", 1),)))
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_is_stored_is_read_back_the_same(value: object):
    assert decode(type(value), encode(value)) == value


def test_a_document_of_an_older_portway_gets_the_defaults():
    old = json.dumps({"arn": "arn:lb", "name": "web", "kind": "network"})
    assert decode(type(BALANCER), old).ip_address_type == "ipv4"
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"{}", type=type(BALANCER))


def test_only_a_forward_leads_to_groups():
    assert groups_of(Forward(pools=(("a", 1), ("b", 0)))) == ("a", "b")
    assert groups_of(Respond(status=200)) == ()


def test_a_fresh_target_of_an_alb_is_healthy_after_one_success_and_a_recovering_one_after_five():
    check = health_check(GROUP)
    assert (check.kind, check.statuses, check.interval_s) == (CheckKind.HTTP, ((200, 200),), 30)
    passed = CheckResult(at_ms=1, passed=True, detail="")
    assert judge(Health(), passed, check, started_at_ms=0).status is HealthStatus.PASSING
    ill = Health(status=HealthStatus.FAILING)
    for _ in range(4):
        ill = judge(ill, passed, check, started_at_ms=0)
        assert ill.status is HealthStatus.FAILING
    assert judge(ill, passed, check, started_at_ms=0).status is HealthStatus.PASSING


def test_a_fresh_target_of_an_nlb_takes_all_its_successes():
    check = health_check(group(protocol="TCP", check=TargetCheck(protocol="TCP")))
    passed = CheckResult(at_ms=1, passed=True, detail="")
    assert check.kind is CheckKind.TCP
    assert judge(Health(), passed, check, started_at_ms=0).status is HealthStatus.UNKNOWN


def test_a_fresh_target_that_fails_is_unhealthy_after_its_threshold_of_intervals():
    check = health_check(GROUP)
    late = CheckResult(at_ms=60_000, passed=False, detail="")
    early = CheckResult(at_ms=59_999, passed=False, detail="")
    assert judge(Health(), early, check, started_at_ms=0).status is HealthStatus.UNKNOWN
    assert judge(Health(), late, check, started_at_ms=0).status is HealthStatus.FAILING
