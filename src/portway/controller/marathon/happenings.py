"""Happenings: every event of the Marathon face goes through here, to whoever listens at the moment.

A slow listener never holds the others back: one that leaves too much unread is cut off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from portway.core.marathon.names import time_text

_GROUPS_OF_PLAN = ("original", "target")
UNREAD_MAX = 1024  # Marathon's --event_stream_max_outstanding_messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event: `kind` is its eventType, `fields` what else its JSON says."""

    kind: str
    at_ms: int
    fields: Mapping[str, Any]
    _frames: dict[bool, bytes] = field(default_factory=dict, repr=False, compare=False)

    def frame(self, *, light: bool) -> bytes:
        """It as a server-sent event, written once for all who listen; `light`: a plan without the groups it changes."""
        light = light and "plan" in self.fields
        if light not in self._frames:
            self._frames[light] = self._written(light=light)
        return self._frames[light]

    def _written(self, *, light: bool) -> bytes:
        told: dict[str, Any] = {
            **self.fields,
            "eventType": self.kind,
            "timestamp": time_text(self.at_ms),
        }
        if light:
            told["plan"] = {k: v for k, v in told["plan"].items() if k not in _GROUPS_OF_PLAN}
        # The line ends are those that Marathon writes.
        return b"event: %b\r\ndata: %b\r\n\r\n" % (self.kind.encode(), msgspec.json.encode(told))


class Listener:
    """What one listener has not read yet; it ends once it was cut off or everybody is sent away.

    `kinds` are the events it wants, none for all. `ended` is set as soon as nothing more comes.
    """

    def __init__(self, unread_max: int, kinds: Collection[str] = ()) -> None:
        self.is_cut_off = False
        self.ended = asyncio.Event()
        self._kinds = frozenset(kinds)
        self._unread: deque[Happening] = deque()
        self._unread_max = unread_max
        self._news = asyncio.Event()

    def put(self, happening: Happening) -> bool:
        """Whether there was room for it."""
        if self._kinds and happening.kind not in self._kinds:
            return True
        if len(self._unread) >= self._unread_max:
            self.is_cut_off = True
            return False
        self._unread.append(happening)
        self._news.set()
        return True

    def end(self) -> None:
        """Nothing more comes; what is unread can still be read."""
        self.ended.set()
        self._news.set()

    async def wait(self) -> None:
        """Until there is something to read, or nothing more comes."""
        await self._news.wait()

    def take(self) -> list[Happening]:
        """All that is unread."""
        taken = list(self._unread)
        self._unread.clear()
        if not self.ended.is_set():
            self._news.clear()
        return taken

    def __aiter__(self) -> AsyncIterator[Happening]:
        return self

    async def __anext__(self) -> Happening:
        while not self._unread:
            if self.ended.is_set():
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._unread.popleft()


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
        if not self._listeners:
            return
        told = {name: value for name, value in fields.items() if value is not None}
        happening = Happening(kind=kind, at_ms=self._now_ms(), fields=told)
        for listener in tuple(self._listeners):
            if not listener.put(happening):
                self._listeners.discard(listener)
                listener.end()

    @contextmanager
    def listening(self, kinds: Collection[str] = ()) -> Generator[Listener]:
        """What happens from this moment on, of these kinds or of all, until the block is left."""
        listener = Listener(self._unread_max, kinds)
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
