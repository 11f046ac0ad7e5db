"""The past: the map of a moment, who had a port, and what happened around a time. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from portway.controller.loop import Controller
from portway.controller.past_balancers import (
    NOTE,
    balanced_apps,
    is_of_balancer,
    map_of_balancers_then,
)
from portway.controller.views import MapEndpoint, MapRoute, PortHistory
from portway.controller.world import short_id
from portway.core.errors import RequestError
from portway.core.events import Event
from portway.core.ownership import ALWAYS, Holding, HoldingKind, held


class Remembers:
    """The part of PortwayOperations that asks the journal."""

    controller: Controller

    async def map_at(self, at_ms: int, *, stack: str = "") -> tuple[MapRoute, ...]:
        holdings = await self._held(at_ms)
        of_apps = map_of(h for h in holdings if not stack or _stack(h) == stack)
        behind = balanced_apps(holdings)
        known = {one.owner: one for one in self.controller.balancing.registry.balancers}
        return (
            *(_with_note(route, behind) for route in of_apps),
            *map_of_balancers_then(tuple(holdings), known, stack=stack),
        )

    async def port_history(
        self, number: int, *, at_ms: int | None = None, limit: int = 1000
    ) -> PortHistory:
        moment_ms = self.controller.clock.now_ms() if at_ms is None else at_ms
        holdings = await self._held(moment_ms) if at_ms is not None else self._held_now()
        saved = await self.controller.store.changes(number=number, up_to_ms=ALWAYS, limit=limit)
        waiting = (c for c in self.controller.ownership.waiting if c.holding.number == number)
        return PortHistory(
            number=number,
            at_ms=moment_ms,
            held=tuple(sorted((h for h in holdings if h.number == number), key=_order)),
            changes=(*saved, *waiting)[-limit:],
        )

    async def events_around(
        self, at_ms: int, *, stack: str = "", limit: int = 50
    ) -> tuple[Event, ...]:
        store = self.controller.store
        self._refuse_future(at_ms)
        pivot = await store.sequence_at(at_ms)
        if not pivot:
            first = await store.events(after=0, limit=1)
            raise _too_early(at_ms, first[0].at_ms if first else None)
        before = await store.events(after=-1, up_to=pivot, stack=stack, limit=(limit + 1) // 2)
        after = await store.events(after=pivot, stack=stack, limit=max(1, limit // 2))
        return (*before, *after)

    async def _held(self, at_ms: int) -> frozenset[Holding]:
        self._refuse_future(at_ms)
        past = await self.controller.store.past(at_ms=at_ms)
        waiting = self.controller.ownership.waiting
        begins_ms = past.begins_at_ms
        if begins_ms is None and waiting:
            begins_ms = waiting[0].at_ms
        if begins_ms is None or at_ms < begins_ms:
            raise _too_early(at_ms, begins_ms)
        return held(past, *(change for change in waiting if change.at_ms <= at_ms))

    def _held_now(self) -> Collection[Holding]:
        return self.controller.ownership.now

    def _refuse_future(self, at_ms: int) -> None:
        if at_ms > self.controller.clock.now_ms():
            raise RequestError(
                f"{_said(at_ms)} is in the future.",
                hint="The journal knows what has happened; `portway map` shows what is so now.",
            )


def map_of(holdings: Iterable[Holding]) -> tuple[MapRoute, ...]:
    """Every listener that was held, by stack, App and number, with the instances behind it; then what was published."""
    known = [holding for holding in holdings if not is_of_balancer(holding)]
    leases = {(h.instance_id, h.port_name): h for h in known if h.kind is HoldingKind.LEASE}
    listeners = sorted((h for h in known if h.kind is HoldingKind.LISTENER), key=_order)
    endpoints = [h for h in known if h.kind is HoldingKind.ENDPOINT]
    routed = {(listener.app_id, listener.port_name) for listener in listeners}
    published = [h for h in leases.values() if (h.app_id, h.port_name) not in routed]
    routes = [_route(listener, endpoints, leases) for listener in listeners]
    names = sorted({(h.app_id, h.port_name) for h in published})
    routes += [_published([h for h in published if (h.app_id, h.port_name) == n]) for n in names]
    return tuple(sorted(routes, key=lambda r: (r.stack, r.app)))


def _route(
    listener: Holding,
    endpoints: Iterable[Holding],
    leases: dict[tuple[str, str], Holding],
) -> MapRoute:
    mine = [
        e
        for e in endpoints
        if (e.app_id, e.number, e.address) == (listener.app_id, listener.number, listener.address)
    ]
    return MapRoute(
        stack=_stack(listener),
        app=short_id(listener.app_id),
        port_name=listener.port_name,
        exposure=listener.exposure,
        protocol=listener.protocol,
        address=listener.address,
        service_port=listener.number,
        url="",
        tls=False,
        endpoints=tuple(
            _endpoint(e, leases.get((e.instance_id, e.port_name), e))
            for e in sorted(mine, key=_order)
        ),
    )


def _endpoint(holding: Holding, lease: Holding) -> MapEndpoint:
    is_leased = lease.kind is HoldingKind.LEASE
    return MapEndpoint(
        instance=short_id(holding.instance_id),
        slot_name=short_id(holding.instance_id).rpartition(".")[0],
        host_address=lease.address if is_leased else "",
        host_port=lease.number if is_leased else 0,
        container_port=lease.container_port if is_leased else holding.target_port,
        target_address=holding.target_address,
        target_port=holding.target_port,
        state=holding.state or "published",
    )


def _published(leases: list[Holding]) -> MapRoute:
    first = leases[0]
    return MapRoute(
        stack=_stack(first),
        app=short_id(first.app_id),
        port_name=first.port_name,
        exposure="host",
        protocol=first.protocol,
        address=first.address,
        service_port=0,
        url="",
        tls=False,
        endpoints=tuple(_endpoint(h, h) for h in sorted(leases, key=_order)),
        note="published by the engine, not balanced",
    )


def _with_note(route: MapRoute, behind: Collection[str]) -> MapRoute:
    """What load balancers led to is no port that merely was published."""
    is_behind = route.exposure == "host" and f"{route.stack}/{route.app}" in behind
    return replace(route, note=NOTE) if is_behind else route


def _order(holding: Holding) -> tuple[str, int, str]:
    return holding.app_id, holding.number, holding.instance_id


def _stack(holding: Holding) -> str:
    return holding.app_id.rpartition("/")[0]


def _said(at_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"the moment {at_ms}"


def _too_early(at_ms: int, begins_ms: int | None) -> RequestError:
    if begins_ms is None:
        return RequestError(
            "The journal is empty: nothing has been deployed here yet.", http_status=404
        )
    return RequestError(
        f"The journal does not go back to {_said(at_ms)}: it begins at {_said(begins_ms)}.",
        hint="Ask for a later moment; the setting journal-days says how long it is kept.",
        http_status=404,
    )
