"""The rules of the port pool, one test a rule."""

from __future__ import annotations

import pytest

from portway.core.ports import (
    ANY_ADDRESS,
    Lease,
    PortRange,
    PortRefusal,
    addresses_conflict,
)
from tests.core.pools import (
    TCP,
    UDP,
    held_by,
    leased,
    make_pool,
    numbers,
    refusal,
    wants,
)


def test_a_lease_says_everything_that_was_asked_and_where_it_is() -> None:
    request = wants(name="admin", protocol=UDP, address="10.0.0.5", container_port=9000)
    assert make_pool().propose("node-2", [request], now_ms=0) == (
        Lease(
            port_name="admin",
            node="node-2",
            protocol=UDP,
            host_port=31000,
            container_port=9000,
            address="10.0.0.5",
        ),
    )


def test_asking_for_nothing_gives_nothing() -> None:
    assert make_pool().propose("local", [], now_ms=0) == ()


def test_answers_come_in_the_order_of_the_requests() -> None:
    answer = make_pool().propose(
        "local", [wants(), wants(fixed=31005), wants(preferred=31002), wants()], now_ms=0
    )
    assert numbers(answer) == [31003, 31005, 31002, 31004]


def test_fixed_ports_are_placed_before_any_dynamic_one() -> None:
    answer = make_pool().propose("local", [wants(), wants(fixed=31000)], now_ms=0)
    assert numbers(answer) == [31001, 31000]


def test_a_zero_never_equals_a_fixed_port_of_the_same_list_on_another_address() -> None:
    requests = [wants(), wants(fixed=31000, address="10.0.0.5")]
    assert numbers(make_pool().propose("local", requests, now_ms=0)) == [31001, 31000]


def test_a_fixed_port_may_lie_outside_the_range() -> None:
    (lease,) = leased(make_pool(), wants(fixed=8080))
    assert (lease.host_port, lease.fixed) == (8080, True)


def test_a_fixed_port_is_refused_rather_than_moved() -> None:
    pool = make_pool()
    leased(pool, wants(fixed=8080))
    assert refusal(pool.propose("local", [wants(fixed=8080)], now_ms=0)) == (
        "host port 8080 on node local is leased by httpd/web.1.3; "
        "stop that instance or choose another host port"
    )


def test_a_fixed_port_held_by_another_program_is_refused_by_name() -> None:
    occupied = {(TCP, 31004): held_by("nginx (pid 812), listening on 0.0.0.0:31004")}
    assert refusal(
        make_pool().propose("local", [wants(fixed=31004)], now_ms=0, occupied=occupied)
    ) == (
        "host port 31004 on node local is held by nginx (pid 812), listening on 0.0.0.0:31004; "
        "stop that program or choose another host port"
    )


@pytest.mark.parametrize(
    ("holder_addresses", "address", "is_refused"),
    [
        ((), "10.0.0.5", True),
        (("10.0.0.6",), "10.0.0.5", False),
        (("10.0.0.6", "10.0.0.5"), "10.0.0.5", True),
        (("10.0.0.6",), ANY_ADDRESS, True),
        (("::",), "10.0.0.5", True),
    ],
)
def test_a_foreign_holder_refuses_a_fixed_port_only_where_the_addresses_conflict(
    holder_addresses: tuple[str, ...], address: str, is_refused: bool
) -> None:
    occupied = {(TCP, 8080): held_by("nginx", *holder_addresses)}
    answer = make_pool().propose(
        "local", [wants(fixed=8080, address=address)], now_ms=0, occupied=occupied
    )
    assert isinstance(answer, PortRefusal) is is_refused


def test_two_ports_of_one_list_cannot_be_fixed_to_the_same_number() -> None:
    requests = [wants(fixed=8080, name="web"), wants(fixed=8080, name="admin")]
    assert refusal(make_pool().propose("local", requests, now_ms=0)) == (
        "host port 8080 on node local is asked for by both web and admin; "
        "give one of them another host port"
    )


def test_a_reserved_port_is_neither_given_out_nor_leased_by_number() -> None:
    pool = make_pool(reserved=[31000, 8080])
    assert numbers(pool.propose("local", [wants(preferred=31000)], now_ms=0)) == [31001]
    assert refusal(pool.propose("local", [wants(fixed=8080)], now_ms=0)) == (
        "host port 8080 on node local is kept for portway itself; choose another host port"
    )


def test_a_refused_list_takes_nothing() -> None:
    pool = make_pool()
    leased(pool, wants(fixed=8080))
    before = pool.leases()
    refusal(pool.propose("local", [wants(), wants(fixed=8080)], now_ms=0))
    assert pool.leases() == before
    assert numbers(pool.propose("local", [wants()], now_ms=0)) == [31000]


def test_proposing_takes_nothing_so_twice_gives_the_same() -> None:
    pool = make_pool()
    leased(pool, wants())
    first = pool.propose("local", [wants(), wants(preferred=31004)], now_ms=0)
    assert pool.propose("local", [wants(), wants(preferred=31004)], now_ms=0) == first
    assert len(pool) == 1


def test_a_preferred_port_is_given_when_it_is_free() -> None:
    assert numbers(make_pool().propose("local", [wants(preferred=31007)], now_ms=0)) == [31007]


def test_preferred_ports_are_placed_before_next_fit_can_have_them() -> None:
    requests = [wants(), wants(preferred=31000)]
    assert numbers(make_pool().propose("local", requests, now_ms=0)) == [31001, 31000]


@pytest.mark.parametrize("preferred", [31000, 31003, 31004, 31099], ids=["leased", "foreign", "fixed", "outside"])  # fmt: skip
def test_a_preferred_port_that_cannot_be_had_is_replaced_by_another(preferred: int) -> None:
    pool = make_pool()
    leased(pool, wants())
    answer = pool.propose(
        "local",
        [wants(preferred=preferred), wants(fixed=31004)],
        now_ms=0,
        occupied={(TCP, 31003): held_by("nginx")},
    )
    assert numbers(answer) == [31001, 31004]


def test_the_next_dynamic_port_is_the_one_after_the_last_taken() -> None:
    pool = make_pool()
    first = leased(pool, wants())
    pool.free(first, now_ms=0, hold_down_ms=0)
    assert numbers(leased(pool, wants())) == [31001]


def test_next_fit_goes_round_at_the_end_of_the_range() -> None:
    pool = make_pool(31000, 31002)
    first = leased(pool, wants())
    leased(pool, wants(), wants())
    pool.free(first, now_ms=0, hold_down_ms=0)
    assert numbers(pool.propose("local", [wants()], now_ms=0)) == [31000]


def test_next_fit_goes_round_when_others_have_the_rest_of_the_range() -> None:
    pool = make_pool(31000, 31003)
    pool.free(leased(pool, wants(), wants()), now_ms=0, hold_down_ms=0)
    occupied = {(TCP, 31002): held_by("curl"), (TCP, 31003): held_by("nginx")}
    assert numbers(pool.propose("local", [wants()], now_ms=0, occupied=occupied)) == [31000]


def test_a_sticky_lease_does_not_pull_the_cursor_back() -> None:
    pool = make_pool()
    old = leased(pool, wants(), wants(), wants())
    pool.free(old, now_ms=0, hold_down_ms=0)
    leased(pool, wants(preferred=31001))
    assert numbers(pool.propose("local", [wants()], now_ms=0)) == [31003]


def test_a_fixed_lease_does_not_move_the_cursor() -> None:
    pool = make_pool()
    leased(pool, wants(fixed=31004))
    assert numbers(pool.propose("local", [wants()], now_ms=0)) == [31000]


def test_a_range_of_one_port_works() -> None:
    pool = make_pool(31000, 31000)
    leases = leased(pool, wants())
    assert isinstance(pool.propose("local", [wants()], now_ms=0), PortRefusal)
    pool.free(leases, now_ms=0, hold_down_ms=0)
    assert numbers(pool.propose("local", [wants()], now_ms=0)) == [31000]


def test_each_node_and_each_protocol_has_its_own_cursor() -> None:
    pool = make_pool()
    leased(pool, wants(), wants())
    assert numbers(leased(pool, wants(), node="b")) == [31000]
    assert numbers(leased(pool, wants(protocol=UDP))) == [31000]
    assert numbers(leased(pool, wants())) == [31002]


def test_a_node_may_have_its_own_range() -> None:
    pool = make_pool(node_ranges={"b": PortRange(first=40000, last=40001)})
    assert numbers(leased(pool, wants(), node="b")) == [40000]
    assert numbers(leased(pool, wants(), node="a")) == [31000]


def test_tcp_and_udp_of_one_number_are_two_ports() -> None:
    pool = make_pool()
    answer = leased(pool, wants(fixed=53), wants(fixed=53, protocol=UDP))
    assert numbers(answer) == [53, 53]
    assert "53/udp" in refusal(pool.propose("local", [wants(fixed=53, protocol=UDP)], now_ms=0))


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "10.0.0.1", True),
        ("10.0.0.1", "0.0.0.0", True),
        ("0.0.0.0", "0.0.0.0", True),
        ("::", "0.0.0.0", True),
        ("::", "10.0.0.1", True),
        ("::", "::1", True),
        ("0.0.0.0", "::1", True),
        ("::1", "127.0.0.1", False),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("[::1]", "::1", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("", "10.0.0.1", True),
        ("*", "10.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("FE80::1", "fe80::1", True),
    ],
)
def test_addresses_conflict_when_equal_or_when_one_is_every_address(
    one: str, other: str, conflict: bool
) -> None:
    assert addresses_conflict(one, other) is conflict
    pool = make_pool()
    leased(pool, wants(fixed=8080, address=one))
    answer = pool.propose("local", [wants(fixed=8080, address=other)], now_ms=0)
    assert isinstance(answer, PortRefusal) is conflict


def test_a_container_port_of_zero_becomes_the_host_port() -> None:
    answer = make_pool().propose(
        "local",
        [wants(container_port=0), wants(container_port=0, fixed=8080)],
        now_ms=0,
    )
    assert not isinstance(answer, PortRefusal)
    assert [(lease.container_port, lease.host_port) for lease in answer] == [
        (31000, 31000),
        (8080, 8080),
    ]
