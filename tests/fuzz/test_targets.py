"""Every target takes what users write, and a few odd things beside; `make fuzz-guided` looks for more."""

from __future__ import annotations

import json
from random import Random

import pytest

from tests.fuzz.base import Target
from tests.fuzz.mutating import mutated
from tests.fuzz.targets import TARGETS

SEEDS_MAX = 12
MUTATIONS = 3  # of each seed


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_that_is_read_breaks_its_reader(target: Target) -> None:
    seeds = target.seeds()
    for nth, seed in enumerate(seeds[:: len(seeds) // SEEDS_MAX + 1]):
        target.check(seed)
        for other in range(MUTATIONS):
            target.check(mutated(seed, Random(nth * MUTATIONS + other)) or seed[nth:])


def test_a_changed_document_is_another_document_and_leaves_the_first_alone() -> None:
    document = json.dumps({"a": [1, "x", {"b": None}], "c": 0.5}).encode()
    made = {mutated(document, Random(seed)) for seed in range(200)}
    assert len(made) > 100
    assert mutated(document, Random(1)) == mutated(document, Random(1))


def test_what_is_no_document_is_left_to_others() -> None:
    assert mutated(b"services:\n", Random(1)) is None
