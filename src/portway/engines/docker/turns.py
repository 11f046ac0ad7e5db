"""Turns: one server on this machine at a time, also across processes; whoever dies gives its turn back."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

PAUSE_S = 0.02
PATIENCE_S = 30.0


@asynccontextmanager
async def turn(name: str, *, patience_s: float = PATIENCE_S) -> AsyncGenerator[None]:
    """Wait for the turn called `name`; past `patience_s` go on without, for the holder may be frozen.

    Linux: an abstract unix socket of that name, which the kernel frees with its process. Elsewhere: no wait.
    """
    holder = await _bound(f"\0portway/turn/{name}", patience_s)
    try:
        yield
    finally:
        if holder is not None:
            holder.close()


async def _bound(address: str, patience_s: float) -> socket.socket | None:
    if sys.platform != "linux":
        return None
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while loop.time() < deadline:
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holder.bind(address)
        except OSError:
            holder.close()
            await asyncio.sleep(PAUSE_S)
        else:
            return holder
    return None
