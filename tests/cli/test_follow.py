"""Following: what may be the end of a change is looked at once, everything else in a lull, and never later than a second."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

import pytest

from portway.cli import follow
from portway.cli.client import Client, ServerCut, absent
from portway.cli.follow import News
from portway.core.errors import PortwayError
from tests.cli import views


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


def test_what_follows_a_failure_is_told_to_its_end() -> None:
    news = _news(News("", ends=True), News("going back to R1", ends=False))
    assert follow._last_notes(news) == ["going back to R1"]


class _Away(Client):
    """A server that is killed while it answers, and started again."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))
        self.failures: list[PortwayError] = [ServerCut("cut"), absent(self.socket_path)]

    def ask(self, *_: object, **__: object) -> Any:
        if self.failures:
            raise self.failures.pop(0)
        return views.stack()


def test_a_server_that_is_killed_and_started_again_is_waited_for() -> None:
    assert follow._patiently(_Away(), "httpd").name == "httpd"


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
