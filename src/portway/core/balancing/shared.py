"""The listeners that Apps share by virtual hosts -> Routes: rules for hosts and paths, and the Apps' instances as pools. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from portway.core.app import ListenerProtocol, ListenerSpec, PortSpec
from portway.core.balancing.model import OWNER_PREFIX
from portway.core.pooled import shared_name
from portway.core.routes import Endpoint, Pool, Route, RouteKey
from portway.core.routing import joint_key
from portway.core.rules import (
    Action,
    Condition,
    Forward,
    Part,
    PoolSpec,
    Redirect,
    Respond,
    Rule,
    RuledListener,
    Sticky,
    StickyKind,
)

OWNER = f"{OWNER_PREFIX}shared"
COOKIE = "mesosphere_server_id"  # as marathon-lb calls it
NOBODY = Respond(status=503, body="no app is served under this host and path\n")
_BETWEEN = "+"  # of the ports in the name of a pool
_IDLE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPort:
    """A port with a virtual host, or a joint one, and who is behind it now."""

    app_id: str
    spec: PortSpec
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in pools."""
        return shared_name(self.app_id, self.spec.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A host and the beginning of a path, and the ports that answer there; the first one says how."""

    host: str
    path: str
    ports: tuple[SharedPort, ...]

    @property
    def pool(self) -> str:
        """The name of its pool."""
        return _BETWEEN.join(port.name for port in self.ports)

    @property
    def redirects(self) -> bool:
        """Whether plain HTTP is sent to HTTPS."""
        return any(port.spec.virtual and port.spec.virtual.redirects for port in self.ports)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What a request has to be."""
        host = Condition(part=Part.HOST, values=(self.host,))
        if not self.path:
            return (host,)
        return host, Condition(part=Part.PATH, values=(f"{_literal(self.path)}*",))


def ports_in(pool: str) -> frozenset[str]:
    """The names of the ports in a pool."""
    return frozenset(pool.split(_BETWEEN))


def places_of(ports: Sequence[SharedPort]) -> tuple[Place, ...]:
    """Every host and path in the order they are tried: by weight, the longer path first, a whole name before one with `*`.

    Ports with the same host and path are one pool: a request goes to any of their instances.
    """
    found: dict[tuple[str, str], dict[str, SharedPort]] = {}
    weights: dict[tuple[str, str], int] = {}
    for port in ports:
        if port.spec.virtual is None:
            continue
        for host in port.spec.virtual.hosts:
            at = (host.lower(), port.spec.virtual.path)
            found.setdefault(at, {}).setdefault(port.name, port)
            weights[at] = max(weights.get(at, 0), port.spec.virtual.weight)
    places = [
        Place(host=host, path=path, ports=tuple(by_name[name] for name in sorted(by_name)))
        for (host, path), by_name in found.items()
    ]
    return tuple(sorted(places, key=lambda p: (-weights[p.host, p.path], *_rank(p))))


def _rank(place: Place) -> tuple[int, bool, int, str, str]:
    return -len(place.path), "*" in place.host, -len(place.host), place.host, place.path


def shared_routes(
    ports: Sequence[SharedPort], *, http_port: int, https_port: int, certificates: tuple[str, ...]
) -> tuple[Route, ...]:
    """The listeners: those of virtual hosts, and one for each number that ports have together."""
    hosts = _host_routes(ports, http_port, https_port, certificates)
    joint = (_joint_route(key, place) for key, place in joints_of(ports).items())
    return tuple(sorted((*hosts, *joint), key=lambda route: route.key))


def joints_of(ports: Sequence[SharedPort]) -> dict[RouteKey, Place]:
    """By listener, the ports that have it together; the first one says how."""
    found: dict[RouteKey, dict[str, SharedPort]] = {}
    for port in ports:
        if (key := joint_key(port.spec)) is not None:
            found.setdefault(key, {}).setdefault(port.name, port)
    return {
        key: Place(host="", path="", ports=tuple(by_name[name] for name in sorted(by_name)))
        for key, by_name in found.items()
    }


def _joint_route(key: RouteKey, place: Place) -> Route:
    """Whatever comes goes to any of the instances."""
    listener = place.ports[0].spec.listener
    is_http = listener.protocol is ListenerProtocol.HTTP
    pool = _pool(place)
    return Route(
        key=key,
        owner=OWNER,
        port_name=f"joint-{key.service_port}",
        listener=ListenerSpec(
            protocol=ListenerProtocol.HTTP if is_http else ListenerProtocol.TCP,
            idle_timeout_s=_IDLE_S if is_http else listener.idle_timeout_s,
        ),
        default=Forward(pools=((place.pool, 1),)),
        pools=(pool if is_http else replace(pool, spec=replace(pool.spec, sticky=None)),),
        ruled=RuledListener(is_traced=False, signs=False),
    )


def _host_routes(
    ports: Sequence[SharedPort], http_port: int, https_port: int, certificates: tuple[str, ...]
) -> tuple[Route, ...]:
    """One for HTTP, and one for HTTPS while there is a certificate. None where no port has a virtual host."""
    places = places_of(ports)
    if not places:
        return ()
    pools = {place.pool: _pool(place) for place in places}
    plain = _route(http_port, ListenerProtocol.HTTP, places, pools, https_port=https_port)
    if not certificates:
        return (plain,)
    secure = _route(https_port, ListenerProtocol.HTTPS, places, pools, certificates=certificates)
    return plain, secure


def _route(
    number: int,
    protocol: ListenerProtocol,
    places: Sequence[Place],
    pools: dict[str, Pool],
    *,
    https_port: int = 0,
    certificates: tuple[str, ...] = (),
) -> Route:
    rules = tuple(
        Rule(
            name=f"{place.host}{place.path}",
            conditions=place.conditions,
            action=_action(place, https_port),
        )
        for place in places
    )
    wanted = {name for rule in rules if isinstance(rule.action, Forward) for name, _ in rule.action.pools}  # fmt: skip
    return Route(
        key=RouteKey(address="", service_port=number),
        owner=OWNER,
        port_name=protocol.value,
        listener=ListenerSpec(protocol=protocol, idle_timeout_s=_IDLE_S),
        certificates=certificates,
        rules=rules,
        default=NOBODY,
        pools=tuple(pools[name] for name in sorted(wanted)),
        ruled=RuledListener(is_traced=False, signs=False),
    )


def _action(place: Place, https_port: int) -> Action:
    if place.redirects and https_port:
        return Redirect(status=301, protocol="https", port_text=str(https_port))
    return Forward(pools=((place.pool, 1),))


def _pool(place: Place) -> Pool:
    listener = place.ports[0].spec.listener
    sticky = Sticky(kind=StickyKind.COOKIE, cookie=COOKIE) if listener.sticky else None
    return Pool(
        name=place.pool,
        spec=PoolSpec(
            balance=listener.balance,
            sticky=sticky,
            secure=listener.secure,
            slow_start_s=listener.slow_start_s,
        ),
        endpoints=tuple(endpoint for port in place.ports for endpoint in port.endpoints),
    )


def _literal(text: str) -> str:
    """The text as a pattern that fits itself alone."""
    return "".join(f"\\{c}" if c in "*?\\" else c for c in text)
