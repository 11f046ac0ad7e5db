"""A classic load balancer with two listeners, as the tests of its rules use it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.core.balancing.classic import (
    APP_COOKIE,
    LB_COOKIE,
    PROXY_PROTOCOL,
    ClassicBalancer,
    ClassicCheck,
    ClassicListener,
    ClassicPolicy,
)

ZONE = "us-east-1a"
TCP = ClassicListener(protocol="TCP", number=80, instance_protocol="TCP", instance_port=3245)
SSL = ClassicListener(
    protocol="SSL",
    number=443,
    instance_protocol="TCP",
    instance_port=56839,
    certificate="arn:aws:iam::1:server-certificate/web",
)
WEB = ClassicListener(protocol="HTTP", number=8080, instance_protocol="HTTP", instance_port=3245)
POLICIES = (
    ClassicPolicy(
        name="affinity", type_name=LB_COOKIE, attributes=(("CookieExpirationPeriod", "60"),)
    ),
    ClassicPolicy(name="session", type_name=APP_COOKIE, attributes=(("CookieName", "SID"),)),
    ClassicPolicy(name="proxy", type_name=PROXY_PROTOCOL, attributes=(("ProxyProtocol", "true"),)),
)
CLASSIC = ClassicBalancer(
    arn="arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/httpd",
    name="httpd",
    address="127.64.0.1",
    zones=((ZONE, "subnet-1"),),
    security_groups=("sg-1",),
    listeners=(TCP, SSL),
    check=ClassicCheck(
        target="TCP:3245", interval_s=5, timeout_s=3, unhealthy_threshold=2, healthy_threshold=2
    ),
    policies=POLICIES,
)


def classic(**fields: Any) -> ClassicBalancer:
    """CLASSIC with other fields."""
    return replace(CLASSIC, **fields)
