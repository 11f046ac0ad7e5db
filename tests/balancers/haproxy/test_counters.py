"""Counters over workers that come and go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portway.balancers.haproxy.counters import Counters
from portway.balancers.haproxy.listeners import build_listener
from portway.core.routes import Endpoint
from portway.core.traffic import Traffic
from tests.balancers.support import LOOPBACK, make_route


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


def test_a_listener_is_counted_by_its_name_its_backends_and_each_server_of_each() -> None:
    endpoint = Endpoint(instance_id="shop/web.1.1", address=LOOPBACK, port_number=9000)
    listener = build_listener(
        make_route(8000, endpoint), public_addresses=(), certificates={}, fallback_pem=""
    )
    (server,) = listener.servers
    assert set(listener.counted) == {
        listener.name,
        f"{listener.name}.http",
        f"{listener.name}.tcp",
        f"{listener.name}.http/{server.name}",
        f"{listener.name}.tcp/{server.name}",
    }
