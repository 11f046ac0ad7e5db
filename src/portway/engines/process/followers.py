"""Who follows an instance's output, so that its files stay until its last words are read. Reads nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress


class Followers:
    """Counts the readers of each instance's output."""

    def __init__(self) -> None:
        self._reading: dict[str, list[asyncio.Event]] = {}

    @contextmanager
    def reading(self, instance_id: str) -> Generator[None]:
        """One reader, until the block is left."""
        done = asyncio.Event()
        self._reading.setdefault(instance_id, []).append(done)
        try:
            yield
        finally:
            done.set()
            self._reading[instance_id].remove(done)
            if not self._reading[instance_id]:
                del self._reading[instance_id]

    async def finish(self, instance_id: str, *, within_s: float) -> None:
        """Return once nobody reads it any more; one that does not read on is not waited for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for done in tuple(self._reading.get(instance_id, ())):
                    await done.wait()
