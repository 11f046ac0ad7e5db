"""LogKeeper: log groups, streams and their events as documents, within bounds. The oldest of a stream goes first."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from portway.store.base import Document, DocumentChangedError, Documents

GROUP, STREAM, CHUNK = "logs.group", "logs.stream", "logs.events"
CHUNK_BYTES = 64 * 1024
CHUNKS_MAX = 256  # of a stream: sixteen megabytes
_EVENT_OVERHEAD_BYTES = 26  # as AWS counts them
_DAY_MS = 24 * 3600 * 1000

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent:
    """One event of a stream. `id` is 56 digits, in the order of time, and another one for every event."""

    id: str
    stream: str
    at_ms: int
    ingested_at_ms: int
    message: str


class NoSuchGroup(Exception):
    """There is no log group of the name."""


class NoSuchStream(Exception):
    """There is no log stream of the name."""


class LogKeeper:
    """Every change of a stream goes through one of these, which has them one at a time."""

    def __init__(self, documents: Documents, now_ms: Callable[[], int]) -> None:
        self._documents = documents
        self._now_ms = now_ms
        self._lock = asyncio.Lock()

    async def group(self, name: str) -> Document:
        """A group; NoSuchGroup."""
        found = await self._documents.get(GROUP, name)
        if found is None:
            raise NoSuchGroup(name)
        return found

    async def stream(self, group: str, name: str) -> Document:
        """A stream; NoSuchGroup or NoSuchStream."""
        found = await self._documents.get(STREAM, _key(group, name))
        if found is None:
            await self.group(group)
            raise NoSuchStream(name)
        return found

    async def groups(self, prefix: str = "") -> tuple[Document, ...]:
        """Groups by name."""
        return await self._documents.list(GROUP, prefix)

    async def streams(self, group: str, prefix: str = "") -> tuple[Document, ...]:
        """The streams of a group, by name; NoSuchGroup."""
        await self.group(group)
        return await self._documents.list(STREAM, _key(group, prefix))

    async def create_group(self, name: str, **more: Any) -> bool:
        """Make a group; False when there is one."""
        body = {"name": name, "created_at_ms": self._now_ms(), "tags": {}, **more}
        return await self._make(GROUP, name, body)

    async def create_stream(self, group: str, name: str) -> bool:
        """Make a stream; False when there is one. NoSuchGroup."""
        await self.group(group)
        body = {
            "group": group,
            "name": name,
            "created_at_ms": self._now_ms(),
            "chunks": [],
            "next": 0,
        }
        return await self._make(STREAM, _key(group, name), body)

    async def _make(self, kind: str, key: str, body: Body) -> bool:
        try:
            await self._documents.put(kind, key, body, 0)
        except DocumentChangedError:
            return False
        return True

    async def delete_group(self, name: str) -> None:
        """Forget a group with everything in it; NoSuchGroup."""
        for stream in await self.streams(name):
            await self.delete_stream(name, stream.body["name"])
        await self._documents.delete(GROUP, name)

    async def delete_stream(self, group: str, name: str) -> None:
        """Forget a stream; NoSuchGroup or NoSuchStream."""
        async with self._lock:
            found = await self.stream(group, name)
            await self._documents.delete(STREAM, found.key)
            for chunk in found.body["chunks"]:
                await self._documents.delete(CHUNK, _chunk_key(found.key, chunk["number"]))

    async def append(self, group: str, name: str, lines: Sequence[tuple[int, str]]) -> None:
        """Add (at_ms, message) to a stream; NoSuchGroup or NoSuchStream."""
        if not lines:
            return
        async with self._lock:
            stream = await self.stream(group, name)
            body = dict(stream.body)
            chunks = [dict(chunk) for chunk in body["chunks"]]
            now_ms = self._now_ms()
            rest = list(lines)
            while rest:
                chunk = await self._open_chunk(stream.key, body, chunks)
                rest = await self._fill(stream.key, chunk, rest, now_ms)
            retention_days = (await self.group(group)).body.get("retention_days")
            cutoff_ms = now_ms - retention_days * _DAY_MS if retention_days else 0
            body["chunks"] = await self._trim(stream.key, chunks, cutoff_ms)
            body["ingested_at_ms"] = now_ms
            await self._documents.put(STREAM, stream.key, body)

    async def _open_chunk(self, key: str, body: Body, chunks: list[Body]) -> Body:
        if not chunks or chunks[-1]["bytes"] >= CHUNK_BYTES:
            chunks.append({"number": body["next"], "bytes": 0, "first_ms": None, "last_ms": 0})
            await self._documents.put(CHUNK, _chunk_key(key, body["next"]), {"events": []})
            body["next"] += 1
        return chunks[-1]

    async def _fill(
        self, key: str, chunk: Body, lines: list[tuple[int, str]], now_ms: int
    ) -> list[tuple[int, str]]:
        """Put lines into a chunk until it is full; those that are left."""
        document = await self._documents.get(CHUNK, _chunk_key(key, chunk["number"]))
        events: list[Any] = list(document.body["events"]) if document else []
        taken = 0
        for at_ms, message in lines:
            if taken and chunk["bytes"] >= CHUNK_BYTES:
                break
            events.append([at_ms, now_ms, message])
            chunk["bytes"] += len(message.encode()) + _EVENT_OVERHEAD_BYTES
            chunk["first_ms"] = at_ms if chunk["first_ms"] is None else min(chunk["first_ms"], at_ms)  # fmt: skip
            chunk["last_ms"] = max(chunk["last_ms"], at_ms)
            taken += 1
        await self._documents.put(CHUNK, _chunk_key(key, chunk["number"]), {"events": events})
        return lines[taken:]

    async def _trim(self, key: str, chunks: list[Body], cutoff_ms: int) -> list[Body]:
        """What is too old or too much goes, chunk by chunk."""
        kept = [chunk for chunk in chunks[-CHUNKS_MAX:] if chunk["last_ms"] >= cutoff_ms]
        numbers = {chunk["number"] for chunk in kept}
        for chunk in chunks:
            if chunk["number"] not in numbers:
                await self._documents.delete(CHUNK, _chunk_key(key, chunk["number"]))
        return kept

    async def end_of(self, group: str, name: str) -> tuple[int, int]:
        """The time of a stream's newest event, and how many events have that very time; (0, 0) while it is empty."""
        stream = await self.stream(group, name)
        chunks = stream.body["chunks"]
        last_ms = max((chunk["last_ms"] for chunk in chunks), default=0)
        found = [
            event
            for chunk in chunks
            if chunk["last_ms"] == last_ms
            for event in await self._events_of(stream, chunk["number"])
        ]
        return last_ms, sum(event.at_ms == last_ms for event in found)

    async def events(
        self, group: str, names: Iterable[str], *, start_ms: int = 0, end_ms: int | None = None
    ) -> list[LogEvent]:
        """Events of streams with start_ms <= at_ms < end_ms, in the order of time; those past retention are none."""
        retention_days = (await self.group(group)).body.get("retention_days")
        if retention_days:
            start_ms = max(start_ms, self._now_ms() - retention_days * _DAY_MS)
        found: list[LogEvent] = []
        for name in names:
            stream = await self.stream(group, name)
            for chunk in stream.body["chunks"]:
                if chunk["last_ms"] < start_ms or (end_ms is not None and (chunk["first_ms"] or 0) >= end_ms):  # fmt: skip
                    continue
                found += await self._events_of(stream, chunk["number"])
        return sorted(
            (e for e in found if e.at_ms >= start_ms and (end_ms is None or e.at_ms < end_ms)),
            key=lambda event: event.id,
        )

    async def _events_of(self, stream: Document, number: int) -> list[LogEvent]:
        document = await self._documents.get(CHUNK, _chunk_key(stream.key, number))
        events: list[tuple[int, int, str]] = list(document.body["events"]) if document else []
        digits = int(hashlib.sha256(stream.key.encode()).hexdigest(), 16) % 10**15
        return [
            LogEvent(
                id=f"{at_ms:015}{digits:015}{number:013}{index:013}",
                stream=stream.body["name"],
                at_ms=at_ms,
                ingested_at_ms=ingested_at_ms,
                message=message,
            )
            for index, (at_ms, ingested_at_ms, message) in enumerate(events)
        ]


_keepers: WeakKeyDictionary[Documents, LogKeeper] = WeakKeyDictionary()


def keeper_of(documents: Documents, now_ms: Callable[[], int]) -> LogKeeper:
    """The one keeper of a store's logs in this process."""
    found = _keepers.get(documents)
    if found is None:
        found = _keepers[documents] = LogKeeper(documents, now_ms)
    return found


def _key(group: str, stream: str) -> str:
    """Neither name can hold a colon."""
    return f"{group}:{stream}"


def _chunk_key(key: str, number: int) -> str:
    return f"{key}:{number:010}"
