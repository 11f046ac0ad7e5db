"""The Routes that a load balancer means: its listeners, their rules, and the pools of targets behind them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portway.core.app import ListenerProtocol, ListenerSpec
from portway.core.balancing import attributes as keys
from portway.core.balancing.attributes import (
    balancer_attributes,
    group_attributes,
    listener_attributes,
)
from portway.core.balancing.model import (
    BALANCES,
    Kind,
    Listener,
    ListenerRule,
    LoadBalancer,
    TargetGroup,
    groups_of,
)
from portway.core.balancing.targets import Member, TargetHealth, TargetState
from portway.core.routes import Endpoint, EndpointState, Pool, Route, RouteKey
from portway.core.rules import ForwardedMode, PoolSpec, Rule, RuledListener, Sticky, StickyKind

_PROTOCOLS = {
    "HTTP": ListenerProtocol.HTTP,
    "HTTPS": ListenerProtocol.HTTPS,
    "TCP": ListenerProtocol.TCP,
    "TLS": ListenerProtocol.TLS,
}
_TRUE = "true"

Standing = tuple[Member, TargetHealth]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedListener:
    """A listener with its rules in the order they are tried."""

    listener: Listener
    rules: tuple[ListenerRule, ...] = ()


def routes_of(
    balancer: LoadBalancer,
    listeners: Sequence[ServedListener],
    groups: Mapping[str, TargetGroup],
    targets: Mapping[str, Sequence[Standing]],
) -> tuple[Route, ...]:
    """Every Route of a load balancer, by its port. `targets`: those of each group and how they stand."""
    ordered = sorted(listeners, key=lambda served: served.listener.number)
    return tuple(_route(balancer, served, groups, targets) for served in ordered)


def _route(
    balancer: LoadBalancer,
    served: ServedListener,
    groups: Mapping[str, TargetGroup],
    targets: Mapping[str, Sequence[Standing]],
) -> Route:
    listener = served.listener
    actions = [listener.action, *(rule.action for rule in served.rules)]
    wanted = dict.fromkeys(arn for action in actions for arn in groups_of(action))
    return Route(
        key=RouteKey(address=balancer.address, service_port=listener.number),
        owner=balancer.owner,
        port_name=f"{listener.protocol.lower()}-{listener.number}",
        listener=ListenerSpec(
            protocol=_PROTOCOLS[listener.protocol], idle_timeout_s=_idle_timeout_s(balancer, listener)
        ),
        certificates=listener.certificates,
        rules=tuple(
            Rule(name=str(rule.priority), conditions=rule.conditions, action=rule.action)
            for rule in served.rules
        ),
        default=listener.action,
        pools=tuple(
            _pool(groups[arn], targets.get(arn, ())) for arn in sorted(wanted) if arn in groups
        ),
        ruled=_ruled(balancer, listener),
    )  # fmt: skip


def _idle_timeout_s(balancer: LoadBalancer, listener: Listener) -> float:
    if balancer.kind is Kind.APPLICATION:
        return float(balancer_attributes(balancer)[keys.IDLE_TIMEOUT])
    return float(listener_attributes(listener, balancer.kind).get(keys.TCP_IDLE, "350"))


def _ruled(balancer: LoadBalancer, listener: Listener) -> RuledListener:
    idle_timeout_s = _idle_timeout_s(balancer, listener)
    if balancer.kind is not Kind.APPLICATION:
        return RuledListener(idle_timeout_s=idle_timeout_s, tls_policy=listener.ssl_policy)
    set_to = balancer_attributes(balancer)
    return RuledListener(
        forwarded=ForwardedMode(set_to[keys.XFF_MODE]),
        # Off, an ALB adds the port to a Host that has none; what a target is told is the client's Host either way.
        preserve_host=True,
        drop_invalid_headers=set_to[keys.DROP_INVALID] == _TRUE,
        http2=set_to[keys.HTTP2] == _TRUE,
        idle_timeout_s=idle_timeout_s,
        keep_alive_s=float(set_to[keys.KEEP_ALIVE]),
        tls_policy=listener.ssl_policy,
    )


def _pool(group: TargetGroup, targets: Sequence[Standing]) -> Pool:
    return Pool(name=group.arn, spec=_spec(group), endpoints=endpoints_of(group, targets))


def _spec(group: TargetGroup) -> PoolSpec:
    set_to = group_attributes(group)
    if not group.is_http:
        proxy = 2 if set_to[keys.PROXY_V2] == _TRUE else 0
        return PoolSpec(
            sticky=_sticky(set_to), secure=group.protocol == "TLS", proxy_protocol=proxy, is_http=False
        )  # fmt: skip
    return PoolSpec(
        balance=BALANCES[set_to[keys.ALGORITHM]],
        sticky=_sticky(set_to),
        secure=group.protocol == "HTTPS",
        slow_start_s=float(set_to[keys.SLOW_START]),
    )


def _sticky(set_to: Mapping[str, str]) -> Sticky | None:
    if set_to[keys.STICKY] != _TRUE:
        return None
    match set_to[keys.STICKY_TYPE]:
        case "lb_cookie":
            return Sticky(
                kind=StickyKind.COOKIE, duration_s=int(set_to[keys.LB_COOKIE_S]), cookie="AWSALB"
            )
        case "app_cookie":
            return Sticky(
                kind=StickyKind.APP_COOKIE,
                duration_s=int(set_to[keys.APP_COOKIE_S]),
                cookie=set_to[keys.APP_COOKIE],
            )
        case _:
            return Sticky(kind=StickyKind.SOURCE)


def endpoints_of(group: TargetGroup, targets: Sequence[Standing]) -> tuple[Endpoint, ...]:
    """Who of a group gets traffic: the healthy ones; where they are too few, all of them ("fail open").

    One that drains, or has become unhealthy, keeps the connections it has. One that was never healthy gets nothing
    unless all fail.
    """
    usable = [pair for pair in targets if pair[0].is_routable and pair[0].address]
    usable.sort(key=lambda pair: (pair[0].registered_at_ms, pair[0].endpoint_id))
    staying = [pair for pair in usable if not pair[0].is_draining]
    opens = _fails_open(group, staying)
    found: list[Endpoint] = []
    for member, health in usable:
        state = _endpoint_state(member, health, opens=opens)
        if state is not None:
            address, number = member.reached_at(member.number)
            found.append(
                Endpoint(
                    instance_id=member.endpoint_id,
                    address=address,
                    port_number=number,
                    state=state,
                )
            )
    return tuple(found)


def _endpoint_state(member: Member, health: TargetHealth, *, opens: bool) -> EndpointState | None:
    if member.is_draining:
        return EndpointState.DRAINING
    match health.state:
        case TargetState.HEALTHY:
            return EndpointState.READY
        case TargetState.UNAVAILABLE:
            # Checks that are switched off say nothing against anybody.
            return EndpointState.READY
        case TargetState.UNHEALTHY:
            return EndpointState.READY if opens else EndpointState.DRAINING
        case TargetState.INITIAL:
            return EndpointState.READY if opens else None
        case TargetState.UNUSED | TargetState.DRAINING:
            return None


def _fails_open(group: TargetGroup, staying: Sequence[Standing]) -> bool:
    """Whether so few are healthy that all get traffic; while all only start, none does."""
    states = [health.state for _, health in staying]
    if TargetState.UNHEALTHY not in states:
        return False
    well = sum(1 for state in states if state in (TargetState.HEALTHY, TargetState.UNAVAILABLE))
    set_to = group_attributes(group)
    percentage = set_to[keys.OPEN_PERCENT]
    if percentage != "off" and well * 100 < int(percentage) * len(states):
        return True
    return well < int(set_to[keys.OPEN_COUNT])
