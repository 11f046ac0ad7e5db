"""A load balancer with one listener and one group, as the tests of its rules use them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.core.balancing.model import Kind, Listener, LoadBalancer, TargetGroup
from portway.core.balancing.targets import HEALTHY, Member, TargetHealth
from portway.core.rules import Forward

BALANCER = LoadBalancer(arn="arn:lb", name="web", kind=Kind.APPLICATION, address="127.64.0.1")
GROUP = TargetGroup(arn="arn:tg", name="tg", protocol="HTTP", number=80)
LISTENER = Listener(
    arn="arn:li",
    load_balancer="arn:lb",
    protocol="HTTP",
    number=80,
    action=Forward(pools=(("arn:tg", 1),)),
)


def group(**fields: Any) -> TargetGroup:
    """GROUP with other fields."""
    return replace(GROUP, **fields)


def member(name: str = "a", **fields: Any) -> Member:
    """A target that can be reached."""
    given: dict[str, Any] = {
        "id": "i-1",
        "number": 32768,
        "address": "127.0.0.1",
        "endpoint_id": name,
        "registered_at_ms": 0,
    }
    return Member(**{**given, **fields})


def standing(
    name: str, health: TargetHealth = HEALTHY, **fields: Any
) -> tuple[Member, TargetHealth]:
    """A target and how it stands."""
    return member(name, **fields), health
