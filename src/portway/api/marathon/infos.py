"""Infos: an app as GET shows it, written once and kept as bytes until something of it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from portway.api.marathon.answers import encode
from portway.api.marathon.stats import task_stats
from portway.controller.marathon.catalogue import Entry
from portway.controller.marathon.desk import Marathon

COUNTS, DEPLOYMENTS, TASKS = "counts", "deployments", "tasks"
FAILURE, READINESS, STATS = "lastTaskFailure", "readiness", "taskStats"
EMBEDS = (COUNTS, DEPLOYMENTS, TASKS, FAILURE, READINESS, STATS)
ALWAYS = frozenset((COUNTS, DEPLOYMENTS))
_PREFIXES = ("group.apps.", "apps.", "app.")
_WAYS_KEPT = 4
_PART = 256  # apps in one piece of a long answer

Embeds = frozenset[str]


def embeds_of(given: Iterable[str]) -> Embeds:
    """What a caller wants with each app; words that nobody knows say nothing."""
    found: set[str] = set()
    for word in given:
        name = next((word.removeprefix(p) for p in _PREFIXES if word.startswith(p)), word)
        if name == "failures":
            found |= {TASKS, FAILURE, DEPLOYMENTS}
        elif name in EMBEDS:
            found.add(name)
        if name == TASKS:
            found.add(DEPLOYMENTS)
    return frozenset(found)


class Infos:
    """The encodings of all apps, by what is embedded in them."""

    def __init__(self, marathon: Marathon) -> None:
        self._marathon = marathon
        self._definitions: dict[str, tuple[Entry, bytes]] = {}
        self._infos: dict[Embeds, dict[str, tuple[Any, bytes]]] = {}

    def raw(self, entry: Entry, embeds: Embeds) -> bytes:
        """The JSON of one app."""
        key, kept = self._key(entry, embeds), self._kept(embeds)
        known = kept.get(entry.path)
        if known is not None and known[0] == key:
            return known[1]
        written = self._written(entry, embeds)
        kept[entry.path] = (key, written)
        return written

    def _kept(self, embeds: Embeds) -> dict[str, tuple[Any, bytes]]:
        """What is kept of one way of embedding; of many ways only the newest few, for each costs as much as all apps."""
        if embeds not in self._infos:
            for oldest in [*self._infos][: -(_WAYS_KEPT - 1)]:
                del self._infos[oldest]
            self._infos[embeds] = {}
        return self._infos[embeds]

    def part(self, entry: Entry, embeds: Embeds) -> msgspec.Raw:
        """The same, to go into a larger answer."""
        return msgspec.Raw(self.raw(entry, embeds))

    def _key(self, entry: Entry, embeds: Embeds) -> Any:
        catalogue = self._marathon.catalogue
        deployments = catalogue.locked.get(entry.path)
        return (
            id(entry.definition),
            entry.version,
            self._marathon.sight.stamp(entry),
            tuple(sorted(deployments)) if deployments else (),
            catalogue.failures.get(entry.path) if FAILURE in embeds else None,
        )

    def _written(self, entry: Entry, embeds: Embeds) -> bytes:
        known = self._definitions.get(entry.path)
        if known is None or known[0] is not entry:
            known = self._definitions[entry.path] = (entry, encode(entry.definition))
        more = self.more(entry, embeds)
        return known[1][:-1] + b"," + encode(more)[1:] if more else known[1]

    def more(self, entry: Entry, embeds: Embeds) -> dict[str, Any]:
        """What is shown of an app besides its definition."""
        marathon, more = self._marathon, dict[str, Any]()
        if COUNTS in embeds:
            more |= marathon.sight.counts(entry)
        if DEPLOYMENTS in embeds:
            running = sorted(marathon.catalogue.locked.get(entry.path, ()))
            more["deployments"] = [{"id": name} for name in running]
        if TASKS in embeds:
            more["tasks"] = marathon.sight.tasks(entry)
        if READINESS in embeds:
            more["readinessCheckResults"] = marathon.sight.readiness(entry)
        if FAILURE in embeds and (failure := marathon.catalogue.failures.get(entry.path)):
            more["lastTaskFailure"] = failure.shown
        if STATS in embeds:
            more["tasksStats"] = task_stats(marathon.sight, entry, now_ms=marathon.now_ms)
        return more

    def forget(self) -> None:
        """Keep nothing about apps that are gone."""
        known = self._marathon.catalogue.entries
        if len(self._definitions) <= 2 * len(known) + 1000:
            return
        self._definitions = {p: one for p, one in self._definitions.items() if p in known}
        for embeds, kept in self._infos.items():
            self._infos[embeds] = {path: one for path, one in kept.items() if path in known}

    async def listed(
        self, entries: Sequence[Entry], embeds: Embeds, *, name: str
    ) -> AsyncIterator[bytes]:
        """{"<name>": [...]} in pieces, so that a long answer keeps nobody else waiting."""
        self.forget()
        yield f'{{"{name}":['.encode()
        for index, part in enumerate(_parts(entries)):
            joined = b",".join(self.raw(entry, embeds) for entry in part)
            yield (b"," if index else b"") + joined
            await asyncio.sleep(0)
        yield b"]}"


def _parts(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for first in range(0, len(entries), _PART):
        yield entries[first : first + _PART]
