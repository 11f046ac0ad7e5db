"""Service ports: what the vectors do not say."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from portway.core.lease import PortRange
from portway.core.marathon.service_ports import (
    SERVICE_PORTS,
    Exhausted,
    assign_service_ports,
)

FEW = settings(max_examples=50)
WITHIN = PortRange(first=10, last=30)
NUMBER = st.one_of(st.just(0), st.just(0), st.integers(min_value=5, max_value=40))
APPS = st.dictionaries(st.sampled_from("abcd"), st.lists(NUMBER, max_size=4).map(tuple), max_size=4)


@FEW
@given(APPS, APPS, st.sets(st.integers(min_value=5, max_value=40), max_size=6))
def test_what_is_assigned_is_nobody_elses_and_what_is_given_stays(
    wanted: dict[str, tuple[int, ...]], previous: dict[str, tuple[int, ...]], used: set[int]
) -> None:
    previous = {path: tuple(n for n in ns if n) for path, ns in previous.items()}
    found = assign_service_ports(wanted, previous=previous, used=used, within=WITHIN)
    if isinstance(found, Exhausted):
        assert sum(numbers.count(0) for numbers in wanted.values()) > 0
        return
    assert found.keys() == wanted.keys()
    given_ = [n for numbers in wanted.values() for n in numbers if n]
    for path, numbers in wanted.items():
        assert len(found[path]) == len(numbers)
        for asked, got in zip(numbers, found[path], strict=True):
            assert got == asked or (not asked and got in WITHIN)
            if not asked:
                assert got not in used or got in previous.get(path, ())
                mine = previous.get(path, ())
                others = [n for p, ns in previous.items() if p != path for n in ns]
                assert got in mine or got not in (*given_, *others)


@FEW
@given(st.lists(st.integers(min_value=1, max_value=3), min_size=1, max_size=5))
def test_everything_assigned_at_once_is_different_and_the_lowest(counts: list[int]) -> None:
    wanted = {f"/app{n}": (0,) * count for n, count in enumerate(counts)}
    found = assign_service_ports(wanted, previous={}, used=(12,), within=WITHIN)
    assert not isinstance(found, Exhausted)
    assigned = [n for numbers in found.values() for n in numbers]
    free = [n for n in range(10, 31) if n != 12]
    assert assigned == free[: sum(counts)]


def test_an_exhausted_range_is_refused_in_marathons_words() -> None:
    within = PortRange(first=10, last=11)
    found = assign_service_ports({"/a": (0, 0, 0)}, previous={}, used=(), within=within)
    assert isinstance(found, Exhausted)
    assert found.message == "All ports in the range [10-11) are already in use"


def test_an_app_that_asks_for_less_keeps_its_first_ones() -> None:
    found = assign_service_ports({"/a": (0,)}, previous={"/a": (11, 12)}, used=(11, 12))
    assert found == {"/a": (10000,)}, "out of the range they are not its own any more"
    found = assign_service_ports({"/a": (0,)}, previous={"/a": (11, 12)}, used=(), within=WITHIN)
    assert found == {"/a": (11,)}
    assert (SERVICE_PORTS.first, SERVICE_PORTS.last) == (10000, 20000)
