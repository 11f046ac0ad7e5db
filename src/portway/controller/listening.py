"""Listening: which Apps ask for, or were given, a listener of a number, without a look at every App there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from portway.core.app import Protocol
from portway.core.lease import Holder
from portway.core.routing import is_routed
from portway.core.state import AppState


class Listening(Mapping[tuple[Protocol, int], Holder]):
    """As a mapping: the listeners that Apps ask for by number, and which App it is."""

    def __init__(self) -> None:
        self._asked: dict[int, dict[str, None]] = {}
        self._given: dict[int, dict[str, None]] = {}

    def note(self, app_id: str, before: AppState | None, after: AppState | None) -> None:
        """An App changed, came or went."""
        for index, numbers_of in ((self._asked, _asked), (self._given, _given)):
            old, new = numbers_of(before), numbers_of(after)
            for number in old - new:
                del index[number][app_id]
                if not index[number]:
                    del index[number]
            for number in new - old:
                index.setdefault(number, {})[app_id] = None

    def numbers(self) -> frozenset[int]:
        """Every number that is asked for or given."""
        return frozenset((*self._asked, *self._given))

    def apps_at(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """The Apps that have a listener of one of these numbers, asked for or given."""
        found: dict[str, None] = {}
        for number in numbers:
            found |= self._asked.get(number, {}) | self._given.get(number, {})
        return tuple(sorted(found))

    def __getitem__(self, key: tuple[Protocol, int]) -> Holder:
        protocol, number = key
        if protocol is not Protocol.TCP:
            raise KeyError(key)
        app_id = next(reversed(self._asked[number]))
        return Holder(description=f"the listener of {app_id}")

    def __iter__(self) -> Iterator[tuple[Protocol, int]]:
        return ((Protocol.TCP, number) for number in self._asked)

    def __len__(self) -> int:
        return len(self._asked)


def _asked(state: AppState | None) -> frozenset[int]:
    specs = state.target.app.ports if state is not None and state.target is not None else ()
    routed = [spec for spec in specs if is_routed(spec)]
    joint = (spec.joint.service_port for spec in routed if spec.joint is not None)
    return frozenset((*(n for spec in routed for n in spec.service_ports), *joint))


def _given(state: AppState | None) -> frozenset[int]:
    return frozenset(state.service_ports.values()) if state is not None else frozenset()
