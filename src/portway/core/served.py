"""Whether a balancer serves what it served before, whatever it has counted meanwhile. Pure."""

from __future__ import annotations

from portway.core.routes import EndpointState, ServedEndpoint, ServedRoute


def serves_alike(one: ServedRoute, other: ServedRoute) -> bool:
    """Whether the two differ in nothing but what is counted: requests, and connections open now."""
    return (
        (one.key, one.owner, one.port_name) == (other.key, other.owner, other.port_name)
        and _are_alike(one.endpoints, other.endpoints)
        and [pool.name for pool in one.pools] == [pool.name for pool in other.pools]
        and all(
            _are_alike(a.endpoints, b.endpoints)
            for a, b in zip(one.pools, other.pools, strict=True)
        )
    )


def _are_alike(ones: tuple[ServedEndpoint, ...], others: tuple[ServedEndpoint, ...]) -> bool:
    return list(map(_place, ones)) == list(map(_place, others))


def _place(endpoint: ServedEndpoint) -> tuple[str, str, int, EndpointState]:
    return endpoint.instance_id, endpoint.address, endpoint.port_number, endpoint.state
