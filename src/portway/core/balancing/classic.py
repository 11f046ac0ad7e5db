"""Classic load balancers as they were asked for and are stored, and the group of targets that each of them is. Values alone.

One check, on one port of an instance, says of all its listeners whether the instance gets traffic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from portway.core.balancing.attributes import DELAY
from portway.core.balancing.model import OWNER_PREFIX, Target, TargetCheck, TargetGroup

HTTP_PROTOCOLS = ("HTTP", "HTTPS")
STREAM_PROTOCOLS = ("TCP", "SSL")
SECURE_PROTOCOLS = ("HTTPS", "SSL")

SSL_NEGOTIATION = "SSLNegotiationPolicyType"
LB_COOKIE = "LBCookieStickinessPolicyType"
APP_COOKIE = "AppCookieStickinessPolicyType"
PROXY_PROTOCOL = "ProxyProtocolPolicyType"
STICKINESS = (LB_COOKIE, APP_COOKIE)

_TARGET = re.compile(r"(HTTP|HTTPS|TCP|SSL):([0-9]{1,5})(/[\x21-\x7e]{0,1023})?", re.IGNORECASE)
_ANY_TARGET = re.compile(r"(?:HTTP|HTTPS|TCP|SSL):", re.IGNORECASE)
_PORT_MAX = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicListener:
    """`number` of the load balancer leads to `instance_port` of every instance. `policies`: by name, those in effect."""

    protocol: str
    number: int
    instance_protocol: str
    instance_port: int
    certificate: str = ""
    policies: tuple[str, ...] = ()

    @property
    def is_http(self) -> bool:
        """Whether it sees requests, not connections alone."""
        return self.protocol in HTTP_PROTOCOLS

    @property
    def is_secure(self) -> bool:
        """Whether it speaks TLS to clients."""
        return self.protocol in SECURE_PROTOCOLS


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicCheck:
    """`target`: TCP:80, SSL:443, HTTP:80/path or HTTPS:443/path."""

    target: str = "TCP:80"
    interval_s: int = 30
    timeout_s: int = 5
    unhealthy_threshold: int = 2
    healthy_threshold: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicPolicy:
    """A policy that the load balancer has; it does nothing until a listener or an instance port is given it."""

    name: str
    type_name: str
    attributes: tuple[tuple[str, str], ...] = ()

    def value(self, name: str) -> str:
        """Of an attribute; "" when it has none of that name."""
        return next((value for key, value in self.attributes if key == name), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLog:
    """Kept and told; portway has an access log of its own."""

    enabled: bool = False
    bucket: str = ""
    interval_min: int | None = None
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicAttributes:
    """`draining_s` counts only while `drains`."""

    cross_zone: bool = False
    drains: bool = False
    draining_s: int = 300
    idle_timeout_s: int = 60
    access_log: AccessLog = AccessLog()
    desync_mode: str = "defensive"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicBalancer:
    """One classic load balancer. `instances`: those registered by hand. `zones`: (zone name, subnet id).

    `backend_policies`: by instance port, the names of policies in effect there.
    """

    arn: str
    name: str
    scheme: str = "internet-facing"
    dns_name: str = ""
    address: str = ""
    vpc_id: str = ""
    zones: tuple[tuple[str, str], ...] = ()
    security_groups: tuple[str, ...] = ()
    created_at_ms: int = 0
    listeners: tuple[ClassicListener, ...] = ()
    check: ClassicCheck = ClassicCheck()
    policies: tuple[ClassicPolicy, ...] = ()
    backend_policies: tuple[tuple[int, tuple[str, ...]], ...] = ()
    instances: tuple[Target, ...] = ()
    attributes: ClassicAttributes = ClassicAttributes()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """Whose its Routes are, to the balancer."""
        return OWNER_PREFIX + self.arn

    def policy(self, name: str) -> ClassicPolicy | None:
        """One of its policies."""
        return next((policy for policy in self.policies if policy.name == name), None)

    def listener(self, number: int) -> ClassicListener | None:
        """The listener on a port of the load balancer."""
        return next((listener for listener in self.listeners if listener.number == number), None)

    def with_listener(self, changed: ClassicListener) -> ClassicBalancer:
        """With this in place of the listener on the same port, or beside the others."""
        others = [one for one in self.listeners if one.number != changed.number]
        ordered = sorted([*others, changed], key=lambda one: one.number)
        return replace(self, listeners=tuple(ordered))

    def policies_of(self, listener: ClassicListener, type_name: str) -> list[ClassicPolicy]:
        """Those of one type that are in effect on a listener."""
        known = [policy for name in listener.policies if (policy := self.policy(name)) is not None]
        return [policy for policy in known if policy.type_name == type_name]

    def policies_at(self, instance_port: int) -> list[ClassicPolicy]:
        """Those in effect towards a port of the instances."""
        names = dict(self.backend_policies).get(instance_port, ())
        return [policy for name in names if (policy := self.policy(name)) is not None]


def group_of(balancer: ClassicBalancer) -> TargetGroup:
    """Its instances as the one group of targets that they are: named as the load balancer, with its check."""
    check, attributes = balancer.check, balancer.attributes
    protocol, number, path = read_target(check.target)
    return TargetGroup(
        arn=balancer.name,
        name=balancer.name,
        protocol="TCP",  # so that a fresh one has to pass as often as any other
        number=0,
        vpc_id=balancer.vpc_id,
        check=TargetCheck(
            protocol=protocol,
            number_text=str(number),
            path=path,
            interval_s=check.interval_s,
            timeout_s=check.timeout_s,
            healthy_threshold=check.healthy_threshold,
            unhealthy_threshold=check.unhealthy_threshold,
            matcher="200",
        ),
        attributes={DELAY: str(attributes.draining_s if attributes.drains else 0)},
        targets=balancer.instances,
    )


def pool_name(name: str, instance_port: int) -> str:
    """The pool of a load balancer's instances on one of their ports."""
    return f"{name}:{instance_port}"


def read_target(target: str) -> tuple[str, int, str]:
    """(protocol, port, path) of a target without problems; the path is "" where nothing is asked for."""
    found = _TARGET.fullmatch(target)
    assert found is not None, target
    return found[1].upper(), int(found[2]), found[3] or ""


def target_problem(target: str) -> str:
    """Why this is no target of a health check, "" when it is one."""
    if not _ANY_TARGET.match(target):
        return "HealthCheck Target must begin with one of HTTP, TCP, HTTPS, SSL"
    protocol = target.partition(":")[0].upper()
    found = _TARGET.fullmatch(target)
    if protocol in HTTP_PROTOCOLS and (found is None or not found[3]):
        example = f"e.g. {protocol}:80/ping/this/path"
        return f"HealthCheck {protocol} Target must specify a port followed by a path that begins with a slash. {example}"
    if found is None or (protocol in STREAM_PROTOCOLS and found[3]):
        return f"HealthCheck {protocol} Target must specify a port and nothing else. e.g. {protocol}:80"
    if not 1 <= int(found[2]) <= _PORT_MAX:
        return "HealthCheck Target port must be between 1 and 65535"
    return ""
