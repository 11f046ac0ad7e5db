"""Happenings: every event of the Marathon face goes through here, to whoever listens at the moment.

A slow listener never holds the others back: one that leaves too much unread is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

UNREAD_MAX = 1024  # Marathon's --event_stream_max_outstanding_messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event as Marathon's clients get it: `kind` is its eventType, `fields` what else its JSON says."""

    kind: str
    at_ms: int
    fields: Mapping[str, Any]


class Listener:
    """What one listener has not read yet; it ends once it was cut off or everybody is sent away."""

    def __init__(self, unread_max: int) -> None:
        self._queue: asyncio.Queue[Happening | None] = asyncio.Queue()
        self._unread_max = unread_max
        self.is_cut_off = False

    def put(self, happening: Happening) -> bool:
        """Whether there was room for it."""
        if self._queue.qsize() >= self._unread_max:
            return False
        self._queue.put_nowait(happening)
        return True

    def end(self) -> None:
        """Nothing more comes."""
        self.is_cut_off = True
        self._queue.put_nowait(None)

    def __aiter__(self) -> AsyncIterator[Happening]:
        return self

    async def __anext__(self) -> Happening:
        happening = await self._queue.get()
        if happening is None:
            raise StopAsyncIteration
        return happening


class Happenings:
    """The hub: published once, put into the bounded queue of every listener."""

    def __init__(self, now_ms: Callable[[], int], *, unread_max: int = UNREAD_MAX) -> None:
        self._now_ms = now_ms
        self._unread_max = unread_max
        self._listeners: set[Listener] = set()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def publish(self, kind: str, /, **fields: Any) -> None:
        """Tell everybody; a field that is None is left out."""
        told = {name: value for name, value in fields.items() if value is not None}
        happening = Happening(kind=kind, at_ms=self._now_ms(), fields=told)
        for listener in tuple(self._listeners):
            if not listener.put(happening):
                self._listeners.discard(listener)
                listener.end()

    @contextmanager
    def listening(self) -> Generator[Listener]:
        """What happens from this moment on, until the block is left."""
        listener = Listener(self._unread_max)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def send_away(self) -> None:
        """End every listener, as a change of the leader does; they may come again."""
        for listener in tuple(self._listeners):
            self._listeners.discard(listener)
            listener.end()
