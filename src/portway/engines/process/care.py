"""Care: the once-a-second look after running instances, a few at a time so that nothing else waits for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from itertools import islice

from portway.engines.process.handle import InstanceHandle

EVERY_S = 1.0
AT_ONCE = 25


class Care:
    """Tends all of `handles` within a second, again and again, between `begin` and `end`."""

    def __init__(self, handles: Mapping[str, InstanceHandle], clock: Callable[[], int]) -> None:
        self._handles = handles
        self._clock = clock
        self._waiting: list[InstanceHandle] = []
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Tend some now, and the others soon."""
        if not self._waiting:
            self._waiting = list(self._handles.values())
        now_ms = self._clock()
        turns = max(1, math.ceil(len(self._handles) / AT_ONCE))
        for handle in islice(self._waiting, AT_ONCE):
            handle.tend(now_ms)
        del self._waiting[:AT_ONCE]
        self._timer = asyncio.get_running_loop().call_later(EVERY_S / turns, self.begin)

    def end(self) -> None:
        """Tend nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
