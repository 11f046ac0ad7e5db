"""Journal: hands events to whoever follows them, as they are saved. The store keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager

from portway.core.events import Event
from portway.core.plan import Blocked

QUEUE_MAX = 10_000


class Journal:
    """A slow follower never holds the others back: one that falls too far behind is cut off."""

    def __init__(self) -> None:
        self._followers: set[asyncio.Queue[Event | None]] = set()

    def publish(self, events: Sequence[Event]) -> None:
        """Hand saved events to every follower."""
        for queue in tuple(self._followers):
            for event in events:
                if queue.qsize() >= QUEUE_MAX:
                    self._followers.discard(queue)
                    queue.put_nowait(None)
                    break
                queue.put_nowait(event)

    @contextmanager
    def following(self) -> Generator[AsyncIterator[Event]]:
        """Events saved from this moment on, until the block is left."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._followers.add(queue)
        try:
            yield _Following(queue)
        finally:
            self._followers.discard(queue)


class _Following:
    """What one follower has not read yet; ends once it was cut off."""

    def __init__(self, queue: asyncio.Queue[Event | None]) -> None:
        self._queue = queue

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event = await self._queue.get()
        if event is None:
            raise StopAsyncIteration
        return event


def gist(reason: str) -> str:
    """The reason less its numbers: the same reason, however long it has been so."""
    return "".join(c for c in reason if not c.isdigit())


def blocked(what: Blocked, *, now_ms: int) -> Event:
    """That an App cannot go on, and why."""
    told = {"code": what.code, "node": what.node}
    return Event(
        at_ms=now_ms,
        kind="app.blocked",
        message=what.reason,
        stack=what.app_id.rpartition("/")[0],
        app_id=what.app_id,
        data={name: word for name, word in told.items() if word},
    )
