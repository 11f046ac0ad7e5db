"""Target tracking: how many tasks a service should have, by what was measured. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from statistics import mean

WINDOW_MS = 60_000
SETTLED_MS = 30_000  # what a task uses as it starts says nothing
COOLDOWN_S = 300
_IN_BELOW = 0.9  # of the target: a figure just under it is no reason to have fewer


class Metric(StrEnum):
    """What a policy follows, as AWS calls it: requests a minute for each task, or percent of what a task asks for."""

    REQUESTS = "ALBRequestCountPerTarget"
    CPU = "ECSServiceAverageCPUUtilization"
    MEMORY = "ECSServiceAverageMemoryUtilization"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """What a policy wants: `target_value` of the metric for each task."""

    target_value: float
    scale_out_cooldown_s: int = COOLDOWN_S
    scale_in_cooldown_s: int = COOLDOWN_S
    disable_scale_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalable:
    """Within which bounds a service may be scaled, and when it last was."""

    least: int
    most: int
    out_suspended: bool = False
    in_suspended: bool = False
    scaled_out_at_ms: int = 0
    scaled_out_to: int = 0
    scaled_in_at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was seen: `total` of the metric, of these tasks together, in the last minute. Not `is_whole`: less than a minute was watched.

    `running`: the tasks that were measured.
    """

    total: float
    is_whole: bool
    running: int
    desired: int
    is_deploying: bool = False


def decide(tracking: Tracking, scalable: Scalable, seen: Measured, now_ms: int) -> int | None:
    """The number of tasks to have from now on; None: as it is.

    It starts from what runs. The cooldown of a scale-out does not hold back a larger one. A scale-in waits for the
    end of a deployment and of both cooldowns.
    """
    if not seen.running:
        return None  # nothing to measure by
    wanted = ceil(round(seen.total / tracking.target_value, 6))
    bounded = min(max(wanted, scalable.least, 1 if seen.total else 0), scalable.most)
    since_out_s = (now_ms - scalable.scaled_out_at_ms) / 1000
    since_in_s = (now_ms - scalable.scaled_in_at_ms) / 1000
    if bounded > seen.desired:
        is_larger = bounded > scalable.scaled_out_to
        is_due = is_larger or since_out_s >= tracking.scale_out_cooldown_s
        return bounded if is_due and not scalable.out_suspended else None
    is_low = seen.total / seen.running < _IN_BELOW * tracking.target_value
    is_barred = tracking.disable_scale_in or scalable.in_suspended or seen.is_deploying
    is_cool = min(since_in_s, since_out_s) >= tracking.scale_in_cooldown_s
    if bounded < seen.desired and is_low and seen.is_whole and is_cool and not is_barred:
        return bounded
    return None


@dataclass(slots=True)
class Meter:
    """Requests of the last minute, from a counter that only grows, or begins anew."""

    _added: deque[tuple[int, int]] = field(default_factory=lambda: deque[tuple[int, int]]())
    _before: int | None = None
    _since_ms: int = 0

    def read(self, counter: int, now_ms: int) -> None:
        """The counter as it is now."""
        if self._before is None:
            self._since_ms = now_ms
        else:
            more = counter - self._before if counter >= self._before else counter
            self._added.append((now_ms, more))
        self._before = counter
        while self._added and self._added[0][0] <= now_ms - WINDOW_MS:
            self._added.popleft()

    @property
    def total(self) -> int:
        """What was added in the last minute."""
        return sum(more for _, more in self._added)

    def is_whole(self, now_ms: int) -> bool:
        """Whether a whole minute was watched."""
        return self._before is not None and now_ms - self._since_ms >= WINDOW_MS


@dataclass(slots=True)
class UseMeter:
    """What instances use of processors and memory, as it was on average in the last minute, or since they began."""

    _seen: dict[str, deque[tuple[int, int, int]]] = field(
        default_factory=lambda: dict[str, deque[tuple[int, int, int]]]()
    )  # by instance: when, its processor time in us, its memory in bytes
    _since_ms: int | None = None

    def read(self, used: Mapping[str, tuple[int, int]], now_ms: int) -> None:
        """Processor time and memory of every instance that runs now; of the others nothing is kept."""
        if self._since_ms is None or not used:
            self._since_ms = now_ms
        self._seen = {name: self._seen.get(name, deque()) for name in used}
        for name, (cpu_us, memory_bytes) in used.items():
            samples = self._seen[name]
            samples.append((now_ms, cpu_us, memory_bytes))
            while len(samples) > 2 and samples[1][0] <= now_ms - WINDOW_MS:
                samples.popleft()

    def processors(self) -> tuple[float, ...]:
        """How many processors each keeps busy, of those that were watched for long enough."""
        return tuple(
            max(0, last[1] - first[1]) / 1000 / (last[0] - first[0])
            for first, *_, last in self._settled()
        )

    def memory_bytes(self) -> tuple[float, ...]:
        """How much memory each has, of those that were watched for long enough."""
        return tuple(mean(memory for _, _, memory in samples) for samples in self._settled())

    def _settled(self) -> list[deque[tuple[int, int, int]]]:
        return [s for s in self._seen.values() if s[-1][0] - s[0][0] >= SETTLED_MS]

    def is_whole(self, now_ms: int) -> bool:
        """Whether a whole minute was watched."""
        return self._since_ms is not None and now_ms - self._since_ms >= WINDOW_MS
