"""Following: what may be the end of a change is looked at once, everything else in a lull, and never later than a second."""

from __future__ import annotations

import queue
import threading

import pytest

from portway.cli import follow
from portway.cli.follow import News


def _news(*items: News) -> queue.SimpleQueue[News]:
    found: queue.SimpleQueue[News] = queue.SimpleQueue()
    for item in items:
        found.put(item)
    return found


def test_an_end_is_looked_at_at_once() -> None:
    more = News("later", ends=False)
    news = _news(News("web.1.1 failed", ends=False), News("", ends=True), more)
    assert follow._next_notes(news) == ["web.1.1 failed"]
    assert news.get_nowait() is more


def test_what_is_not_worth_a_line_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_LOOK_EVERY_S", 0.01)
    assert follow._next_notes(_news(News("", ends=False), News("moved", ends=False))) == ["moved"]


def test_news_that_never_pause_keep_nobody_from_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_LOOK_EVERY_S", 0.02)
    news, enough = _news(), threading.Event()

    def chatter() -> None:
        while not enough.wait(0.0001):
            news.put(News("again", ends=False))

    talker = threading.Thread(target=chatter, daemon=True)
    talker.start()
    assert follow._next_notes(news)
    enough.set()
    talker.join()
