"""Latencies: many times in little room. The worst is exact, a quantile is at most 4% above the truth."""

from __future__ import annotations

import math

_STEP = math.log(1.04)
_FLOOR_MS = 0.01


class Latencies:
    """A histogram whose buckets grow by 4%; a few hundred of them span a microsecond to a day."""

    def __init__(self) -> None:
        self.count = 0
        self.worst_ms = 0.0
        self._buckets: dict[int, int] = {}

    def add(self, time_ms: float) -> None:
        """Take note of one time."""
        bucket = math.ceil(math.log(max(time_ms, _FLOOR_MS) / _FLOOR_MS) / _STEP)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.worst_ms = max(self.worst_ms, time_ms)

    def quantile_ms(self, part: float) -> float:
        """The time that this part of all stayed at or below; 0 when there are none."""
        wanted = math.ceil(self.count * part)
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(self.worst_ms, _FLOOR_MS * math.exp(bucket * _STEP))
        return 0.0
