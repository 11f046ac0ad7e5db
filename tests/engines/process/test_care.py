"""Care: everybody is looked after within a second, and nobody waits for all of it."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from portway.engines.process.care import AT_ONCE, EVERY_S, Care
from portway.engines.process.handle import InstanceHandle


class Handle:
    tended = 0

    def tend(self, now_ms: int) -> None:
        self.tended += 1


class Loop:
    """An event loop's timers, without waiting."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, object]] = []

    def call_later(self, delay_s: float, call: object) -> asyncio.TimerHandle:
        self.calls.append((delay_s, call))
        return cast("asyncio.TimerHandle", self)

    def cancel(self) -> None:
        self.calls.clear()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


def _care(count: int) -> tuple[Care, list[Handle]]:
    handles = [Handle() for _ in range(count)]
    named = {str(n): cast("InstanceHandle", one) for n, one in enumerate(handles)}
    return Care(named, lambda: 0), handles


def test_few_at_once_and_all_of_them_within_a_second(loop: Loop) -> None:
    care, handles = _care(3 * AT_ONCE - 5)
    for turn in (1, 2, 3):
        care.begin()
        assert sum(one.tended for one in handles) == min(turn * AT_ONCE, len(handles))
    assert sum(delay_s for delay_s, _ in loop.calls) == pytest.approx(EVERY_S)
    assert {one.tended for one in handles} == {1}
    care.begin()
    assert sum(one.tended for one in handles) == len(handles) + AT_ONCE


def test_where_nobody_is_there_is_another_look_in_a_second(loop: Loop) -> None:
    care, _ = _care(0)
    care.begin()
    assert [delay_s for delay_s, _ in loop.calls] == [EVERY_S]


def test_after_its_end_nobody_is_looked_after(loop: Loop) -> None:
    care, _ = _care(1)
    care.begin()
    care.end()
    assert loop.calls == []
