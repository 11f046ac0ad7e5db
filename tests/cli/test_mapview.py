"""The map as text: load balancers come last, their rules below each listener."""

from __future__ import annotations

from typing import Any

import click

from portway.cli.client import converted
from portway.cli.mapview import map_lines
from portway.controller.views import MapRoute
from tests.cli import views


def balanced(**changes: Any) -> dict[str, Any]:
    fields = {
        "url": "http://hello.elb.test/", "address": "127.64.1.2", "service_port": 80, "load_balancer": "hello",
        "dns_name": "hello.elb.test", "rule": "default", "when": "", "target_group": "tg", "weight": None,
        "endpoints": [views.endpoint(1, state="healthy")],
    }  # fmt: skip
    return views.route(**{**fields, **changes})


def lines(*routes: dict[str, Any]) -> list[str]:
    return [click.unstyle(line) for line in map_lines(converted(routes, tuple[MapRoute, ...]))]


def test_a_listener_is_followed_by_its_rules_and_each_by_its_groups() -> None:
    ill = views.endpoint(2, state="unhealthy", reason="Health checks failed")
    by_hand = views.endpoint(
        3, slot_name="", host_address="", host_port=0, target_address="10.0.0.9", target_port=81, state="initial"
    )  # fmt: skip
    assert lines(
        balanced(rule="5", when="path /x", weight=3, endpoints=[views.endpoint(1, state="healthy"), ill]),
        balanced(rule="5", when="path /x", weight=1, target_group="other", endpoints=[by_hand]),
        balanced(rule="9", when="host a", target_group="", note="answers 404 itself", endpoints=[]),
        balanced(endpoints=[]),
        views.route(),
    ) == [
        "  http://127.0.0.1:8000/  ->  web   127.0.0.1:31004 -> web.1:80   127.0.0.1:31005 -> web.2:80",
        "  http://hello.elb.test/   load balancer hello, 127.64.1.2:80",
        "      5: path /x  ->  tg (weight 3)      127.0.0.1:31004 -> web.1:80   "
        "127.0.0.1:31005 -> web.2:80 (unhealthy: Health checks failed)",
        "                  ->  other (weight 1)   10.0.0.9:81 (initial)",
        "      9: host a   ->  answers 404 itself",
        "      default     ->  tg   it has no targets",
    ]  # fmt: skip


def test_what_a_load_balancer_cannot_serve_is_told_below_it() -> None:
    assert lines(balanced(note="80 is taken"))[-1] == "          80 is taken"
