"""Turns: changes of one object one after another."""

from __future__ import annotations

import asyncio

import pytest

from portway.api.aws.turns import Turns


async def test_two_of_one_key_are_never_within_it_at_once_and_two_of_two_keys_are() -> None:
    turns, told = Turns(), []
    entered = asyncio.Event()

    async def change(key: str, name: str) -> None:
        async with turns.take(key):
            told.append(f"{name} begins")
            if name == "first":
                await entered.wait()
            told.append(f"{name} ends")

    async with asyncio.TaskGroup() as group:
        group.create_task(change("a", "first"))
        group.create_task(change("a", "second"))
        await change("b", "other")
        entered.set()
    assert [t for t in told if not t.startswith("other")] == [
        "first begins", "first ends", "second begins", "second ends",
    ]  # fmt: skip
    assert told.index("other ends") < told.index("first ends")


async def test_a_key_is_free_and_forgotten_after_a_failure_or_a_cancelled_wait() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError):
        async with turns.take("a"):
            raise ZeroDivisionError
    async with turns.take("a"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), turns.take("a"):
                pass
        assert turns.taken == {"a"}
    assert turns.taken == frozenset()
