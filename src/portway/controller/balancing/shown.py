"""Load balancers as the map shows them: listener, rule, target group, and each target with its state. Changes nothing."""

from __future__ import annotations

from portway.controller.balancing.balancing import Balancing
from portway.controller.balancing.leads import Lead, leads_of
from portway.controller.views import MapEndpoint, MapRoute
from portway.controller.world import World, app_of, short_id
from portway.core.balancing.model import TargetGroup, TargetType
from portway.core.balancing.targets import Member, TargetHealth, TargetState

_INTERNAL = "internal"
_TLS = ("HTTPS", "TLS", "SSL")


def map_of_balancers(world: World, balancing: Balancing, stack: str = "") -> tuple[MapRoute, ...]:
    """Every rule of every listener, one entry for each target group it leads to; of a stack those that lead to its Apps."""
    registry = balancing.registry
    found: list[MapRoute] = []
    for balancer in sorted(registry.balancers, key=lambda each: each.name):
        if not stack or any(
            _stack(app_id) == stack
            for group in registry.groups_used_by(balancer.arn)
            for app_id in world.members.get(group, ())
        ):
            found += [_route(world, balancing, lead) for lead in leads_of(registry, balancer)]
    return tuple(found)


def balanced_urls(world: World, balancing: Balancing) -> dict[str, tuple[str, ...]]:
    """By stack, the public listeners of load balancers through which its Apps are reached."""
    found: dict[str, set[str]] = {}
    for balancer in balancing.registry.balancers:
        for lead in leads_of(balancing.registry, balancer):
            if balancer.scheme != _INTERNAL and lead.weight:
                for app_id in world.members.get(lead.group, ()):
                    found.setdefault(_stack(app_id), set()).add(lead.url)
    return {stack: tuple(sorted(urls)) for stack, urls in found.items()}


def _stack(app_id: str) -> str:
    return app_id.rpartition("/")[0]


def _route(world: World, balancing: Balancing, lead: Lead) -> MapRoute:
    balancer = lead.balancer
    group = balancing.registry.group(lead.group) if lead.group else None
    apps = sorted(world.members.get(lead.group, ()))
    stack, _, app = apps[0].rpartition("/") if len(apps) == 1 else ("", "", "")
    refused = balancing.refusal(balancer).partition("\n")[0]
    return MapRoute(
        stack=stack,
        app=app,
        port_name=f"{lead.protocol.lower()}-{lead.number}",
        exposure=_INTERNAL if balancer.scheme == _INTERNAL else "public",
        protocol=lead.protocol.lower(),
        address=balancer.address,
        service_port=lead.number,
        url=lead.url,
        tls=lead.protocol in _TLS,
        endpoints=_endpoints(world, balancing, lead, group) if group else (),
        note="; ".join(part for part in (lead.note, refused) if part),
        load_balancer=balancer.name,
        dns_name=balancer.dns_name,
        rule=lead.rule,
        when=lead.when,
        target_group=group.name if group else "",
        weight=lead.weight if lead.shares else None,
    )


def _endpoints(
    world: World, balancing: Balancing, lead: Lead, group: TargetGroup
) -> tuple[MapEndpoint, ...]:
    route = (world.served_by(lead.balancer.owner) or {}).get(lead.key)
    connections = {
        endpoint.instance_id: endpoint.connections
        for pool in (route.pools if route else ())
        if pool.name in balancing.registry.pool_names(lead.group)
        for endpoint in pool.endpoints
    }
    return tuple(
        _endpoint(world, lead, group, member, health, connections.get(member.endpoint_id, 0))
        for member, health in balancing.standings(group)
        if not lead.instance_port
        or not member.instance_id
        or lead.instance_port in member.host_ports
    )


def _endpoint(
    world: World,
    lead: Lead,
    group: TargetGroup,
    member: Member,
    health: TargetHealth,
    connections: int,
) -> MapEndpoint:
    by_node = group.target_type is TargetType.INSTANCE
    short, number = short_id(member.instance_id), lead.instance_port or member.number
    return MapEndpoint(
        instance=short,
        slot_name=short.rpartition(".")[0],
        host_address=member.address if by_node else "",
        host_port=number if by_node else 0,
        container_port=_behind(world, member, number) if by_node else number,
        target_address=member.address,
        target_port=number,
        state=health.state.value,
        connections=connections,
        target=member.id,
        reason="" if health.state is TargetState.HEALTHY else health.description,
    )


def _behind(world: World, member: Member, host_port: int) -> int:
    """The container_port behind a target that is an instance; 0 where nobody knows."""
    state = world.apps.get(app_of(member.instance_id)) if member.instance_id else None
    leases = [
        lease
        for record in (state.instances if state else ())
        if record.id == member.instance_id
        for lease in record.identity.leases
        if lease.host_port == host_port
    ]
    return leases[0].container_port if leases else 0
