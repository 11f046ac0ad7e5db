"""Counters over workers that come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portway.balancers.haproxy.counters import Counters
from portway.core.traffic import Traffic


def counted(requests: int, not_connected: int = 0) -> Traffic:
    return Traffic(requests=requests, not_connected=not_connected)


def test_a_worker_that_ended_keeps_counting_in_the_sum() -> None:
    counters = Counters({"b": counted(10, 1)})
    counters.see(1, {"b": counted(5, 2)})
    counters.see(2, {"b": counted(1)})
    assert counters.total("b") == counted(16, 3)
    counters.keep([2])
    assert counters.total("b") == counted(16, 3)
    assert counters.gone == {"b": counted(15, 3)}


def test_a_backend_that_is_no_more_starts_from_nothing() -> None:
    counters = Counters({"b": counted(10, 1)})
    counters.see(1, {"b": counted(5)})
    counters.forget_all_but([])
    assert counters.total("b") == Traffic()


def test_several_names_are_counted_together() -> None:
    counters = Counters({"f": Traffic(malformed=2)})
    counters.see(1, {"b.http": counted(5), "b.tcp": counted(2, 1)})
    assert counters.total("f", "b.http", "b.tcp") == Traffic(
        requests=7, not_connected=1, malformed=2
    )


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 9), st.booleans())))
def test_the_sum_never_goes_backwards(steps: list[tuple[int, int, bool]]) -> None:
    counters, said, last = Counters(), dict.fromkeys((1, 2, 3), 0), 0
    for worker_id, more, ends in steps:
        said[worker_id] += more
        counters.see(worker_id, {"b": counted(said[worker_id])})
        if ends:
            counters.keep([w for w in said if w != worker_id])
            said[worker_id] = 0
        assert counters.total("b").requests >= last
        last = counters.total("b").requests
