"""Traffic: added up and compared, never less than nothing."""

from __future__ import annotations

from portway.core.traffic import Traffic, total


def test_what_was_counted_since_is_the_difference() -> None:
    before = Traffic(requests=10, broken_off=1, errors_5xx=2)
    after = Traffic(requests=15, broken_off=1, errors_5xx=5, retried=1)
    assert after.since(before) == Traffic(requests=5, errors_5xx=3, retried=1)


def test_a_listener_that_was_made_anew_counts_from_nothing() -> None:
    assert Traffic(requests=3).since(Traffic(requests=10)) == Traffic()


def test_all_parts_are_added() -> None:
    parts = [Traffic(requests=1, not_connected=1), Traffic(requests=2, broken_off=3)]
    assert total(parts) == Traffic(requests=3, not_connected=1, broken_off=3)
    assert total(parts).failed == 4
