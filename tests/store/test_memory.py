"""MemoryStore: its faults. What it shares with the real ones is in tests/contract/test_store.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from portway.core.errors import StoreError
from portway.store.base import Batch
from portway.store.memory import MemoryStore
from tests.store import samples

FULL = StoreError("The disk is full.")


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    store = MemoryStore()
    await store.open()
    yield store
    await store.close()


async def test_a_failed_save_saves_nothing_and_reads_go_on(store: MemoryStore) -> None:
    store.fail_saves(FULL)
    with pytest.raises(StoreError, match="full"):
        await store.save(Batch(apps=(samples.state(),), events=(samples.event(),)))
    assert (await store.load()).apps == ()
    assert list(await store.events()) == []
    assert store.batches == []


async def test_so_many_saves_fail_and_then_they_work_again(store: MemoryStore) -> None:
    store.fail_saves(FULL, times=2)
    for _ in range(2):
        with pytest.raises(StoreError):
            await store.save(Batch(apps=(samples.state(),)))
    await store.save(Batch(apps=(samples.state(),)))


async def test_failed_reads_leave_saves_alone(store: MemoryStore) -> None:
    store.fail_reads(FULL)
    await store.save(Batch(apps=(samples.state(),)))
    for read in (store.load, store.events, lambda: store.releases("x")):
        with pytest.raises(StoreError):
            await read()
    store.heal()
    assert len((await store.load()).apps) == 1


async def test_after_a_crash_the_next_store_finds_everything_saved(store: MemoryStore) -> None:
    await store.save(Batch(apps=(samples.state(),)))
    store.crash()
    after = MemoryStore(store.disk)
    await after.open()
    assert (await after.load()).apps == (samples.state(version=1),)
    with pytest.raises(StoreError, match="not open"):
        await store.load()
    await store.close()
    await after.load()
