"""A classic load balancer is one group of targets, and what its health check may ask."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import CheckKind
from portway.core.balancing.attributes import deregistration_delay_s
from portway.core.balancing.classic import (
    LB_COOKIE,
    ClassicAttributes,
    ClassicCheck,
    group_of,
    pool_name,
    read_target,
    target_problem,
)
from portway.core.balancing.model import Target, health_check, is_classic
from portway.store.codec import from_body, to_body
from tests.core.balancing.classics import CLASSIC, SSL, TCP, WEB, classic


def test_its_instances_are_a_group_with_its_one_check() -> None:
    instances = (Target(id="i-1", number=0),)
    group = group_of(classic(instances=instances))
    assert (group.arn, group.targets, group.check.number_text) == ("httpd", instances, "3245")
    check = health_check(group)
    assert (check.kind, check.interval_s, check.healthy_threshold) == (CheckKind.TCP, 5.0, 2)
    assert check.first_threshold == 0  # a fresh one passes as often as any other
    assert is_classic(group.arn)
    assert not is_classic("arn:tg")


@pytest.mark.parametrize(
    ("target", "kind"),
    [("HTTP:80/x", CheckKind.HTTP), ("HTTPS:1/", CheckKind.HTTPS), ("ssl:443", CheckKind.TLS)],
)
def test_the_check_asks_what_its_target_says(target: str, kind: CheckKind) -> None:
    check = health_check(group_of(classic(check=ClassicCheck(target=target))))
    assert check.kind is kind
    assert check.statuses == ((200, 200),)


def test_instances_drain_only_where_the_load_balancer_drains() -> None:
    assert deregistration_delay_s(group_of(CLASSIC)) == 0
    drains = ClassicAttributes(drains=True, draining_s=7)
    assert deregistration_delay_s(group_of(classic(attributes=drains))) == 7


def test_a_target_is_a_protocol_a_port_and_for_http_a_path() -> None:
    assert read_target("http:80/a?b=1") == ("HTTP", 80, "/a?b=1")
    for good in ("TCP:1", "SSL:65535", "HTTPS:443/", "HTTP:80/ping"):
        assert target_problem(good) == ""
    for bad, told in (
        ("FOO:1", "must begin with one of HTTP, TCP, HTTPS, SSL"),
        ("HTTP:80", "a path that begins with a slash"),
        ("HTTP:80/a b", "a path that begins with a slash"),
        ("HTTP:80/\r\nX: y", "a path that begins with a slash"),
        ("TCP:80/x", "a port and nothing else"),
        ("TCP:web", "a port and nothing else"),
        ("TCP:0", "between 1 and 65535"),
        ("HTTP:70000/", "between 1 and 65535"),
    ):
        assert told in target_problem(bad), bad


def test_a_listener_has_its_port_alone_and_the_policies_it_was_given() -> None:
    changed = replace(TCP, instance_port=4000)
    assert CLASSIC.with_listener(changed).listeners == (changed, SSL)
    assert CLASSIC.listener(443) == SSL
    assert CLASSIC.listener(81) is None
    web = replace(WEB, policies=("affinity", "gone"))
    assert [p.name for p in CLASSIC.policies_of(web, LB_COOKIE)] == ["affinity"]
    backend = classic(backend_policies=((3245, ("proxy", "gone")),))
    assert [p.name for p in backend.policies_at(3245)] == ["proxy"]
    assert backend.policies_at(80) == []
    assert CLASSIC.policies[0].value("nothing") == ""
    assert CLASSIC.owner == f"lb:{CLASSIC.arn}"


def test_it_is_stored_and_what_an_older_document_lacks_has_its_default() -> None:
    whole = classic(backend_policies=((3245, ("proxy",)),), tags={"k": "v"})
    body = to_body(whole)
    assert from_body(type(CLASSIC), body) == whole
    for name in ("attributes", "backend_policies", "instances", "tags", "check"):
        del body[name]
    assert from_body(type(CLASSIC), body).attributes.idle_timeout_s == 60


def test_a_pool_is_named_by_the_port_of_the_instances() -> None:
    assert pool_name("httpd", 3245) == "httpd:3245"
