"""The pools of target groups that an App's instances are in, as the balancer really serves them: planned by like routes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from portway.core.app import PortSpec
from portway.core.balancing.classic import pool_name
from portway.core.balancing.model import is_classic
from portway.core.instance import InstanceRecord
from portway.core.observed import Observed
from portway.core.routes import EndpointState, RouteKey, ServedEndpoint
from portway.core.state import AppState

SHARED = "shared:listeners"  # the one group of all ports that are behind the shared listeners


def bound_groups(state: AppState) -> frozenset[str]:
    """The target groups that the App's revisions are bound to, and SHARED where a port of them is behind a listener that Apps share."""
    apps = [r.app for r in (*state.revisions.values(), *([state.target] if state.target else []))]
    groups = {binding.group for app in apps for binding in app.targets}
    shares = any(is_behind_shared(spec) for app in apps for spec in app.ports)
    return frozenset({*groups, SHARED} if shares else groups)


def is_behind_shared(spec: PortSpec) -> bool:
    """Whether a port is behind a listener that Apps share."""
    return spec.virtual is not None or spec.joint is not None


def shared_name(app_id: str, port_name: str) -> str:
    """What a port is called in the pools of the shared listeners."""
    return f"{app_id}:{port_name}"


def instance_of(endpoint_id: str) -> str:
    """The instance behind an endpoint of a pool; one that is bound twice has endpoints with #1, #2 ..."""
    return endpoint_id.partition("#")[0]


def endpoints_in_pools(
    observed: Observed, instance_id: str
) -> Iterator[tuple[RouteKey, ServedEndpoint]]:
    """Every endpoint that an instance is in the pools of load balancers."""
    for pools in observed.pooled.values():
        for key, pool in pools:
            for endpoint in pool.endpoints:
                if instance_of(endpoint.instance_id) == instance_id:
                    yield key, endpoint


def is_served_by_its_groups(state: AppState, observed: Observed, record: InstanceRecord) -> bool:
    """Whether every pool of the groups it is bound to sends it new connections; True where no listener uses them."""
    for group in _pools_of(state, record) & observed.pooled.keys():
        pools = observed.pooled[group]
        if not pools or not all(_has_ready(pool.endpoints, record.id) for _, pool in pools):
            return False
    return True


def _pools_of(state: AppState, record: InstanceRecord) -> frozenset[str]:
    """Where it has to be served: a classic load balancer has a pool for each port of its instances."""
    revision = state.revisions.get(record.identity.revision)
    if revision is None:
        return frozenset()
    groups = [binding.group for binding in revision.app.targets]
    hosts = [spec.name for spec in revision.app.ports if is_behind_shared(spec)]
    return frozenset(shared_name(state.app_id, name) for name in hosts) | frozenset(
        name
        for group in groups
        for name in (
            [pool_name(group, lease.host_port) for lease in record.identity.leases]
            if is_classic(group)
            else [group]
        )
    )


def _has_ready(endpoints: tuple[ServedEndpoint, ...], instance_id: str) -> bool:
    return any(
        e.state is EndpointState.READY and instance_of(e.instance_id) == instance_id
        for e in endpoints
    )
