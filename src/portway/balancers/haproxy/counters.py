"""What HAProxy counts by frontend, backend and server, added up over workers that come and go, so that it never goes backwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from portway.core.traffic import Traffic, total


class Counters:
    """The sum of what workers gone by had counted and what the living ones count now."""

    def __init__(self, base: Mapping[str, Traffic] | None = None) -> None:
        self._base = dict(base or {})
        self._seen: dict[int, dict[str, Traffic]] = {}

    def see(self, worker_id: int, counted: Mapping[str, Traffic]) -> None:
        """Take note of a living worker's own counters, of all or of some names; they replace what it said of these before."""
        self._seen.setdefault(worker_id, {}).update(counted)

    def keep(self, living: Collection[int]) -> None:
        """Add the last word of every worker that is not living any more to the base."""
        for worker_id in [w for w in self._seen if w not in living]:
            for name, counted in self._seen.pop(worker_id).items():
                self._base[name] = self._base.get(name, Traffic()) + counted

    def forget_all_but(self, names: Collection[str]) -> None:
        """Drop what is no more."""
        self._base = {name: counts for name, counts in self._base.items() if name in names}
        for seen in self._seen.values():
            for name in [n for n in seen if n not in names]:
                del seen[name]

    def total(self, *names: str) -> Traffic:
        """All that was counted under these names since they exist."""
        parts = [seen.get(name) for name in names for seen in (self._base, *self._seen.values())]
        return total(part for part in parts if part is not None)

    @property
    def gone(self) -> dict[str, Traffic]:
        """What workers gone by had counted; the living ones can be asked again."""
        return dict(self._base)
