"""Seeded histories of the whole controller: whatever goes wrong and whenever it dies, nothing is lost and it comes to rest."""

from __future__ import annotations

import pytest

from tests.simulation.histories import history
from tests.simulation.seeds import batches, name_of, report, run_batch, shrink
from tests.simulation.story import run


def check(seed: int) -> str | None:
    nodes, steps = history(seed)
    broken = run(seed, steps, nodes=nodes)
    if broken is None:
        return None

    def fails(some: object) -> bool:
        again = run(seed, some, nodes=nodes)  # type: ignore[arg-type]
        return again is not None and again.name == broken.name

    short = shrink(steps, fails)
    trace: list[str] = []
    last = run(seed, short, nodes=nodes, trace=trace)
    return report(seed, last or broken, whole=len(steps), steps=short, trace=trace)


@pytest.mark.parametrize("batch", batches(), ids=name_of)
def test_whatever_goes_wrong_the_invariants_hold_and_it_comes_to_rest(batch: range) -> None:
    run_batch(batch, check)
