from __future__ import annotations

import pytest

from portway.cli.times import ago, elapsed

NOW = 1_000_000_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"), (1, "1 second ago"), (59, "59 seconds ago"), (60, "1 minute ago"), (3 * 3600, "3 hours ago"),
        (86_400, "1 day ago"), (8 * 86_400, "1 week ago"), (60 * 86_400, "2 months ago"), (800 * 86_400, "2 years ago"),
        (-280 * 86_400, "9 months from now"),
    ],
)  # fmt: skip
def test_a_moment_is_told_in_its_largest_whole_unit(seconds: int, text: str) -> None:
    assert ago(NOW - seconds * 1000, now_ms=NOW) == text


def test_no_moment_is_never() -> None:
    assert ago(None, now_ms=NOW) == "never"


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [(999, "0s"), (7_000, "7s"), (65_000, "1m5s"), (3_720_000, "1h2m"), (-1, "0s")],
)
def test_a_duration_is_short(duration_ms: int, text: str) -> None:
    assert elapsed(duration_ms) == text
