"""Ownership: who holds a port or stands behind a listener, from when to when. Values, and how a moment is rebuilt from them.

A Change says that one Holding began or ended; the changes in their order are the journal. A Mark is everything
held at one moment, written now and then so that no moment needs the whole journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from portway.core.balancing.model import OWNER_PREFIX
from portway.core.routes import Route
from portway.core.routing import is_routed, route_keys
from portway.core.state import AppState

ALWAYS = 2**62  # later than any moment


class HoldingKind(StrEnum):
    """LEASE: a host port of an instance. LISTENER: a port of the balancer. ENDPOINT: an instance behind a listener."""

    LEASE = "lease"
    LISTENER = "listener"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One thing held. `number` is the host_port of a lease, else the service_port.

    `target_*`: where the balancer connects to an endpoint; `state`: ready or draining, of an endpoint.
    """

    kind: HoldingKind
    number: int
    app_id: str
    port_name: str = ""
    protocol: str = "tcp"
    address: str = ""
    instance_id: str = ""
    node: str = ""
    container_port: int = 0
    exposure: str = ""
    target_address: str = ""
    target_port: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A holding that began (`taken`) or ended. `sequence` is given by the store; 0 before it is saved."""

    at_ms: int
    taken: bool
    holding: Holding
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Everything held once the change `sequence` was made."""

    at_ms: int
    holdings: tuple[Holding, ...]
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a moment is rebuilt from. `begins_at_ms`: nothing older is known; None: nothing at all is."""

    begins_at_ms: int | None = None
    mark: Mark | None = None
    changes: tuple[Change, ...] = ()


def held(past: Past, *more: Change) -> frozenset[Holding]:
    """What was held after all of it; taking twice or ending twice is the same as once."""
    found = set(past.mark.holdings) if past.mark else set[Holding]()
    for change in (*past.changes, *more):
        (found.add if change.taken else found.discard)(change.holding)
    return frozenset(found)


def ports_of(state: AppState) -> frozenset[Holding]:
    """The host ports and listeners an App holds by what was decided."""
    return frozenset((*_leases(state), *_listeners(state)))


def endpoints_of(routes: Sequence[Route]) -> frozenset[Holding]:
    """Who is behind listeners, as the balancer confirmed it; of a load balancer its listeners too, for nothing else decides on them.

    The `port_name` of an endpoint in a pool is the pool's.
    """
    return frozenset(holding for route in routes for holding in _confirmed(route))


def _confirmed(route: Route) -> Iterator[Holding]:
    if route.owner.startswith(OWNER_PREFIX):
        yield Holding(
            kind=HoldingKind.LISTENER,
            number=route.key.service_port,
            app_id=route.owner,
            port_name=route.port_name,
            protocol=route.listener.protocol.value,
            address=route.key.address,
        )
    of_pools = [(pool.name, endpoint) for pool in route.pools for endpoint in pool.endpoints]
    for name, endpoint in (*((route.port_name, one) for one in route.endpoints), *of_pools):
        yield Holding(
            kind=HoldingKind.ENDPOINT,
            number=route.key.service_port,
            app_id=route.owner,
            port_name=name,
            address=route.key.address,
            instance_id=endpoint.instance_id,
            target_address=endpoint.address,
            target_port=endpoint.port_number,
            state=endpoint.state.value,
        )


def differences(
    before: frozenset[Holding], after: frozenset[Holding], *, at_ms: int
) -> tuple[Change, ...]:
    """What ended, then what began, each in a fixed order."""
    if before == after:
        return ()
    return (
        *(Change(at_ms=at_ms, taken=False, holding=h) for h in sorted(before - after, key=_order)),
        *(Change(at_ms=at_ms, taken=True, holding=h) for h in sorted(after - before, key=_order)),
    )


def _order(holding: Holding) -> tuple[str, int, str, str]:
    return holding.kind, holding.number, holding.instance_id, holding.state


def _leases(state: AppState) -> Iterator[Holding]:
    for record in state.live:
        for lease in record.identity.leases:
            yield Holding(
                kind=HoldingKind.LEASE,
                number=lease.host_port,
                app_id=state.app_id,
                port_name=lease.port_name,
                protocol=lease.protocol.value,
                address=lease.address,
                instance_id=record.id,
                node=record.identity.node,
                container_port=lease.container_port,
            )


def _listeners(state: AppState) -> Iterator[Holding]:
    apps = [state.target.app] if state.target else []
    apps += [revision.app for revision in state.revisions.values() if state.live]
    for spec in (spec for app in apps for spec in app.ports if is_routed(spec)):
        for key, _ in route_keys(spec, state.service_ports):
            yield Holding(
                kind=HoldingKind.LISTENER,
                number=key.service_port,
                app_id=state.app_id,
                port_name=spec.name,
                protocol=spec.listener.protocol.value,
                address=key.address,
                container_port=spec.container_port,
                exposure=spec.exposure.value,
            )


def by_app(holdings: Iterable[Holding]) -> dict[str, frozenset[Holding]]:
    """The holdings of each App."""
    found: dict[str, set[Holding]] = {}
    for holding in holdings:
        found.setdefault(holding.app_id, set()).add(holding)
    return {app_id: frozenset(mine) for app_id, mine in found.items()}
