"""Attributes of load balancers, target groups and listeners: every key with its default, what it may be, and who has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portway.core.balancing.model import (
    BALANCES,
    Kind,
    Listener,
    LoadBalancer,
    TargetGroup,
    TargetType,
)

BOTH = (Kind.APPLICATION, Kind.NETWORK)
ALB = (Kind.APPLICATION,)
NLB = (Kind.NETWORK,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One key. `allowed`: its words; `least` and `most`: its range when it is a number; neither: any text.

    `words_too`: words beside the number ("off"). `has_effect`: portway acts on it, otherwise it is only kept.
    """

    key: str
    default: str
    kinds: tuple[Kind, ...] = BOTH
    allowed: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    zero_too: bool = False
    has_effect: bool = False

    def problem(self, value: str) -> str:
        """Why it cannot have this value, "" when it can."""
        if self.allowed and self.least is None and value not in self.allowed:
            return f"'{self.key}' must be one of [{', '.join(self.allowed)}]"
        if self.least is None or value in self.allowed:
            return ""
        if not (value.isascii() and value.isdecimal()):
            return f"'{self.key}' must be a number"
        number = int(value[:12])
        if (self.zero_too and number == 0) or self.least <= number <= (self.most or number):
            return ""
        return f"'{self.key}' value must be between '{self.least}' and '{self.most}' inclusive"


def _flag(key: str, default: str, kinds: tuple[Kind, ...] = BOTH, *, has_effect: bool = False) -> Attribute:  # fmt: skip
    return Attribute(key=key, default=default, kinds=kinds, allowed=("true", "false"), has_effect=has_effect)  # fmt: skip


def _number(
    key: str,
    default: str,
    span: tuple[int, int],
    kinds: tuple[Kind, ...] = BOTH,
    *,
    words: tuple[str, ...] = (),
    zero_too: bool = False,
    has_effect: bool = False,
) -> Attribute:
    return Attribute(
        key=key,
        default=default,
        kinds=kinds,
        allowed=words,
        least=span[0],
        most=span[1],
        zero_too=zero_too,
        has_effect=has_effect,
    )


def _words(
    key: str,
    default: str,
    allowed: tuple[str, ...],
    kinds: tuple[Kind, ...] = BOTH,
    *,
    has_effect: bool = False,
) -> Attribute:
    return Attribute(key=key, default=default, allowed=allowed, kinds=kinds, has_effect=has_effect)


DELAY = "deregistration_delay.timeout_seconds"
STICKY = "stickiness.enabled"
STICKY_TYPE = "stickiness.type"
LB_COOKIE_S = "stickiness.lb_cookie.duration_seconds"
APP_COOKIE = "stickiness.app_cookie.cookie_name"
APP_COOKIE_S = "stickiness.app_cookie.duration_seconds"
ALGORITHM = "load_balancing.algorithm.type"
ANOMALY = "load_balancing.algorithm.anomaly_mitigation"
SLOW_START = "slow_start.duration_seconds"
PROXY_V2 = "proxy_protocol_v2.enabled"
OPEN_COUNT = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count"
OPEN_PERCENT = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage"
DELETION_PROTECTION = "deletion_protection.enabled"
IDLE_TIMEOUT = "idle_timeout.timeout_seconds"
KEEP_ALIVE = "client_keep_alive.seconds"
HTTP2 = "routing.http2.enabled"
DROP_INVALID = "routing.http.drop_invalid_header_fields.enabled"
PRESERVE_HOST = "routing.http.preserve_host_header.enabled"
XFF_MODE = "routing.http.xff_header_processing.mode"
TCP_IDLE = "tcp.idle_timeout.seconds"

_HEALTH = "target_group_health."

GROUP_ATTRIBUTES = (
    _number(DELAY, "300", (0, 3600), has_effect=True),
    _flag(STICKY, "false", has_effect=True),
    _words(STICKY_TYPE, "lb_cookie", ("lb_cookie", "app_cookie"), ALB, has_effect=True),
    _words(STICKY_TYPE, "source_ip", ("source_ip",), NLB, has_effect=True),
    _number(LB_COOKIE_S, "86400", (1, 604800), ALB, has_effect=True),
    Attribute(key=APP_COOKIE, default="", kinds=ALB, has_effect=True),
    _number(APP_COOKIE_S, "86400", (1, 604800), ALB, has_effect=True),
    _words(ALGORITHM, "round_robin", tuple(BALANCES), ALB, has_effect=True),
    _words(ANOMALY, "off", ("on", "off"), ALB),
    _number(SLOW_START, "0", (30, 900), ALB, zero_too=True, has_effect=True),
    _words("load_balancing.cross_zone.enabled", "use_load_balancer_configuration", ("true", "false", "use_load_balancer_configuration")),
    _number(f"{_HEALTH}dns_failover.minimum_healthy_targets.count", "1", (1, 1000), words=("off",)),
    _number(f"{_HEALTH}dns_failover.minimum_healthy_targets.percentage", "off", (1, 100), words=("off",)),
    _number(OPEN_COUNT, "1", (1, 1000), has_effect=True),
    _number(OPEN_PERCENT, "off", (1, 100), words=("off",), has_effect=True),
    _flag("deregistration_delay.connection_termination.enabled", "false", NLB),
    _flag("preserve_client_ip.enabled", "true", NLB),
    _flag(PROXY_V2, "false", NLB, has_effect=True),
    _flag("target_health_state.unhealthy.connection_termination.enabled", "true", NLB),
    _number("target_health_state.unhealthy.draining_interval_seconds", "0", (0, 360000), NLB),
)  # fmt: skip

_LOGS = ("access_logs", "connection_logs", "health_check_logs")

BALANCER_ATTRIBUTES = (
    _flag(DELETION_PROTECTION, "false", has_effect=True),
    _words("load_balancing.cross_zone.enabled", "true", ("true",), ALB),
    _flag("load_balancing.cross_zone.enabled", "false", NLB),
    _number(IDLE_TIMEOUT, "60", (1, 4000), ALB, has_effect=True),
    _number(KEEP_ALIVE, "3600", (60, 604800), ALB, has_effect=True),
    _flag(HTTP2, "true", ALB, has_effect=True),
    _words("routing.http.desync_mitigation_mode", "defensive", ("monitor", "defensive", "strictest"), ALB),
    _flag(DROP_INVALID, "false", ALB, has_effect=True),
    _flag(PRESERVE_HOST, "false", ALB, has_effect=True),
    _words(XFF_MODE, "append", ("append", "preserve", "remove"), ALB, has_effect=True),
    _flag("routing.http.xff_client_port.enabled", "false", ALB),
    _flag("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false", ALB),
    _flag("waf.fail_open.enabled", "false", ALB),
    _flag("ipv6.deny_all_igw_traffic", "false"),
    _flag("zonal_shift.config.enabled", "false"),
    *(
        attribute
        for logs in _LOGS
        for attribute in (
            _flag(f"{logs}.s3.enabled", "false", ALB if logs != "access_logs" else BOTH),
            Attribute(key=f"{logs}.s3.bucket", default="", kinds=ALB if logs != "access_logs" else BOTH),
            Attribute(key=f"{logs}.s3.prefix", default="", kinds=ALB if logs != "access_logs" else BOTH),
        )
    ),
    _words(
        "dns_record.client_routing_policy",
        "any_availability_zone",
        ("any_availability_zone", "availability_zone_affinity", "partial_availability_zone_affinity"),
        NLB,
    ),
    _number("secondary_ips.auto_assigned.per_subnet", "0", (0, 7), NLB),
)  # fmt: skip

LISTENER_ATTRIBUTES = (_number(TCP_IDLE, "350", (60, 6000), NLB, has_effect=True),)


def attributes_for(every: tuple[Attribute, ...], kind: Kind) -> dict[str, Attribute]:
    """Those that a kind of load balancer has, by key."""
    return {attribute.key: attribute for attribute in every if kind in attribute.kinds}


def _complete(every: tuple[Attribute, ...], kind: Kind, given: Mapping[str, str]) -> dict[str, str]:
    known = attributes_for(every, kind)
    return {key: given.get(key, attribute.default) for key, attribute in known.items()}


def kind_of_group(group: TargetGroup) -> Kind:
    """Which kind of load balancer may have the group."""
    return Kind.APPLICATION if group.is_http else Kind.NETWORK


def group_attributes(group: TargetGroup) -> dict[str, str]:
    """All attributes of a group, whether set or not."""
    found = _complete(GROUP_ATTRIBUTES, kind_of_group(group), group.attributes)
    if "preserve_client_ip.enabled" not in group.attributes and group.target_type is TargetType.IP:
        found.update({k: "false" for k in ("preserve_client_ip.enabled",) if k in found})
    return found


def balancer_attributes(balancer: LoadBalancer) -> dict[str, str]:
    """All attributes of a load balancer."""
    return _complete(BALANCER_ATTRIBUTES, balancer.kind, balancer.attributes)


def listener_attributes(listener: Listener, kind: Kind) -> dict[str, str]:
    """All attributes of a listener; TLS listeners of an NLB have none."""
    if listener.protocol != "TCP":
        return {}
    return _complete(LISTENER_ATTRIBUTES, kind, listener.attributes)


def deregistration_delay_s(group: TargetGroup) -> int:
    """How long a deregistered target keeps the connections it has."""
    return int(group_attributes(group)[DELAY])
