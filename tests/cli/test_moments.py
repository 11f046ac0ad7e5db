from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from portway.cli.moments import parse_moment, parse_window, told
from portway.core.errors import RequestError

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 15, 0, 30, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("14:25", "2026-11-21 14:25:00 CET"),
        ("9:05:07", "2026-11-21 09:05:07 CET"),
        ("today 14:25", "2026-11-21 14:25:00 CET"),
        ("yesterday 23:59", "2026-11-20 23:59:00 CET"),
        ("2026-11-21 14:25:10", "2026-11-21 14:25:10 CET"),
        ("2026-11-21 14:25", "2026-11-21 14:25:00 CET"),
        ("2026-11-20", "2026-11-20 00:00:00 CET"),
        ("2026-07-01 12:00", "2026-07-01 12:00:00 CEST"),
        ("2026-11-21T13:25:10Z", "2026-11-21 14:25:10 CET"),
        ("2026-11-21T14:25:10+01:00", "2026-11-21 14:25:10 CET"),
        ("10m ago", "2026-11-21 14:50:30 CET"),
        ("1h30m ago", "2026-11-21 13:30:30 CET"),
        ("2 hours ago", "2026-11-21 13:00:30 CET"),
        ("1 day 2 minutes ago", "2026-11-20 14:58:30 CET"),
        (" NOW ", "2026-11-21 15:00:30 CET"),
    ],
)
def test_a_moment_is_read_as_people_write_it(text: str, said: str) -> None:
    assert told(parse_moment(text, now=NOW, home=BERLIN)) == said


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "25:00", "14:61", "14", "ago", "x ago", "10 parsecs ago", "2026-13-01", "2026-11-21 99:00",
        "14:25 tomorrow", "9999999999d ago", "999999999w ago", "１０m ago", "2026-11-21T14:25:10+99:99",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(RequestError, match="is not a time that can be read") as caught:
        parse_moment(text, now=NOW, home=BERLIN)
    assert '"10m ago"' in str(caught.value.hint)


def test_the_future_is_refused_and_yesterday_offered() -> None:
    with pytest.raises(RequestError, match="2026-11-21 16:00:00 CET is in the future") as caught:
        parse_moment("16:00", now=NOW, home=BERLIN)
    assert '"yesterday 16:00"' in str(caught.value.hint)
    with pytest.raises(RequestError, match="in the future") as caught:
        parse_moment("2027-01-01", now=NOW, home=BERLIN)
    assert "It is 2026-11-21 15:00:30 CET." in str(caught.value.hint)


def test_without_a_zone_the_machine_says_which() -> None:
    now = datetime(2026, 11, 21, 15, tzinfo=UTC)
    assert parse_moment("2026-11-20", now=now) == datetime(2026, 11, 20).astimezone()  # noqa: DTZ001


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("10m", 600), ("1h30m", 5400)])
def test_a_window_is_a_length_of_time(text: str, seconds: int) -> None:
    assert parse_window(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "m", "0s", "14:25"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="is not a length of time"):
        parse_window(text)
