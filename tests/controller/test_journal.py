"""Events handed to whoever follows them, in order, none twice."""

from __future__ import annotations

import pytest

from portway.controller.journal import Journal, gist
from portway.core.events import Event

VIRTUAL_TIME = True


def events(*numbers: int) -> list[Event]:
    return [Event(at_ms=n, kind="test.done", message=str(n), sequence=n) for n in numbers]


async def test_every_follower_gets_what_is_saved_from_then_on() -> None:
    journal = Journal()
    journal.publish(events(1))
    with journal.following() as one:
        journal.publish(events(2, 3))
        with journal.following() as two:
            journal.publish(events(4))
            assert (await anext(two)).sequence == 4
        assert [(await anext(one)).sequence for _ in range(3)] == [2, 3, 4]


async def test_nothing_is_kept_for_a_follower_that_left() -> None:
    journal = Journal()
    with journal.following():
        pass
    journal.publish(events(1))
    assert journal._followers == set()


async def test_a_follower_that_falls_too_far_behind_is_cut_off_after_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("portway.controller.journal.QUEUE_MAX", 3)
    journal = Journal()
    with journal.following() as slow, journal.following() as quick:
        for n in range(1, 7):
            journal.publish(events(n))
            assert (await anext(quick)).sequence == n
        assert [event.sequence async for event in slow] == [1, 2, 3]


def test_the_gist_of_a_reason_is_what_stays_while_its_numbers_change() -> None:
    assert gist("the next try is in 4 s") == gist("the next try is in 31 s")
    assert gist("31000 is taken") != gist("31000 is reserved")
