"""Ownership: keeps the journal of ports and routes in step with what is decided and what the balancer confirmed.

What is decided is journalled in the batch that saves the decision. What the balancer confirms goes along with
the next batch, or with one of its own a few seconds later; its time is that of the confirmation all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from portway.core.ownership import (
    Change,
    Holding,
    HoldingKind,
    Mark,
    Past,
    by_app,
    differences,
    endpoints_of,
    held,
    ports_of,
)
from portway.core.routes import Route
from portway.core.state import AppState
from portway.store.base import Batch

CHANGES_BETWEEN_MARKS = 2000
MARK_AGE_MS_MAX = 24 * 3600 * 1000

_Holdings = dict[str, frozenset[Holding]]
_NONE: frozenset[Holding] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A batch with its part of the journal, and what is known once it is saved."""

    batch: Batch
    ports: Mapping[str, frozenset[Holding]]
    confirmed: int  # how many of the waiting changes it takes along


class Ownership:
    """Who holds what, and which changes the store does not have yet."""

    def __init__(self) -> None:
        self._ports: _Holdings = {}  # by App, as journalled
        self._endpoints: _Holdings = {}  # by App, as confirmed
        self._waiting: list[Change] = []
        self._since_mark = 0
        self._marked_at_ms = 0

    @property
    def waiting(self) -> tuple[Change, ...]:
        """What was confirmed and is not saved yet."""
        return tuple(self._waiting)

    @property
    def now(self) -> frozenset[Holding]:
        """Everything that is held now."""
        every = (*self._ports.values(), *self._endpoints.values())
        return frozenset(holding for mine in every for holding in mine)

    def restore(self, past: Past, states: Sequence[AppState], *, now_ms: int) -> None:
        """Go on from what the journal last said; what is not so any more ended while nobody looked."""
        known = held(past)
        self._marked_at_ms = past.mark.at_ms if past.mark else 0
        self._since_mark = len(past.changes)
        live = {state.app_id: {r.id for r in state.live} for state in states}
        ports = [h for h in known if h.kind is not HoldingKind.ENDPOINT]
        endpoints = [h for h in known if h.kind is HoldingKind.ENDPOINT]
        stay = [h for h in endpoints if h.instance_id in live.get(h.app_id, ())]
        self._ports = by_app(ports)
        self._endpoints = by_app(stay)
        self._waiting = [*differences(frozenset(endpoints), frozenset(stay), at_ms=now_ms)]
        for state in states:
            self._waiting += self._moved(state.app_id, ports_of(state), now_ms)
            self._ports[state.app_id] = ports_of(state)
        for app_id in self._ports.keys() - live.keys():
            self._waiting += self._moved(app_id, _NONE, now_ms)
            self._ports.pop(app_id)

    def confirmed(self, app_id: str, routes: Sequence[Route], *, now_ms: int) -> None:
        """The balancer serves exactly these routes of the App from now on."""
        after = endpoints_of(routes)
        self._waiting += differences(self._endpoints.get(app_id, _NONE), after, at_ms=now_ms)
        self._endpoints[app_id] = after
        if not after:
            del self._endpoints[app_id]

    def enter(self, batch: Batch, *, now_ms: int) -> Entry:
        """The batch with what it changes about who holds what; nothing is known until saved()."""
        ports = dict.fromkeys(batch.deleted_apps, _NONE)
        ports |= {state.app_id: ports_of(state) for state in batch.apps}
        changes = list(self._waiting)
        for app_id, after in ports.items():
            changes += self._moved(app_id, after, now_ms)
        mark = self._mark(ports, now_ms) if self._is_mark_due(len(changes), now_ms) else None
        entered = replace(batch, ownership=tuple(changes), mark=mark)
        return Entry(batch=entered, ports=ports, confirmed=len(self._waiting))

    def saved(self, entry: Entry) -> None:
        """The store has the entry."""
        for app_id, holdings in entry.ports.items():
            if holdings:
                self._ports[app_id] = holdings
            else:
                self._ports.pop(app_id, None)
        del self._waiting[: entry.confirmed]
        self._since_mark += len(entry.batch.ownership)
        if entry.batch.mark is not None:
            self._since_mark, self._marked_at_ms = 0, entry.batch.mark.at_ms

    def _moved(self, app_id: str, after: frozenset[Holding], now_ms: int) -> tuple[Change, ...]:
        return differences(self._ports.get(app_id, _NONE), after, at_ms=now_ms)

    def _is_mark_due(self, changes: int, now_ms: int) -> bool:
        """Never so often that marks cost more than the changes between them."""
        if not changes:
            return False
        if now_ms - self._marked_at_ms > MARK_AGE_MS_MAX:
            return True
        if self._since_mark < CHANGES_BETWEEN_MARKS:
            return False
        every = (*self._ports.values(), *self._endpoints.values())
        return self._since_mark >= sum(map(len, every))

    def _mark(self, ports: Mapping[str, frozenset[Holding]], now_ms: int) -> Mark:
        every = ({**self._ports, **ports}, self._endpoints)
        holdings = tuple(h for kept in every for mine in kept.values() for h in mine)
        return Mark(at_ms=now_ms, holdings=holdings)
