"""Clock and letters: the only places that ask for the time and for random bits."""

from __future__ import annotations

import secrets
import string
import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, in Unix milliseconds."""

    def now_ms(self) -> int: ...


class SystemClock:
    """The machine's clock; never goes back within one process, whatever NTP does."""

    def __init__(self) -> None:
        self._offset_ms = int(time.time() * 1000) - time.monotonic_ns() // 1_000_000

    def now_ms(self) -> int:
        return self._offset_ms + time.monotonic_ns() // 1_000_000


def random_letters(count: int = 10) -> str:
    """`count` random upper-case letters, for ids people read (RUAENUMAQBS)."""
    return "".join(secrets.choice(string.ascii_uppercase) for _ in range(count))
