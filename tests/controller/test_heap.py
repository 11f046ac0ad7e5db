"""Heap: what is known is set apart once everything was looked at, never before, and again later."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from portway.controller import heap
from portway.controller.heap import set_apart, settled_heap

VIRTUAL_TIME = True


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(heap, "set_apart", lambda: found.append("set apart"))
    return found


@pytest.fixture
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


async def test_nothing_is_set_apart_before_everything_was_looked_at(calls: list[str]) -> None:
    looked = asyncio.Event()
    async with settled_heap(looked):
        await asyncio.sleep(5000)
        assert calls == []
        looked.set()
        await asyncio.sleep(1)
        assert calls == ["set apart"]


async def test_what_has_come_since_is_set_apart_in_its_turn(calls: list[str]) -> None:
    looked = asyncio.Event()
    looked.set()
    async with settled_heap(looked, again_s=60):
        await asyncio.sleep(150)
    await asyncio.sleep(150)
    assert len(calls) == 3


@pytest.mark.usefixtures("thawed")
def test_what_is_set_apart_is_not_looked_through_again() -> None:
    set_apart()  # garbage with finalizers takes more than one collection: not this test's
    gc.collect()
    kept = [{"an": "object"} for _ in range(1000)]
    set_apart()
    assert gc.get_freeze_count() >= len(kept)
    before = gc.get_freeze_count()
    set_apart()
    assert abs(gc.get_freeze_count() - before) < len(kept)  # not twice
