"""Requests and failures per backend, added up over workers that come and go, so that they never go backwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping


class Counters:
    """The sum of what workers gone by had counted and what the living ones count now."""

    def __init__(self, base: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._base = dict(base or {})
        self._seen: dict[int, dict[str, tuple[int, int]]] = {}

    def see(self, worker_id: int, requests: Mapping[str, int], failed: Mapping[str, int]) -> None:
        """Take note of a living worker's own counters; they replace what it said before."""
        self._seen[worker_id] = {name: (requests[name], failed.get(name, 0)) for name in requests}

    def keep(self, living: Collection[int]) -> None:
        """Add the last word of every worker that is not living any more to the base."""
        for worker_id in [w for w in self._seen if w not in living]:
            for name, (requests, failed) in self._seen.pop(worker_id).items():
                had = self._base.get(name, (0, 0))
                self._base[name] = (had[0] + requests, had[1] + failed)

    def forget_all_but(self, names: Collection[str]) -> None:
        """Drop backends that are no more."""
        self._base = {name: counts for name, counts in self._base.items() if name in names}
        for seen in self._seen.values():
            for name in [n for n in seen if n not in names]:
                del seen[name]

    def total(self, name: str) -> tuple[int, int]:
        """(requests, failed) of one backend since it exists."""
        parts = [self._base.get(name, (0, 0))]
        parts += [seen.get(name, (0, 0)) for seen in self._seen.values()]
        return sum(part[0] for part in parts), sum(part[1] for part in parts)

    @property
    def gone(self) -> dict[str, tuple[int, int]]:
        """What workers gone by had counted; the living ones can be asked again."""
        return dict(self._base)
