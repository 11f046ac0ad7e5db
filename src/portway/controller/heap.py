"""Heap: what a controller knows stays while it runs, so the garbage collector need not look through it time and again.

With ten thousand Apps a whole collection takes a third of a second, in which nobody is answered.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

AGAIN_S = 3600.0


def set_apart() -> None:
    """Collect everything once, then leave what is left out of later collections."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@asynccontextmanager
async def settled_heap(looked: asyncio.Event, *, again_s: float = AGAIN_S) -> AsyncGenerator[None]:
    """Set apart what is known once everything was looked at, and anew every hour, until the block is left."""
    async with asyncio.TaskGroup() as group:
        work = group.create_task(_settle(looked, again_s))
        try:
            yield
        finally:
            work.cancel()


async def _settle(looked: asyncio.Event, again_s: float) -> None:
    await looked.wait()
    while True:
        set_apart()
        await asyncio.sleep(again_s)
