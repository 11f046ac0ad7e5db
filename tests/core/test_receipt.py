"""Receipts: no moment counted twice, no failure forgotten, none made up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from portway.core.instance import InstanceIdentity, InstanceRecord
from portway.core.receipt import (
    KEPT_PER_RELEASE,
    FailedRequests,
    Receipt,
    drain_time_ms,
    failures,
    put,
    stage_times,
    took_part,
)
from portway.core.traffic import Traffic


def record(serial: int, *times_ms: int | None) -> InstanceRecord:
    """planned, started, ready, draining, stopping, gone."""
    planned, started, ready, draining, stopping, gone = (*times_ms, *[None] * (6 - len(times_ms)))
    identity = InstanceIdentity(
        id=f"shop/web.1.{serial}",
        app_id="shop/web",
        slot=1,
        serial=serial,
        revision="R",
        release="R",
        node="local",
    )
    return InstanceRecord(
        identity=identity,
        planned_at_ms=planned or 0,
        started_at_ms=started,
        ready_at_ms=ready,
        draining_at_ms=draining,
        stopping_at_ms=stopping,
        gone_at_ms=gone,
    )


def test_each_second_is_counted_where_it_went() -> None:
    new = record(2, 100, 500, 800)
    old = record(1, -9000, -8000, -7000, 900, 1500, 2500)
    spent = stage_times([new, old], started_at_ms=100, ended_at_ms=2600)
    assert spent == {"start": 400, "health": 300, "drain": 600, "stop": 1000, "other": 200}


def test_what_happens_at_once_is_counted_once() -> None:
    some = [record(1, 0, 400, 900), record(2, 0, 600, 700), record(3, -50, -40, -30, 500, 800, 950)]
    spent = stage_times(some, started_at_ms=0, ended_at_ms=1000)
    assert spent == {"start": 600, "health": 300, "stop": 50, "other": 50}


def test_a_bake_counts_while_nothing_else_happens_and_until_the_end() -> None:
    spent = stage_times(
        [record(1, 0, 200, 300)], started_at_ms=0, ended_at_ms=900, bakes=[(250, 600), (800, 2000)]
    )
    assert spent == {"start": 200, "health": 100, "bake": 400, "other": 200}


def test_what_never_ended_lasts_until_the_end() -> None:
    assert stage_times([record(1, 0, 200)], started_at_ms=0, ended_at_ms=900) == {
        "start": 200,
        "health": 700,
    }


moment = st.integers(-50, 1500)
lives = st.lists(st.lists(moment, min_size=1, max_size=6).map(sorted), max_size=8)


@given(lives)
def test_the_parts_add_up_to_the_whole(some: list[list[int]]) -> None:
    records = [record(n, *times) for n, times in enumerate(some)]
    spent = stage_times(records, started_at_ms=0, ended_at_ms=1000)
    assert sum(spent.values()) == 1000
    assert all(value > 0 for value in spent.values())


def test_only_what_changed_since_took_part() -> None:
    assert took_part(record(1, 100), started_at_ms=100)
    assert took_part(record(1, 0, 10, 20, 150), started_at_ms=100)
    assert not took_part(record(1, 0, 10, 20), started_at_ms=100)


def test_draining_took_as_long_as_the_slowest() -> None:
    some = [record(1, 0, 1, 2, 100, 300), record(2, 0, 1, 2, 100, 150), record(3, 0, 1, 2)]
    assert drain_time_ms(some, ended_at_ms=1000) == 200
    assert drain_time_ms([record(1, 0, 1, 2, 100)], ended_at_ms=1000) == 900


def test_failures_are_named_most_first() -> None:
    assert failures({"a": 1, "b": 3, "c": 1}, Traffic(), all_seen=True) == (
        FailedRequests(reason="b", count=3),
        FailedRequests(reason="a", count=1),
        FailedRequests(reason="c", count=1),
    )


def test_what_only_the_counters_know_is_named_by_them() -> None:
    counted = Traffic(errors_5xx=5, not_connected=2, broken_off=1)
    found = failures({"no instance was ready": 1}, counted, all_seen=False)
    assert sum(one.count for one in found) == 5
    assert FailedRequests(reason="no instance could be connected to", count=2) in found


def test_where_each_request_was_seen_the_counters_add_nothing() -> None:
    assert failures({}, Traffic(errors_5xx=5), all_seen=True) == ()


def test_a_receipt_replaces_its_own_opening_and_the_oldest_goes() -> None:
    receipts: tuple[Receipt, ...] = ()
    for n in range(KEPT_PER_RELEASE + 3):
        opening = Receipt(deployment=f"D{n}", release="R", started_at_ms=n)
        receipts = put(put(receipts, opening), Receipt(**{**_fields(opening), "status": "done"}))
    assert len(receipts) == KEPT_PER_RELEASE
    assert [one.status for one in receipts] == ["done"] * KEPT_PER_RELEASE
    assert receipts[-1].deployment == f"D{KEPT_PER_RELEASE + 2}"


def _fields(receipt: Receipt) -> dict[str, object]:
    return {"deployment": receipt.deployment, "release": "R", "started_at_ms": 0}


def test_the_total_is_the_sum_of_its_stages() -> None:
    receipt = Receipt(
        deployment="D", release="R", started_at_ms=0, stages_ms={"build": 800, "start": 400}
    )
    assert receipt.total_ms == 1200
