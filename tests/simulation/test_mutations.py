"""Every portway that is broken on purpose is found out, by the invariant that it breaks, within the usual seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tests.simulation import invariants
from tests.simulation.histories import history
from tests.simulation.mutations import MUTATIONS, SHOWN_BY, Patch, mutated
from tests.simulation.seeds import DEFAULT
from tests.simulation.story import run

SPEEDS = 4  # seeds of a machine that one history is tried on
# Where one was found last: looked at first, for the first of the usual seeds that shows it may be far.
FOUND = {
    "one_look_is_believed": 93,
    "a_canary_gets_more_than_its_share": 31,
    "hold_down_forgotten_by_a_restart": 27,
    "what_is_called_off_stays": 19,
    "drain_below_the_minimum": 14,
    "a_paused_one_starts_what_is_new": 13,
    "a_pause_pauses_nothing": 10,
    "a_blue_green_is_seen_before_it_is_whole": 10,
}


def seeds(name: str) -> Iterable[int]:
    return dict.fromkeys([FOUND.get(name, 0), *range(DEFAULT)])


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
def test_a_portway_that_is_broken_on_purpose_is_found_out(
    mutation: Callable[[], list[Patch]],
) -> None:
    for seed in seeds(mutation.__name__):
        nodes, steps = history(seed)
        with mutated(mutation()):
            broken = run(seed, steps, nodes=nodes)
        if broken is not None:
            assert broken.name in MUTATIONS[mutation], f"seed {seed}: {broken}"
            return
    pytest.fail(f"{mutation.__name__} goes unnoticed through {DEFAULT} seeds")


@pytest.mark.parametrize("mutation", SHOWN_BY, ids=lambda m: m.__name__)
def test_what_takes_several_faults_at_once_is_found_out_by_its_history(
    mutation: Callable[[], list[Patch]],
) -> None:
    names, steps = SHOWN_BY[mutation]
    for seed in range(SPEEDS):
        assert run(seed, steps, nodes=1) is None
        with mutated(mutation()):
            broken = run(seed, steps, nodes=1)
        if broken is not None:
            assert broken.name in names
            return
    pytest.fail(f"{mutation.__name__} goes unnoticed")


def test_every_invariant_is_shown_to_notice_something() -> None:
    """An invariant that no mutation breaks might hold of anything."""
    noticed = set().union(*MUTATIONS.values(), *(names for names, _ in SHOWN_BY.values()))
    assert set(invariants.INVARIANTS) - noticed == set()
