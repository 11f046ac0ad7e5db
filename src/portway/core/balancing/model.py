"""Load balancers, listeners, rules and target groups as they were asked for and are stored. Values alone, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from portway.core.app import Balance, CheckKind, HealthCheck
from portway.core.health import parse_statuses
from portway.core.rules import Action, Condition, Forward

TRAFFIC_PORT = "traffic-port"
OWNER_PREFIX = "lb:"


class Kind(StrEnum):
    """ALB or NLB, as the API spells it."""

    APPLICATION = "application"
    NETWORK = "network"


class TargetType(StrEnum):
    """What a target's id is: a node (reached on a host port), or an address."""

    INSTANCE = "instance"
    IP = "ip"


HTTP_PROTOCOLS = ("HTTP", "HTTPS")
STREAM_PROTOCOLS = ("TCP", "TLS")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """One ALB or NLB. `zones`: (zone name, subnet id). `address`: where its listeners are bound."""

    arn: str
    name: str
    kind: Kind
    scheme: str = "internet-facing"
    dns_name: str = ""
    address: str = ""
    vpc_id: str = ""
    zones: tuple[tuple[str, str], ...] = ()
    security_groups: tuple[str, ...] = ()
    ip_address_type: str = "ipv4"
    created_at_ms: int = 0
    attributes: Mapping[str, str] = field(default_factory=dict)  # only those that were set
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """Whose its Routes are, to the balancer."""
        return OWNER_PREFIX + self.arn


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetCheck:
    """How the targets of a group are checked. `number_text`: "traffic-port" or a number."""

    protocol: str = "HTTP"
    number_text: str = TRAFFIC_PORT
    path: str = "/"
    interval_s: int = 30
    timeout_s: int = 5
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    matcher: str = "200"
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One registered by hand. `draining_until_ms`: it was deregistered, and is shown so long."""

    id: str
    number: int
    registered_at_ms: int = 0
    draining_until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroup:
    """A group of targets. `number` is only the default of targets that come without one."""

    arn: str
    name: str
    protocol: str
    number: int
    protocol_version: str = ""
    target_type: TargetType = TargetType.INSTANCE
    vpc_id: str = ""
    ip_address_type: str = "ipv4"
    check: TargetCheck = TargetCheck()
    attributes: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_http(self) -> bool:
        """Whether it is an ALB's."""
        return self.protocol in HTTP_PROTOCOLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listener of a load balancer. `certificates`: ARNs, the default one first."""

    arn: str
    load_balancer: str
    protocol: str
    number: int
    action: Action
    certificates: tuple[str, ...] = ()
    ssl_policy: str = ""
    alpn_policy: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerRule:
    """A rule of an ALB's listener; the lowest priority is tried first."""

    arn: str
    listener: str
    priority: int
    conditions: tuple[Condition, ...]
    action: Action
    tags: Mapping[str, str] = field(default_factory=dict)


def is_classic(group: str) -> bool:
    """Whether a group is a classic load balancer, which goes by its name; target groups go by their ARN."""
    return ":" not in group


def groups_of(action: Action) -> tuple[str, ...]:
    """The target groups that an action leads to."""
    return tuple(arn for arn, _ in action.pools) if isinstance(action, Forward) else ()


def health_check(group: TargetGroup) -> HealthCheck:
    """The check of a group in the words of the one judge.

    A fresh target of an ALB is healthy after one success; `healthy_threshold` is for those that failed.
    """
    check = group.check
    kinds = {"HTTP": CheckKind.HTTP, "HTTPS": CheckKind.HTTPS, "SSL": CheckKind.TLS}
    return HealthCheck(
        kind=kinds.get(check.protocol, CheckKind.TCP),
        path=check.path,
        statuses=parse_statuses(check.matcher) or ((200, 200),),
        interval_s=float(check.interval_s),
        timeout_s=float(check.timeout_s),
        start_period_s=0.0,
        healthy_threshold=check.healthy_threshold,
        first_threshold=1 if group.is_http else 0,
        unhealthy_threshold=check.unhealthy_threshold,
    )


BALANCES = {
    "round_robin": Balance.ROUND_ROBIN,
    "least_outstanding_requests": Balance.LEAST_CONNECTIONS,
    "weighted_random": Balance.RANDOM,
}
