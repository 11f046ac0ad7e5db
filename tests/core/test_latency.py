"""Latencies: little room, an exact worst and a near quantile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portway.core.latency import Latencies

times = st.lists(st.floats(0, 1e7), min_size=1, max_size=200)


def test_without_any_time_there_is_no_quantile() -> None:
    assert Latencies().quantile_ms(0.99) == 0.0


@given(times)
def test_the_worst_is_exact(some: list[float]) -> None:
    latencies = Latencies()
    for time_ms in some:
        latencies.add(time_ms)
    assert latencies.worst_ms == max(some)
    assert latencies.count == len(some)


@given(times, st.floats(0.01, 1))
def test_a_quantile_is_never_below_the_truth_and_little_above(
    some: list[float], part: float
) -> None:
    latencies = Latencies()
    for time_ms in some:
        latencies.add(time_ms)
    import math

    truth = sorted(some)[math.ceil(len(some) * part) - 1]
    assert truth * 0.9999 <= latencies.quantile_ms(part) <= max(truth * 1.0401, 0.0105)
