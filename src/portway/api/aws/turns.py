"""Turns: whoever changes one object by what it is now does so after those before, so that of two changes at once none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Turns:
    """One at a time for each key; a key that nobody waits for takes no room."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    @property
    def taken(self) -> frozenset[str]:
        """The keys that somebody has or waits for."""
        return frozenset(self._users)

    @asynccontextmanager
    async def take(self, key: str) -> AsyncGenerator[None]:
        """Have the key alone. Whoever has it must not take it again."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._users[key] = self._users.get(key, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._locks[key]
