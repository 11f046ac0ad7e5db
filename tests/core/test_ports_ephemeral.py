"""Ephemeral ports come one after the other and runs in a row, as the agent of ECS picks them (spec/ecs.md 1.2, 1.4)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from portway.core.ports import Holder, PortPool, PortRange, PortRefusal, PortRequest
from tests.core.pools import TCP, UDP, leased, numbers, refusal, wants

LINUX = PortRange(first=32768, last=60999)
TINY = PortRange(first=50000, last=50001)
TEN = PortRange(first=50000, last=50009)
STRANGER = Holder(description="a program")


def pool(ephemeral: PortRange = LINUX, **more: object) -> PortPool:
    range_ = PortRange(first=31000, last=31009)
    return PortPool(range_, hold_down_ms=0, ephemeral=ephemeral, **more)  # type: ignore[arg-type]


def any_port(**more: object) -> PortRequest:
    return replace(wants(**more), ephemeral=True)  # type: ignore[arg-type]


def row(count: int, **more: object) -> list[PortRequest]:
    return [replace(any_port(name=f"r{n}", **more), run="r") for n in range(count)]


def busy(*taken: int) -> dict[tuple[object, int], Holder]:
    return {(TCP, number): STRANGER for number in taken}


def test_the_first_is_the_lowest_and_each_follows_the_last() -> None:  # ecs-019, ecs-020
    made = pool()
    assert [leased(made, any_port())[0].host_port for _ in range(3)] == [32768, 32769, 32770]


def test_several_of_one_request_follow_one_another_over_both_protocols() -> None:
    requests = [any_port(name="a"), any_port(name="b", protocol=UDP), any_port(name="c")]
    assert numbers(pool().propose("local", requests, now_ms=0)) == [32768, 32769, 32770]


def test_one_given_back_is_not_the_next_one() -> None:
    made = pool()
    first = leased(made, any_port())
    made.free(first, now_ms=0)
    assert numbers(made.propose("local", [any_port()], now_ms=0)) == [32769]


def test_a_port_others_have_is_passed_over() -> None:  # ecs-022
    answer = pool().propose("local", [any_port()], now_ms=0, occupied=busy(32768))
    assert numbers(answer) == [32769]


def test_after_the_last_of_the_range_comes_the_first() -> None:  # ecs-023
    made = pool(TINY)
    both = leased(made, any_port(name="a"), any_port(name="b"))
    made.free(both, now_ms=0)
    assert numbers(made.propose("local", [any_port()], now_ms=0)) == [50000]


def test_a_full_range_is_refused_in_the_words_of_the_agent() -> None:  # ecs-024
    answer = pool(TINY).propose("local", [any_port()], now_ms=0, occupied=busy(50000, 50001))
    reason = refusal(answer)
    assert reason.startswith("a host port is unavailable on node local")
    assert "--aws-ephemeral-ports" in reason


def test_a_run_is_contiguous() -> None:  # ecs-025
    answer = pool(TEN).propose("local", row(3), now_ms=0, occupied=busy(50001))
    assert numbers(answer) == [50002, 50003, 50004]


def test_a_run_that_fits_nowhere_is_refused_whole() -> None:  # ecs-026
    taken = busy(50002, 50005, 50008)
    answer = pool(TEN).propose("local", [*row(5), any_port(name="x")], now_ms=0, occupied=taken)
    assert refusal(answer).startswith("5 contiguous host ports are unavailable")


def test_a_run_of_the_nodes_own_range_is_contiguous_too() -> None:
    requests = [replace(one, ephemeral=False) for one in row(4)]
    answer = pool().propose("local", requests, now_ms=0, occupied=busy(31001))
    assert numbers(answer) == [31002, 31003, 31004, 31005]


def test_reserved_and_kept_ports_are_passed_over() -> None:
    agents = PortRange(first=51677, last=51690)
    made = pool(agents, kept=(PortRange(first=51680, last=51681),), reserved=(51683,))
    requests = [any_port(name=f"p{n}") for n in range(3)]
    assert numbers(made.propose("local", requests, now_ms=0)) == [51677, 51682, 51684]


def test_an_ephemeral_port_and_one_by_number_never_meet() -> None:
    made = pool()
    leased(made, wants(fixed=32768), owner="s/db")
    assert numbers(made.propose("local", [any_port()], now_ms=0)) == [32769]
    mixed = made.propose("local", [any_port(name="a"), wants(name="b", fixed=32769)], now_ms=0)
    assert numbers(mixed) == [32770, 32769]


def test_what_is_pending_in_the_same_plan_is_passed_over() -> None:
    made = pool()
    pending = made.propose("local", [any_port()], now_ms=0)
    assert isinstance(pending, tuple)
    assert numbers(made.propose("local", [any_port()], now_ms=0, pending=pending)) == [32769]


def test_every_node_counts_for_itself() -> None:
    made = pool()
    leased(made, any_port(), node="one")
    assert numbers(made.propose("two", [any_port()], now_ms=0)) == [32768]


def test_one_that_cools_down_is_passed_over_until_then() -> None:
    range_ = PortRange(first=31000, last=31009)
    made = PortPool(range_, hold_down_ms=5000, ephemeral=TINY)
    both = leased(made, any_port(name="a"), any_port(name="b"))
    made.free(both[:1], now_ms=0)
    assert "unavailable" in refusal(made.propose("local", [any_port()], now_ms=4999))
    assert numbers(made.propose("local", [any_port()], now_ms=5000)) == [50000]


asked = st.lists(
    st.builds(
        PortRequest,
        port_name=st.sampled_from(["a", "b", "c"]),
        protocol=st.sampled_from([TCP, UDP]),
        container_port=st.just(80),
        host_port=st.none() | st.integers(31000, 31009),
        ephemeral=st.booleans(),
        address=st.just("0.0.0.0"),
    )
    | st.builds(any_port, protocol=st.just(TCP)),
    max_size=3,
)


@given(
    rounds=st.lists(st.tuples(asked, st.integers(0, 3), st.integers(0, 5)), max_size=20),
    runs=st.lists(st.integers(0, 3), max_size=20),
)
def test_no_port_is_ever_leased_twice_though_both_ranges_overlap(
    rounds: list[tuple[list[PortRequest], int, int]], runs: list[int]
) -> None:
    made = pool(PortRange(first=31005, last=31014))
    for nth, (requests, run, forget) in enumerate(rounds):
        length = runs[nth] if nth < len(runs) else run
        answer = made.propose("local", [*requests, *row(length)], now_ms=0)
        if not isinstance(answer, PortRefusal):
            contiguous = [lease.host_port for lease in answer[len(requests) :]]
            assert contiguous == list(
                range(contiguous[0], contiguous[0] + length) if length else []
            )
            made.take(answer, f"s/web.1.{nth}")
        held = [(lease.protocol, lease.host_port) for lease, _ in made.leases()]
        assert len(held) == len(set(held))
        for lease, owner in made.leases()[:forget]:
            made.free([lease], now_ms=0, owner=owner)
