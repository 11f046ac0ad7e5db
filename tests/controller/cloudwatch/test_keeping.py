"""Streams of events in the store, and their bounds."""

from __future__ import annotations

import pytest

from portway.controller.cloudwatch import keeping
from portway.controller.cloudwatch.keeping import (
    CHUNK,
    LogKeeper,
    NoSuchGroup,
    NoSuchStream,
    keeper_of,
)
from portway.store.documents import MemoryDocuments

DAY_MS = 24 * 3600 * 1000


class Clock:
    now_ms = 100 * DAY_MS

    def __call__(self) -> int:
        return self.now_ms


async def made(documents: MemoryDocuments, clock: Clock) -> LogKeeper:
    logs = LogKeeper(documents, clock)
    await logs.create_group("g")
    await logs.create_stream("g", "s")
    return logs


async def messages(logs: LogKeeper) -> list[str]:
    return [event.message for event in await logs.events("g", ["s"])]


async def test_a_stream_keeps_what_is_newest_within_its_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keeping, "CHUNK_BYTES", 100)
    monkeypatch.setattr(keeping, "CHUNKS_MAX", 2)
    documents, clock = MemoryDocuments(), Clock()
    logs = await made(documents, clock)
    for number in range(20):
        await logs.append("g", "s", [(clock.now_ms + number, f"line {number}")])
    kept = await messages(logs)
    assert kept == [f"line {number}" for number in range(20 - len(kept), 20)]
    assert len(await documents.list(CHUNK)) == 2
    await logs.append("g", "s", [(clock.now_ms + 20 + n, "x" * 90) for n in range(5)])
    assert await messages(logs) == ["x" * 90] * 2


async def test_what_is_past_its_retention_is_shown_no_more_and_then_gone():
    documents, clock = MemoryDocuments(), Clock()
    logs = await made(documents, clock)
    await logs.append("g", "s", [(clock.now_ms, "old")])
    body = (await logs.group("g")).body
    await documents.put("logs.group", "g", {**body, "retention_days": 1})
    assert await messages(logs) == ["old"]
    clock.now_ms += 2 * DAY_MS
    assert await messages(logs) == []


async def test_deleting_leaves_nothing():
    documents, clock = MemoryDocuments(), Clock()
    logs = await made(documents, clock)
    await logs.append("g", "s", [(clock.now_ms, "m")])
    await logs.append("g", "s", [])
    await logs.delete_group("g")
    for kind in (keeping.GROUP, keeping.STREAM, CHUNK):
        assert await documents.list(kind) == ()
    with pytest.raises(NoSuchGroup):
        await logs.append("g", "s", [(1, "m")])
    await logs.create_group("g")
    with pytest.raises(NoSuchStream):
        await logs.append("g", "s", [(1, "m")])


def test_a_store_has_one_keeper():
    documents, clock = MemoryDocuments(), Clock()
    assert keeper_of(documents, clock) is keeper_of(documents, clock)
