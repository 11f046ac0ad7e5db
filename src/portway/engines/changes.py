"""ChangeFeed: hands hints about instances to everyone who listens. Must never hold a listener that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from weakref import WeakSet

from portway.engines.base import EngineChange


class ChangeFeed:
    """Many listeners, one publisher. A hint not yet read is never repeated, so a slow listener costs nothing."""

    def __init__(self) -> None:
        self._listeners: WeakSet[_Listener] = WeakSet()

    def listen(self) -> AsyncIterator[EngineChange]:
        """Every hint published from this very call on, for ever."""
        listener = _Listener()
        self._listeners.add(listener)
        return listener

    def publish(self, instance_id: str = "") -> None:
        """Tell every listener that an instance changed; "" = look at everything."""
        for listener in self._listeners:
            listener.put(instance_id)


class _Listener:
    """One consumer's unread hints, oldest first, each instance once."""

    def __init__(self) -> None:
        self._unread: dict[str, None] = {}
        self._arrived = asyncio.Event()

    def put(self, instance_id: str) -> None:
        self._unread[instance_id] = None
        self._arrived.set()

    def __aiter__(self) -> AsyncIterator[EngineChange]:
        return self

    async def __anext__(self) -> EngineChange:
        while not self._unread:
            self._arrived.clear()
            await self._arrived.wait()
        instance_id = next(iter(self._unread))
        del self._unread[instance_id]
        return EngineChange(instance_id=instance_id)
