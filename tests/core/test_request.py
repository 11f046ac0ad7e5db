"""Which requests say how fast an App is."""

from __future__ import annotations

import pytest

from portway.core.request import ServedRequest


@pytest.mark.parametrize(
    ("fields", "is_timed"),
    [
        ({"status": 200}, True),
        ({"status": 500}, True),
        ({"status": 101}, False),
        ({"status": 0, "is_http": False}, False),
        ({"status": 200, "aborted": True}, False),
    ],
)
def test_only_whole_http_exchanges_are_timed(fields: dict[str, int], is_timed: bool) -> None:
    request = ServedRequest(owner="shop/web", at_ms=0, **fields)  # type: ignore[arg-type]
    assert request.is_timed == is_timed
