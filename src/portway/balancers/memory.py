"""MemoryBalancer: a balancer without sockets, for tests, simulation and `--engine memory`. It serves nobody.

Synchronous inside and deterministic; faults and connection counts are set from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from portway.balancers.base import BalancerInfo
from portway.core.errors import BalancerError
from portway.core.request import ServedRequest
from portway.core.routes import (
    Endpoint,
    Route,
    RouteKey,
    ServedEndpoint,
    ServedPool,
    ServedRoute,
)
from portway.core.stack import Certificate
from portway.core.traffic import Traffic

TakeRequests = Callable[[Sequence[ServedRequest], int], None]
_NOTHING = Traffic()


class MemoryBalancer:
    """Keeps the routes it is given and reports them as served.

    `connections` maps an instance id to the connections it is said to have, `traffic_to` to what it is
    said to have been counted for, on every listener it is behind, `traffic_to_pool` a pool's name; `blocked`
    maps a listener to why it cannot be bound; each of the `fail_next_*` messages fails one call.
    """

    def __init__(self) -> None:
        self.connections: dict[str, int] = {}
        self.requests: dict[RouteKey, int] = {}
        self.failed: dict[RouteKey, int] = {}
        self.blocked: dict[RouteKey, str] = {}
        self.fail_next_apply = ""
        self.fail_next_observe = ""
        self.applied = 0
        self.reported: frozenset[str] = frozenset()
        self.traffic: dict[RouteKey, Traffic] = {}
        self.traffic_to: dict[str, Traffic] = {}
        self.traffic_to_pool: dict[str, Traffic] = {}
        self._take: TakeRequests | None = None
        self._tell_back: Callable[[], None] = lambda: None
        # By listener: a route nobody was counted on, and how it was told.
        self._quiet: dict[RouteKey, tuple[Route, ServedRoute]] = {}
        self.served: dict[RouteKey, Route] = {}
        self.held_certificates: tuple[Certificate, ...] = ()
        self.running = False

    async def open(self) -> None:
        """Start, with whatever was served before."""
        self.running = True

    async def close(self) -> None:
        """Nothing is supervised; what is served stays."""

    async def shutdown(self) -> None:
        """Serve nothing until opened again."""
        self.running = False

    async def apply(self, owner: str, routes: Sequence[Route]) -> None:
        """Make `owner`'s routes exactly these, except listeners that are blocked or another owner's."""
        self._ready("fail_next_apply")
        self.applied += 1
        wanted = {route.key: route for route in routes}
        for key in [k for k, r in self.served.items() if r.owner == owner and k not in wanted]:
            self._forget(key)
        refusals: list[str] = []
        for key, route in wanted.items():
            holder = self.served.get(key)
            if key in self.blocked:
                refusals.append(f"Port {key.service_port} cannot be bound: {self.blocked[key]}.")
            elif holder is not None and holder.owner != owner:
                refusals.append(f"Port {key.service_port} is already served for {holder.owner}.")
            else:
                self.served[key] = route
        if refusals:
            raise BalancerError(" ".join(refusals))

    async def certificates(self, certificates: Sequence[Certificate]) -> None:
        """Hold exactly these."""
        self._ready("fail_next_apply")
        self.held_certificates = tuple(certificates)

    async def report(self, owners: Collection[str]) -> None:
        """Report the requests of exactly these owners."""
        self.reported = frozenset(owners)

    def take_requests(self, take: TakeRequests) -> None:
        """Who is handed what `serve` is given."""
        self._take = take

    def when_back(self, tell: Callable[[], None]) -> None:
        """Who is told by `come_back`."""
        self._tell_back = tell

    def come_back(self) -> None:
        """Have ended and run again; what is `blocked` is served no longer."""
        self.served = {key: r for key, r in self.served.items() if key not in self.blocked}
        self._tell_back()

    def serve(self, *requests: ServedRequest, skipped: int = 0) -> None:
        """Say that these were served; whoever takes requests gets those of reported owners."""
        seen = [request for request in requests if request.owner in self.reported]
        if self._take is not None and (seen or skipped):
            self._take(seen, skipped)

    async def observe(self, owners: Collection[str] | None = None) -> tuple[ServedRoute, ...]:
        """The routes as served, in the order of their listeners."""
        self._ready("fail_next_observe")
        wanted = (
            key for key, route in self.served.items() if owners is None or route.owner in owners
        )
        in_order = sorted(wanted, key=lambda key: (key.address, key.service_port))
        return tuple(self._served_route(self.served[key]) for key in in_order)

    async def info(self) -> BalancerInfo:
        """A balancer without processes."""
        return BalancerInfo(
            name="memory", version="1", process_id=0, worker_ids=(), reloads=0, restarts=0
        )

    def _ready(self, fault: str) -> None:
        if not self.running:
            raise BalancerError("The balancer is not running.")
        message: str = getattr(self, fault)
        if message:
            setattr(self, fault, "")
            raise BalancerError(message)

    def _forget(self, key: RouteKey) -> None:
        del self.served[key]
        self.requests.pop(key, None)
        self.failed.pop(key, None)
        self.traffic.pop(key, None)
        self._quiet.pop(key, None)

    def _served_route(self, route: Route) -> ServedRoute:
        is_counted = self.connections or self.requests or self.failed
        if is_counted or self.traffic or self.traffic_to or self.traffic_to_pool:
            return self._counted_route(route)
        known = self._quiet.get(route.key)
        if known is None or known[0] is not route:
            known = self._quiet[route.key] = (route, self._counted_route(route))
        return known[1]

    def _counted_route(self, route: Route) -> ServedRoute:
        return ServedRoute(
            key=route.key,
            owner=route.owner,
            port_name=route.port_name,
            endpoints=self._counted(route.endpoints),
            requests=self.requests.get(route.key, 0),
            failed=self.failed.get(route.key, 0),
            traffic=self.traffic.get(route.key)
            or Traffic(
                requests=self.requests.get(route.key, 0),
                not_connected=self.failed.get(route.key, 0),
            ),
            pools=tuple(
                ServedPool(
                    name=pool.name,
                    endpoints=self._counted(pool.endpoints),
                    traffic=self.traffic_to_pool.get(pool.name, _NOTHING),
                )
                for pool in route.pools
            ),
        )

    def _counted(self, endpoints: Sequence[Endpoint]) -> tuple[ServedEndpoint, ...]:
        return tuple(
            ServedEndpoint(
                instance_id=endpoint.instance_id,
                address=endpoint.address,
                port_number=endpoint.port_number,
                state=endpoint.state,
                connections=self.connections.get(endpoint.instance_id, 0),
                traffic=self.traffic_to.get(endpoint.instance_id, _NOTHING),
            )
            for endpoint in endpoints
        )
