"""Classic load balancers at one moment: what DescribeInstanceHealth says of each instance, and the Routes they mean. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from portway.core.app import Balance, ListenerProtocol, ListenerSpec
from portway.core.balancing.classic import (
    APP_COOKIE,
    LB_COOKIE,
    PROXY_PROTOCOL,
    SECURE_PROTOCOLS,
    ClassicBalancer,
    ClassicListener,
    pool_name,
)
from portway.core.balancing.targets import Member, TargetHealth, TargetState
from portway.core.health import Health, HealthStatus
from portway.core.routes import Endpoint, EndpointState, Pool, Route, RouteKey
from portway.core.rules import Forward, PoolSpec, RuledListener, Sticky, StickyKind

COOKIE = "AWSELB"
_COOKIE_MAX_S = 10 * 365 * 24 * 3600  # beyond it browsers forget cookies anyway
FAILED = (
    "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."
)
NOT_PASSED = (
    "Instance has not passed the configured HealthyThreshold number of health checks consecutively."
)
ELSEWHERE = "Instance is in the EC2 Availability Zone for which LoadBalancer is not configured to route traffic to."

IN_SERVICE = TargetHealth(state=TargetState.HEALTHY, reason="N/A", description="N/A")
LEAVING = TargetHealth(
    state=TargetState.DRAINING,
    reason="N/A",
    description="Instance deregistration currently in progress.",
)
REGISTERING = TargetHealth(
    state=TargetState.INITIAL, reason="ELB", description="Instance registration is still in progress."
)  # fmt: skip
NOT_REGISTERED = TargetHealth(
    state=TargetState.UNUSED,
    reason="Instance",
    description="Instance is not currently registered with the LoadBalancer.",
)
_TERMINATED = TargetHealth(
    state=TargetState.UNUSED, reason="Instance", description="Instance is in terminated state."
)
_TRANSIENT = TargetHealth(
    state=TargetState.UNAVAILABLE,
    reason="ELB",
    description="A transient error occurred. Please try again later.",
)
_PROTOCOLS = {
    "HTTP": ListenerProtocol.HTTP,
    "HTTPS": ListenerProtocol.HTTPS,
    "TCP": ListenerProtocol.TCP,
    "SSL": ListenerProtocol.TLS,
}
_STATES = {
    TargetState.HEALTHY: EndpointState.READY,
    TargetState.UNHEALTHY: EndpointState.DRAINING,  # it keeps the connections it has
    TargetState.DRAINING: EndpointState.DRAINING,
}

Standing = tuple[Member, TargetHealth]


def state_of_instance(
    balancer: ClassicBalancer, member: Member, health: Health | None, *, zone: str
) -> TargetHealth:
    """What DescribeInstanceHealth says of an instance. `zone`: the one it is in."""
    if member.is_draining:
        return LEAVING
    if not member.address:
        return _TERMINATED
    if zone not in [name for name, _ in balancer.zones]:
        return TargetHealth(state=TargetState.UNUSED, reason="ELB", description=ELSEWHERE)
    if health is None:
        return IN_SERVICE if member.was_well else REGISTERING
    match health.status:
        case HealthStatus.PASSING:
            return IN_SERVICE
        case HealthStatus.FAILING:
            return _ill(TargetState.UNHEALTHY, NOT_PASSED if health.passes else FAILED)
        case HealthStatus.UNKNOWN:
            if health.unchecked:
                return _TRANSIENT
            return _ill(TargetState.INITIAL, NOT_PASSED) if health.passes else REGISTERING


def _ill(state: TargetState, description: str) -> TargetHealth:
    return TargetHealth(state=state, reason="Instance", description=description)


def instance_states(standings: Sequence[Standing]) -> Mapping[str, TargetHealth]:
    """By instance, each once: one that leaves with one task and stays with another one stays."""
    found: dict[str, TargetHealth] = {}
    for member, health in sorted(standings, key=lambda each: not each[0].is_draining):
        found[member.id] = health
    return found


def classic_routes(balancer: ClassicBalancer, standings: Sequence[Standing]) -> tuple[Route, ...]:
    """Every Route of a load balancer, by its port."""
    return tuple(_route(balancer, listener, standings) for listener in balancer.listeners)


def _route(
    balancer: ClassicBalancer, listener: ClassicListener, standings: Sequence[Standing]
) -> Route:
    idle_timeout_s = float(balancer.attributes.idle_timeout_s)
    name = pool_name(balancer.name, listener.instance_port)
    return Route(
        key=RouteKey(address=balancer.address, service_port=listener.number),
        owner=balancer.owner,
        port_name=f"{listener.protocol.lower()}-{listener.number}",
        listener=ListenerSpec(
            protocol=_PROTOCOLS[listener.protocol], idle_timeout_s=idle_timeout_s
        ),
        certificates=(listener.certificate,) if listener.is_secure else (),
        default=Forward(pools=((name, 1),)),
        pools=(
            Pool(
                name=name,
                spec=_spec(balancer, listener),
                endpoints=tuple(_endpoints(listener.instance_port, standings)),
            ),
        ),
        ruled=RuledListener(http2=False, idle_timeout_s=idle_timeout_s, is_traced=False),
    )


def _spec(balancer: ClassicBalancer, listener: ClassicListener) -> PoolSpec:
    secure = listener.instance_protocol in SECURE_PROTOCOLS
    if listener.is_http:
        sticky = _sticky(balancer, listener)
        return PoolSpec(balance=Balance.LEAST_CONNECTIONS, sticky=sticky, secure=secure)
    told = any(
        policy.type_name == PROXY_PROTOCOL and policy.value("ProxyProtocol").lower() == "true"
        for policy in balancer.policies_at(listener.instance_port)
    )
    return PoolSpec(secure=secure, proxy_protocol=1 if told else 0, is_http=False)


def _sticky(balancer: ClassicBalancer, listener: ClassicListener) -> Sticky | None:
    for policy in balancer.policies_of(listener, LB_COOKIE):
        duration_s = min(int(policy.value("CookieExpirationPeriod") or 0), _COOKIE_MAX_S)
        return Sticky(kind=StickyKind.COOKIE, duration_s=duration_s, cookie=COOKIE)
    for policy in balancer.policies_of(listener, APP_COOKIE):
        name = policy.value("CookieName")
        return Sticky(kind=StickyKind.APP_COOKIE, cookie=name, own_cookie=COOKIE)
    return None


def _endpoints(instance_port: int, standings: Sequence[Standing]) -> Iterator[Endpoint]:
    """Who of the instances gets traffic on a port of theirs: those in service. With none in service nobody does.

    Where a task has the port, it is the task's: what leaves with it drains, whoever else is on the instance.
    """
    usable = [(m, h) for m, h in standings if m.is_routable and m.address]
    usable.sort(key=lambda each: (each[0].registered_at_ms, each[0].endpoint_id))
    nodes: dict[str, list[Standing]] = {}
    for each in usable:
        nodes.setdefault(each[0].id, []).append(each)
    for instance_id, there in nodes.items():
        holders = [each for each in there if instance_port in each[0].host_ports]
        for member, health in holders:
            yield from _endpoint(member, health, member.endpoint_id, instance_port)
        if not holders:
            member, health = min(there, key=lambda each: each[0].is_draining)
            yield from _endpoint(member, health, f"{instance_id}:{instance_port}", instance_port)


def _endpoint(
    member: Member, health: TargetHealth, endpoint_id: str, instance_port: int
) -> Iterator[Endpoint]:
    state = _STATES.get(health.state)
    if state is not None:
        address, number = member.reached_at(instance_port)
        yield Endpoint(
            instance_id=endpoint_id,
            address=address,
            port_number=number,
            state=state,
        )
