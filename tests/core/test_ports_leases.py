"""Rules of leases once they are taken: given back, cooling, counted, restored."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from portway.core.port_words import PortKind
from portway.core.ports import (
    CoolingPort,
    Lease,
    PortCounts,
    PortPool,
    PortRefusal,
    PortRequest,
)
from tests.core.pools import (
    HOLD_MS,
    OWNER,
    TCP,
    UDP,
    held_by,
    leased,
    make_pool,
    numbers,
    refusal,
    wants,
)


def test_leases_of_the_same_plan_are_not_given_out_again() -> None:
    pool = make_pool()
    pending: list[Lease] = []
    for _ in range(3):
        answer = pool.propose("local", [wants()], now_ms=0, pending=pending)
        assert not isinstance(answer, PortRefusal)
        pending.extend(answer)
    assert numbers(tuple(pending)) == [31000, 31001, 31002]
    pool.take(pending, OWNER)


def test_leases_of_the_same_plan_on_another_node_do_not_matter() -> None:
    pool = make_pool()
    pending = pool.propose("b", [wants()], now_ms=0)
    assert not isinstance(pending, PortRefusal)
    assert numbers(pool.propose("local", [wants()], now_ms=0, pending=pending)) == [31000]


def test_a_fixed_port_of_the_same_plan_is_refused_with_the_way_out() -> None:
    pool = make_pool()
    pending = pool.propose("local", [wants(fixed=8080)], now_ms=0)
    assert not isinstance(pending, PortRefusal)
    assert refusal(pool.propose("local", [wants(fixed=8080)], now_ms=0, pending=pending)) == (
        "host port 8080 on node local is already given to another instance in the same plan; a "
        "fixed host port serves one instance on a node: leave the host port open to run several"
    )


@pytest.mark.parametrize(
    "request_", [wants(), wants(preferred=31000), wants(fixed=31000)], ids=["dynamic", "sticky", "fixed"]
)  # fmt: skip
def test_a_freed_port_is_not_given_out_within_the_hold_down(request_: PortRequest) -> None:
    pool = make_pool(31000, 31000)
    pool.free(leased(pool, wants()), now_ms=1000)
    answer = pool.propose("local", [request_], now_ms=1000 + HOLD_MS - 1)
    assert isinstance(answer, PortRefusal)
    assert answer.retry_at_ms == 1000 + HOLD_MS
    assert numbers(pool.propose("local", [request_], now_ms=1000 + HOLD_MS)) == [31000]


def test_a_port_that_cools_down_is_named_with_its_giver_and_the_time_left() -> None:
    pool = make_pool()
    pool.free(leased(pool, wants(fixed=8080)), now_ms=0)
    assert refusal(pool.propose("local", [wants(fixed=8080)], now_ms=1800)) == (
        "host port 8080 on node local was given back by httpd/web.1.3 a moment ago and is held "
        "down for another 3.2 s; it can be leased after that"
    )


def test_a_cooled_port_that_is_still_in_use_is_skipped() -> None:
    pool = make_pool(31000, 31001)
    pool.free(leased(pool, wants()), now_ms=0)
    answer = pool.propose(
        "local",
        [wants(preferred=31000)],
        now_ms=HOLD_MS,
        occupied={(TCP, 31000): held_by("docker-proxy (pid 7)")},
    )
    assert numbers(answer) == [31001]


def test_a_lease_can_be_given_back_without_a_hold_down() -> None:
    pool = make_pool(31000, 31000)
    pool.free(leased(pool, wants()), now_ms=0, hold_down_ms=0)
    assert pool.cooling(0) == ()
    assert numbers(pool.propose("local", [wants()], now_ms=0)) == [31000]


def test_freeing_what_is_not_leased_changes_nothing() -> None:
    pool = make_pool()
    leases = leased(pool, wants())
    pool.free(leases, now_ms=0)
    pool.free(leases, now_ms=4000)
    assert [entry.free_at_ms for entry in pool.cooling(0)] == [HOLD_MS]


def test_freeing_for_an_owner_leaves_the_lease_of_its_successor() -> None:
    pool = make_pool(31000, 31000)
    leases = leased(pool, wants(), owner="httpd/web.1.3")
    pool.free(leases, now_ms=0, hold_down_ms=0)
    pool.take(leases, "httpd/web.1.4")
    pool.free(leases, now_ms=0, owner="httpd/web.1.3")
    assert pool.owner_of("local", TCP, 31000) == "httpd/web.1.4"


def test_taking_a_port_twice_is_a_bug_and_said_so() -> None:
    pool = make_pool()
    leases = leased(pool, wants(), owner="httpd/web.1.3")
    with pytest.raises(AssertionError, match="share a port"):
        pool.take(leases, "httpd/web.2.4")


def test_the_same_lease_of_the_same_owner_is_taken_once() -> None:
    pool = make_pool()
    leases = leased(pool, wants())
    pool.take(leases, OWNER)
    assert len(pool) == 1
    pool.free(leases, now_ms=0)
    assert len(pool) == 0


def test_foreign_ports_are_skipped_per_protocol() -> None:
    occupied = {(TCP, 31000): held_by("curl"), (UDP, 31001): held_by("dnsmasq")}
    pool = make_pool()
    requests = [wants(), wants(protocol=UDP), wants(protocol=UDP)]
    answer = pool.propose("local", requests, now_ms=0, occupied=occupied)
    assert numbers(answer) == [31001, 31000, 31002]


def test_an_exhausted_range_says_where_its_ports_went_and_what_to_do() -> None:
    pool = make_pool(31000, 31005, reserved=[31005])
    leases = leased(pool, wants(), wants())
    pool.free(leases[:1], now_ms=0)
    answer = pool.propose(
        "local",
        [wants(), wants(), wants()],
        now_ms=2000,
        occupied={(TCP, 31002): held_by("nginx")},
    )
    assert isinstance(answer, PortRefusal)
    assert answer.reason == (
        "no host port is free on node local: of 31000-31005 (6 ports) 1 leased, 2 given out in "
        "this plan, 1 cooling down, 1 held by other programs, 1 kept for portway itself; widen "
        "the range with --host-ports, wait 3.0 s for the next one or stop what is not needed"
    )
    assert answer.retry_at_ms == HOLD_MS


def test_an_exhausted_range_without_cooling_ports_names_no_time_to_wait_for() -> None:
    pool = make_pool(31000, 31000)
    leased(pool, wants())
    answer = pool.propose("local", [wants()], now_ms=0)
    assert isinstance(answer, PortRefusal)
    assert answer.retry_at_ms is None
    assert "wait" not in answer.reason


def test_listener_ports_are_spoken_of_as_listener_ports() -> None:
    pool = make_pool(10000, 10000, kind=PortKind.LISTENER)
    leased(pool, wants(fixed=8000), wants(), owner="httpd/web", node="balancer")
    assert refusal(pool.propose("balancer", [wants(fixed=8000)], now_ms=0)) == (
        "listener port 8000 is leased by httpd/web; give one of the two another listener port"
    )
    assert refusal(pool.propose("balancer", [wants()], now_ms=0)) == (
        "no listener port is free: of 10000-10000 (1 ports) 1 leased; "
        "widen the range with --service-ports or stop what is not needed"
    )
    pending = pool.propose("balancer", [wants(fixed=9000)], now_ms=0)
    assert not isinstance(pending, PortRefusal)
    assert refusal(pool.propose("balancer", [wants(fixed=9000)], now_ms=0, pending=pending)) == (
        "listener port 9000 is already given out in the same plan; choose another listener port"
    )


def test_the_owner_of_a_port_is_known_by_address() -> None:
    pool = make_pool()
    leased(pool, wants(fixed=8080, address="10.0.0.1"), owner="a/web.1.1")
    leased(pool, wants(fixed=8080, address="10.0.0.2"), owner="b/web.1.1")
    assert pool.owner_of("local", TCP, 8080, address="10.0.0.2") == "b/web.1.1"
    assert pool.owner_of("local", TCP, 8080, address="10.0.0.3") is None
    assert pool.owner_of("local", UDP, 8080) is None


def test_one_of_two_leases_of_a_number_can_be_freed_alone() -> None:
    pool = make_pool()
    first = leased(pool, wants(fixed=31000, address="10.0.0.1"), owner="a/web.1.1")
    leased(pool, wants(fixed=31000, address="10.0.0.2"), owner="b/web.1.1")
    pool.free(first, now_ms=0, hold_down_ms=0)
    assert pool.owner_of("local", TCP, 31000) == "b/web.1.1"
    assert numbers(pool.propose("local", [wants()], now_ms=0)) == [31001]


def two_addresses(pool: PortPool) -> tuple[tuple[Lease, ...], tuple[Lease, ...]]:
    first = leased(pool, wants(fixed=31000, address="10.0.0.1"), owner="a/web.1.1")
    second = leased(pool, wants(fixed=31000, address="10.0.0.2"), owner="b/web.1.1")
    return first, second


def test_a_number_rests_until_the_last_of_its_addresses_has_rested() -> None:
    pool = make_pool(31000, 31000)
    first, second = two_addresses(pool)
    pool.free(first, now_ms=0)
    pool.free(second, now_ms=1000)
    assert isinstance(pool.propose("local", [wants()], now_ms=HOLD_MS), PortRefusal)
    assert numbers(pool.propose("local", [wants()], now_ms=HOLD_MS + 1000)) == [31000]


def test_a_number_rests_on_when_another_of_its_addresses_is_freed_without_a_hold_down() -> None:
    pool = make_pool(31000, 31000)
    first, second = two_addresses(pool)
    pool.free(first, now_ms=0)
    pool.free(second, now_ms=0, hold_down_ms=0)
    assert isinstance(pool.propose("local", [wants()], now_ms=0), PortRefusal)


def test_counts_tell_what_became_of_the_range() -> None:
    pool = make_pool(reserved=[31009])
    leases = leased(pool, wants(), wants(), wants(), wants(fixed=8080))
    pool.free(leases[:1], now_ms=0)
    assert pool.counts("local", TCP, now_ms=0) == PortCounts(
        total=10, leased=2, cooling=1, reserved=1
    )
    assert pool.counts("local", TCP, now_ms=HOLD_MS) == PortCounts(
        total=10, leased=2, cooling=0, reserved=1
    )
    assert len(pool) == 3


def restored(leases: Sequence[tuple[Lease, str]], cooling: Sequence[CoolingPort]) -> PortPool:
    pool = make_pool(31000, 31003)
    pool.take((Lease(port_name="x", node="local", protocol=TCP, host_port=31003, container_port=1),), "gone")  # fmt: skip
    pool.restore(leases, cooling)
    return pool


def test_a_restored_pool_has_the_stored_leases_and_goes_on_cooling() -> None:
    old = make_pool(31000, 31003)
    leases = leased(old, wants(), wants())
    old.free(leases[:1], now_ms=1000)
    pool = restored(old.leases(), old.cooling(1000))
    assert (pool.leases(), pool.cooling(1000)) == (old.leases(), old.cooling(1000))
    assert numbers(leased(pool, wants(), wants(), now_ms=1000)) == [31002, 31003]
    assert isinstance(pool.propose("local", [wants()], now_ms=1000), PortRefusal)
    assert numbers(pool.propose("local", [wants()], now_ms=1000 + HOLD_MS)) == [31000]


def test_a_stored_lease_outside_a_narrowed_range_stays_leased() -> None:
    outside = Lease(port_name="x", node="local", protocol=TCP, host_port=40000, container_port=1)
    pool = restored([(outside, OWNER)], [])
    assert pool.owner_of("local", TCP, 40000) == OWNER
    pool.free([outside], now_ms=0)
    assert pool.leases() == ()
    assert isinstance(pool.propose("local", [wants(fixed=40000)], now_ms=1), PortRefusal)


def test_adopting_an_instance_on_a_port_that_cools_ends_the_cooling() -> None:
    pool = make_pool()
    leases = leased(pool, wants())
    pool.free(leases, now_ms=0)
    pool.take(leases, OWNER)
    assert pool.cooling(0) == ()
    assert isinstance(pool.propose("local", [wants(fixed=31000)], now_ms=HOLD_MS), PortRefusal)
