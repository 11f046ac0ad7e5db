"""first_row: ports in a row, from a place in the range on, once round."""

from __future__ import annotations

import pytest

from portway.core.lease import PortRange, first_row

RANGE = PortRange(first=50000, last=50009)


@pytest.mark.parametrize(
    ("count", "start", "busy", "first"),
    [
        (1, 50000, (), 50000),
        (3, 50000, (50001,), 50002),
        (1, 50009, (), 50009),
        (1, 50010, (), 50000),
        (2, 50009, (), 50000),
        (4, 50005, (50007,), 50000),
        (3, 50004, (50000, 50001, 50002, 50006, 50009), 50003),
        (3, 50004, (50000, 50001, 50006, 50009), 50002),
        (10, 50007, (), 50000),
        (11, 50000, (), None),
    ],
)
def test_a_row_is_found_at_or_after_the_start_or_once_round_or_not_at_all(
    count: int, start: int, busy: tuple[int, ...], first: int | None
) -> None:
    assert first_row(RANGE, count, start=start, is_free=lambda n: n not in busy) == first
