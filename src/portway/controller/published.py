"""A port without a listener of its own, as `portway map` shows it: where it answers, and who leads there."""

from __future__ import annotations

from portway.controller.views import MapEndpoint, MapRoute
from portway.controller.world import World, short_id
from portway.core.app import NetworkMode, PortSpec, Protocol
from portway.core.balancing.model import is_classic
from portway.core.instance import InstanceRecord, Phase
from portway.core.state import AppState


def published_route(world: World, state: AppState, spec: PortSpec) -> MapRoute:
    """Where the App's live instances answer: host ports, or addresses of their own (exposure `own`)."""
    mode = state.target.app.network_mode if state.target else NetworkMode.STACK
    return MapRoute(
        stack=state.app_id.rpartition("/")[0],
        app=state.app_id.rpartition("/")[2],
        port_name=spec.name,
        exposure="own" if mode is NetworkMode.OWN else spec.exposure.value,
        protocol=spec.protocol.value,
        address=spec.address or "",
        service_port=0,
        url="",
        tls=False,
        endpoints=tuple(
            endpoint
            for record in state.live
            for endpoint in _endpoints(world, state, spec, record, mode)
        ),
        note=_note(state, spec, mode),
    )


def _endpoints(
    world: World, state: AppState, spec: PortSpec, record: InstanceRecord, mode: NetworkMode
) -> list[MapEndpoint]:
    def at(host_address: str, host_port: int, container_port: int, target: str = "") -> MapEndpoint:
        return MapEndpoint(
            instance=short_id(record.id),
            slot_name=f"{state.app_id.rpartition('/')[2]}.{record.identity.slot}",
            host_address=host_address,
            host_port=host_port,
            container_port=container_port,
            target_address=target,
            target_port=container_port if target else 0,
            state="published",
        )

    if mode is NetworkMode.OWN:
        address = _own_address(world, state, record)
        return [at("", 0, spec.container_port, address)] if address else []
    return [
        at(lease.address, lease.host_port, lease.container_port)
        for lease in record.identity.leases
        if lease.port_name == spec.name
    ]


def _own_address(world: World, state: AppState, record: InstanceRecord) -> str:
    """The address that the containers of an instance share; "" before it runs."""
    seen = (world.seen(state.app_id) or {}).get(record.id)
    if seen is None or record.phase < Phase.STARTED:
        return ""
    return next((one.address for one in seen.containers if one.address), seen.address)


def _note(state: AppState, spec: PortSpec, mode: NetworkMode) -> str:
    """Who leads to a port that has no listener of its own."""
    if spec.unserved:
        return spec.unserved
    bound = state.target.app.targets if state.target else ()
    groups = {
        one.group.split("/")[-2:][0] for one in bound if one.container_port == spec.container_port
    }
    if groups:
        kind = (
            "load balancer"
            if any(is_classic(one.group) for one in bound)
            else "load balancers of target group"
        )
        return f"behind the {kind} {', '.join(sorted(groups))}"
    if mode is NetworkMode.OWN:
        return "its tasks answer at addresses of their own, not balanced"
    if mode is NetworkMode.HOST:
        return "it listens on the machine itself, not balanced"
    what = "UDP is" if spec.protocol is Protocol.UDP else "this port is"
    return f"{what} published by the engine, not balanced"
