"""Counters over workers that come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portway.balancers.haproxy.counters import Counters


def test_a_worker_that_ended_keeps_counting_in_the_sum() -> None:
    counters = Counters({"b": (10, 1)})
    counters.see(1, {"b": 5}, {"b": 2})
    counters.see(2, {"b": 1}, {"b": 0})
    assert counters.total("b") == (16, 3)
    counters.keep([2])
    assert counters.total("b") == (16, 3)
    assert counters.gone == {"b": (15, 3)}


def test_a_backend_that_is_no_more_starts_from_nothing() -> None:
    counters = Counters({"b": (10, 1)})
    counters.see(1, {"b": 5}, {"b": 2})
    counters.forget_all_but([])
    assert counters.total("b") == (0, 0)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9), st.booleans())))
def test_the_sum_never_goes_backwards(steps: list[tuple[int, int, bool]]) -> None:
    counters, said, last = Counters(), dict.fromkeys((1, 2, 3), 0), 0
    for worker_id, more, ends in steps:
        said[worker_id] += more
        counters.see(worker_id, {"b": said[worker_id]}, {})
        if ends:
            counters.keep([w for w in said if w != worker_id])
            said[worker_id] = 0
        assert counters.total("b")[0] >= last
        last = counters.total("b")[0]
