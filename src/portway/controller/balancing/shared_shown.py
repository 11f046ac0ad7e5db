"""The shared listeners as the map shows them: every host and path of each, and the instances that answer there. Changes nothing."""

from __future__ import annotations

from portway.controller.balancing.shared import SharedListeners
from portway.controller.views import MapEndpoint, MapRoute
from portway.controller.world import World, app_of, short_id
from portway.core.balancing.shared import OWNER, Place
from portway.core.balancing.told import conditions_text, listener_url
from portway.core.ports import LOOPBACK
from portway.core.routes import Route, ServedEndpoint, ServedPool
from portway.core.rules import Redirect

NAME = "of virtual hosts"
JOINT_NAME = "of a deployment group"


def map_of_shared(world: World, shared: SharedListeners, stack: str = "") -> tuple[MapRoute, ...]:
    """Every host and path of every shared listener; of a stack those where one of its Apps answers."""
    places, joints = shared.places(), shared.joints()
    return tuple(
        _entry(world, shared, route, nth, place)
        for route in shared.routes()
        for nth, place in enumerate([joints[route.key]] if route.key in joints else places, start=1)
        if not stack or any(port.app_id.rpartition("/")[0] == stack for port in place.ports)
    )


def _entry(world: World, shared: SharedListeners, route: Route, nth: int, place: Place) -> MapRoute:
    protocol, number = route.listener.protocol.value, route.key.service_port
    redirect = next((r.action for r in route.rules[nth - 1 : nth] if isinstance(r.action, Redirect)), None)  # fmt: skip
    pool = _pool(world, route, place)
    apps = {port.app_id for port in place.ports}
    stack, _, app = next(iter(apps)).rpartition("/") if len(apps) == 1 else ("", "", "")
    return MapRoute(
        stack=stack,
        app=app,
        port_name=f"{protocol}-{number}",
        exposure="public",
        protocol=protocol,
        address=route.key.address,
        service_port=number,
        url=listener_url(route.key.address or LOOPBACK, protocol.upper(), number),
        tls=bool(route.certificates),
        endpoints=() if redirect else tuple(map(_endpoint, pool.endpoints if pool else ())),
        note="; ".join(_notes(world, shared, place, redirect)),
        load_balancer=NAME if place.host else JOINT_NAME,
        rule=str(nth) if place.host else "default",
        when=conditions_text(place.conditions) if place.host else "",
        target_group="" if redirect else " and ".join(port.name for port in place.ports),
    )


def _notes(
    world: World, shared: SharedListeners, place: Place, redirect: Redirect | None
) -> list[str]:
    notes = [world.route_errors.get(OWNER, "").partition("\n")[0]]
    if redirect is not None:
        notes.append(f"redirects with {redirect.status} to https on port {redirect.port_text}")
        if not any(route.certificates for route in shared.routes()):
            notes.append("but without a certificate nothing listens there")
    named = {port.spec.virtual.certificate for port in place.ports if port.spec.virtual}
    notes += [shared.faults.get(name, "") for name in sorted(named)]
    return [note for note in notes if note]


def _pool(world: World, route: Route, place: Place) -> ServedPool | None:
    served = (world.served_by(OWNER) or {}).get(route.key)
    return next((p for p in (served.pools if served else ()) if p.name == place.pool), None)


def _endpoint(one: ServedEndpoint) -> MapEndpoint:
    short = short_id(one.instance_id)
    return MapEndpoint(
        instance=short,
        slot_name=short.rpartition(".")[0],
        host_address="",
        host_port=0,
        container_port=one.port_number,
        target_address=one.address,
        target_port=one.port_number,
        state=one.state.value,
        connections=one.connections,
        target=app_of(one.instance_id),
    )
