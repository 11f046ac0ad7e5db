"""Readings of all workers -> ServedRoutes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portway.balancers.haproxy.counters import Counters
from portway.balancers.haproxy.listeners import Listener
from portway.balancers.haproxy.readback import ServerKey, ServerState, Statistics
from portway.core.routes import (
    Endpoint,
    EndpointState,
    ServedEndpoint,
    ServedPool,
    ServedRoute,
)


def served_routes(
    listeners: Sequence[Listener],
    *,
    endpoints: Mapping[str, Endpoint],
    servers: Mapping[ServerKey, ServerState],
    readings: Sequence[Statistics],
    counters: Counters,
) -> tuple[ServedRoute, ...]:
    """The routes of the current worker (the first reading), with the connections of all workers."""
    connections = _sum_connections(readings)
    running = [one for one in listeners if one.name in readings[0].frontends]
    live: dict[str, list[ServerKey]] = {}
    for key, state in servers.items():
        if not state.maintenance and key.server in endpoints:
            live.setdefault(key.backend, []).append(key)
    return tuple(
        _served_route(listener, endpoints, live, servers, connections, counters)
        for listener in sorted(running, key=lambda one: one.route.key)
    )


def _sum_connections(readings: Sequence[Statistics]) -> dict[ServerKey, int]:
    total: dict[ServerKey, int] = {}
    for reading in readings:
        for key, count in reading.connections.items():
            total[key] = total.get(key, 0) + count
    return total


def _served_route(
    listener: Listener,
    endpoints: Mapping[str, Endpoint],
    live: Mapping[str, Sequence[ServerKey]],
    servers: Mapping[ServerKey, ServerState],
    connections: Mapping[ServerKey, int],
    counters: Counters,
) -> ServedRoute:
    def served(backends: Sequence[str]) -> tuple[ServedEndpoint, ...]:
        named: dict[str, list[ServerKey]] = {}
        for key in (key for backend in backends for key in live.get(backend, ())):
            named.setdefault(key.server, []).append(key)
        return tuple(
            _served_endpoint(endpoints[name], keys, servers, connections, counters)
            for name, keys in sorted(named.items())
        )

    traffic = counters.total(listener.name, *listener.backends)
    return ServedRoute(
        key=listener.route.key,
        owner=listener.route.owner,
        port_name=listener.route.port_name,
        endpoints=() if listener.is_ruled else served(listener.backends),
        requests=traffic.requests,
        failed=traffic.failed,
        traffic=traffic,
        pools=tuple(
            ServedPool(
                name=group.pool.name,
                endpoints=served([group.backend]),
                traffic=counters.total(group.backend),
            )
            for group in listener.pools
            if group.pool is not None
        ),
    )


def _served_endpoint(
    endpoint: Endpoint,
    keys: Sequence[ServerKey],
    servers: Mapping[ServerKey, ServerState],
    connections: Mapping[ServerKey, int],
    counters: Counters,
) -> ServedEndpoint:
    ready = all(servers[key].weight for key in keys)
    return ServedEndpoint(
        instance_id=endpoint.instance_id,
        address=endpoint.address,
        port_number=endpoint.port_number,
        state=EndpointState.READY if ready else EndpointState.DRAINING,
        connections=sum(connections.get(key, 0) for key in keys),
        traffic=counters.total(*map(str, keys)),
    )
