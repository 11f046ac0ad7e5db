"""Route -> Listener: the names, addresses and certificate slots HAProxy will know a route by. Pure.

Every name is a slug and a hash: no user text reaches HAProxy as it was written.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from portway.balancers.haproxy.ruled_problem import ruled_problem
from portway.core.app import ListenerProtocol
from portway.core.routes import Endpoint, EndpointState, Pool, Route
from portway.core.rules import StickyKind

WEIGHT = 100  # of a READY server; DRAINING is weight 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One endpoint under the name HAProxy knows it by."""

    name: str
    endpoint: Endpoint

    @property
    def address(self) -> str:
        """address:port as HAProxy writes it."""
        return bind_address(self.endpoint.address, self.endpoint.port_number)

    @property
    def weight(self) -> int:
        """0 keeps the connections it has and gets no new ones."""
        return WEIGHT if self.endpoint.state is EndpointState.READY else 0

    @property
    def cookie(self) -> str:
        """What the sticky cookie says: the hash alone, so that no name leaves the house."""
        return self.name.rpartition("-")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A certificate under the file name HAProxy loaded it from."""

    path: str
    pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The servers of one backend. `map_path`: where sticky clients' cookies are looked up; "" = nowhere.

    `pool`: whose they are, where the route has rules.
    """

    backend: str
    servers: tuple[Server, ...]
    map_path: str = ""
    pool: Pool | None = None

    @property
    def cookie_map(self) -> dict[str, str]:
        """Cookie value -> server name, READY ones only: a draining instance loses its sticky clients."""
        if not self.map_path:
            return {}
        return {server.cookie: server.name for server in self.servers if server.weight}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A route as HAProxy will serve it. `slots` is empty without TLS; the first is the default one.

    `is_reported`: every request of it is reported one by one. `pools`: those of a route with rules.
    """

    name: str
    route: Route
    addresses: tuple[str, ...]
    servers: tuple[Server, ...]
    slots: tuple[Slot, ...]
    is_reported: bool = False
    pools: tuple[Group, ...] = ()

    @property
    def is_ruled(self) -> bool:
        """Whether it has rules and pools in place of servers of its own."""
        return self.route.default is not None

    @property
    def groups(self) -> tuple[Group, ...]:
        """Its servers, backend by backend."""
        if self.is_ruled:
            return self.pools
        sticky = self.http_backend if self.sticky else ""
        return tuple(
            Group(
                backend=backend,
                servers=self.servers,
                map_path=self.map_path if backend == sticky else "",
            )
            for backend in self.backends
        )

    @property
    def sticky_groups(self) -> tuple[Group, ...]:
        """Those of its groups whose clients are kept by a cookie."""
        if not self.pools and not self.route.listener.sticky:
            return ()
        return tuple(group for group in self.groups if group.map_path)

    @property
    def speaks_http(self) -> bool:
        """Whether HTTP is handled as HTTP here."""
        return self.route.listener.protocol in (
            ListenerProtocol.AUTO,
            ListenerProtocol.HTTP,
            ListenerProtocol.HTTPS,
        )

    @property
    def speaks_tcp(self) -> bool:
        """Whether anything else than HTTP gets through."""
        protocol = self.route.listener.protocol
        if protocol is ListenerProtocol.AUTO:
            return not self.is_ruled
        return protocol in (ListenerProtocol.TCP, ListenerProtocol.TLS)

    @property
    def sticky(self) -> bool:
        """Whether a cookie keeps a client on its instance."""
        return self.route.listener.sticky and self.speaks_http and not self.is_ruled

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that hold its servers, or answer in their place."""
        http = (self.http_backend,) if self.speaks_http else ()
        own = (*http, self.tcp_backend) if self.speaks_tcp else http
        return (*own, *(group.backend for group in self.pools))

    @property
    def counted(self) -> tuple[str, ...]:
        """The names HAProxy counts under: frontend, backends, and each server of each."""
        servers = (f"{g.backend}/{server.name}" for g in self.groups for server in g.servers)
        return (self.name, *self.backends, *servers)

    @property
    def http_backend(self) -> str:
        return f"{self.name}.http"

    @property
    def tcp_backend(self) -> str:
        return f"{self.name}.tcp"

    @property
    def map_path(self) -> str:
        return f"maps/{self.name}.map"

    @property
    def list_path(self) -> str:
        return f"lists/{self.name}.list"

    def with_endpoints_of(self, other: Listener) -> Listener:
        """As it is, with the servers of now; a pool that is no more keeps those it had."""
        now = {group.backend: group.servers for group in other.pools}
        pools = tuple(
            replace(group, servers=now.get(group.backend, group.servers)) for group in self.pools
        )
        return replace(self, servers=other.servers, pools=pools)


def slug(text: str) -> str:
    """Lower-case letters, digits and dashes, at most 24."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:24].strip("-") or "x"


def digest(*parts: str) -> str:
    """12 hexadecimal digits that tell these parts from any others."""
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:12]


def bind_address(address: str, port_number: int) -> str:
    """address:port, with brackets around IPv6."""
    return f"[{address}]:{port_number}" if ":" in address else f"{address}:{port_number}"


def build_listener(
    route: Route,
    *,
    public_addresses: Sequence[str],
    certificates: Mapping[str, str],
    fallback_pem: str,
    is_reported: bool = False,
) -> Listener:
    """The listener of a route that `route_problem` finds nothing wrong with."""
    addresses = (route.key.address,) if route.key.address else tuple(public_addresses)
    number = route.key.service_port
    name = f"{slug(route.owner)}-{number}-{digest(route.owner, str(number), *addresses)}"
    pools = tuple(_group(name, pool) for pool in route.pools) if route.default is not None else ()
    servers = {server for group in pools for server in group.servers}
    return Listener(
        name=name,
        route=route,
        addresses=addresses,
        servers=tuple(sorted(servers, key=_name)) if pools else _servers(route.endpoints),
        slots=_slots(name, route, certificates, fallback_pem),
        is_reported=is_reported,
        pools=tuple(sorted(pools, key=lambda group: group.backend)),
    )


def differ_in_servers_only(before: Listener, now: Listener) -> bool:
    """Whether HAProxy can be told all that is new by adding, draining and deleting servers.

    Whether requests are reported is an entry of a map, and as easily told.
    """
    return _without_servers(before) == _without_servers(now)


def _without_servers(listener: Listener) -> Listener:
    pools = tuple(replace(pool, endpoints=()) for pool in listener.route.pools)
    groups = tuple(replace(group, servers=(), pool=None) for group in listener.pools)
    route = replace(listener.route, endpoints=(), pools=pools)
    return replace(listener, route=route, servers=(), pools=groups, is_reported=False)


def pool_backend(listener_name: str, pool_name: str) -> str:
    """The backend of a pool behind a listener."""
    # Of an ARN, the part that people chose.
    said = pool_name.rpartition(":")[2].removeprefix("targetgroup/")
    return f"{listener_name}.{slug(said)}-{digest(pool_name)}"


def route_problem(route: Route) -> str:
    """Why HAProxy could not serve the route, as a sentence; "" when it can."""
    number = route.key.service_port
    if not 1 <= number <= 65535:
        return f"{number} is not a port number; use 1 to 65535."
    if route.key.address and not is_address(route.key.address):
        return f"{route.key.address!r} is not an IP address to listen on."
    pooled = [endpoint for pool in route.pools for endpoint in pool.endpoints]
    for endpoint in (*route.endpoints, *pooled):
        if not is_address(endpoint.address) or not 1 <= endpoint.port_number <= 65535:
            target = f"{endpoint.address}:{endpoint.port_number}"
            return f"{target!r} of instance {endpoint.instance_id} is not an IP address and port."
    if len({endpoint.instance_id for endpoint in route.endpoints}) < len(route.endpoints):
        return "An instance is listed twice behind this port."
    return "" if route.default is None else ruled_problem(route)


def is_address(text: str) -> bool:
    """Whether `text` is a plain IPv4 or IPv6 address (no name, no zone)."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def overlap(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two sets of addresses cannot both be listened on with one port number."""
    return any(_same(a, b) for a in first for b in second)


def _same(first: str, second: str) -> bool:
    one, other = ipaddress.ip_address(first), ipaddress.ip_address(second)
    if one.version != other.version:
        return False
    return one == other or one.is_unspecified or other.is_unspecified


def _group(listener_name: str, pool: Pool) -> Group:
    backend = pool_backend(listener_name, pool.name)
    sticky = pool.spec.sticky
    has_map = sticky is not None and sticky.kind is not StickyKind.SOURCE
    return Group(
        backend=backend,
        servers=_servers(pool.endpoints),
        map_path=f"maps/{backend}.map" if has_map else "",
        pool=pool,
    )


def _servers(endpoints: Sequence[Endpoint]) -> tuple[Server, ...]:
    return tuple(sorted(map(_server, endpoints), key=_name))


def _name(server: Server) -> str:
    return server.name


def _server(endpoint: Endpoint) -> Server:
    mark = digest(endpoint.instance_id, endpoint.address, str(endpoint.port_number))
    return Server(name=f"{slug(endpoint.instance_id)}-{mark}", endpoint=endpoint)


def _slots(
    name: str, route: Route, certificates: Mapping[str, str], fallback_pem: str
) -> tuple[Slot, ...]:
    if not route.certificates and route.listener.protocol not in (
        ListenerProtocol.HTTPS,
        ListenerProtocol.TLS,
    ):
        return ()
    # The default slot keeps its file name whatever is in it: HAProxy cannot delete a default
    # certificate while it runs, only replace it.
    known = [c for c in dict.fromkeys(route.certificates) if c in certificates]
    default = Slot(
        path=f"certificates/{name}.default.pem",
        pem=certificates[known[0]] if known else fallback_pem,
    )
    others = [
        Slot(path=f"certificates/{name}.{slug(c)}-{digest(c)}.pem", pem=certificates[c])
        for c in known[1:]
    ]
    return (default, *sorted(others, key=lambda slot: slot.path))
