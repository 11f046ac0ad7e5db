"""Target tracking: how many tasks a service should have, by what was measured. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import ceil

WINDOW_MS = 60_000
COOLDOWN_S = 300
_IN_BELOW = 0.9  # of the target: a figure just under it is no reason to have fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """What a policy wants: `target_value` requests a minute for each task."""

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
    """What was seen: `total` requests in the last minute. Not `is_whole`: less than a minute was watched."""

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
