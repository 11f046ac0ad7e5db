"""Timestamps, as each protocol writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.api.aws.wire.times import epoch_number, iso_text, read_time


@given(at_ms=st.integers(0, 253_402_300_799_999))
def test_what_is_written_is_read_again(at_ms: int) -> None:
    assert read_time(iso_text(at_ms)) == at_ms
    assert read_time(epoch_number(at_ms)) == at_ms


@pytest.mark.parametrize(
    "value",
    ["2015-11-17T19:49:17.233Z", "2015-11-17T20:49:17.233+01:00", 1447789757.233, "1447789757.233"],
)
def test_a_moment_is_the_same_however_it_is_written(value: object) -> None:
    assert read_time(value) == 1447789757233


def test_an_http_date_is_a_moment_too() -> None:
    assert read_time("Tue, 17 Nov 2015 19:49:17 GMT") == 1447789757000


@given(value=st.text() | st.integers() | st.floats() | st.booleans() | st.none())
def test_what_is_no_moment_is_none(value: object) -> None:
    found = read_time(value)
    assert found is None or isinstance(found, int)
