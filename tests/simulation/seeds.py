"""Which seeds are run, in batches that two cores share; and what a failing one leaves for whoever mends it.

SEED=7 runs that one only, SEEDS=N the first N, SEEDS=N-M those from N up to M. A failure says seed and commit, the shortest history found that still
fails in the same way, what happened in it, and the command that does it again.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DEFAULT = 200
BATCH = 20
TRACE_SHOWN = 40


def batches(*, share: float = 1.0) -> list[range]:
    """The seeds to run, some at a time. `share`: this kind of history is run for so much of them."""
    if chosen := os.environ.get("SEED"):
        return [range(int(chosen), int(chosen) + 1)]
    begin, dash, end = os.environ.get("SEEDS", str(DEFAULT)).partition("-")
    first, last = (int(begin), int(end) + 1) if dash else (0, max(1, int(int(begin) * share)))
    return [range(at, min(at + BATCH, last)) for at in range(first, last, BATCH)]


def name_of(batch: range) -> str:
    """How a test is called that runs these seeds."""
    return f"{batch.start}-{batch.stop - 1}" if len(batch) > 1 else str(batch.start)


def commit() -> str:
    """The commit that is tested, and whether files differ from it."""
    try:
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def report(
    seed: int, broken: object, *, whole: int, steps: Sequence[object], trace: Sequence[str]
) -> str:
    """Everything needed to see the failure again."""
    lines = [
        f"seed {seed} of commit {commit()} breaks:",
        f"  {broken}",
        f"with {len(steps)} of its {whole} steps:",
        *(f"  {step}" for step in steps),
        "what happened last:",
        *(f"  {line}" for line in trace[-TRACE_SHOWN:]),
        f"again: make sim SEED={seed}",
    ]
    return "\n".join(lines)


def run_batch(batch: range, check: Callable[[int], str | None]) -> None:
    """Run every seed of the batch; the first that fails is the test's failure."""
    for seed in batch:
        said = check(seed)
        if said is not None:
            pytest.fail(said, pytrace=False)


def shrink(
    steps: Sequence[Any], fails: Callable[[Sequence[Any]], bool], *, runs_max: int = 200
) -> tuple[Any, ...]:
    """The fewest of these steps, in their order, that still fail: large parts are dropped first, then small ones."""
    left = tuple(steps)
    size, runs = max(1, len(left) // 2), 0
    while runs < runs_max:
        at, shorter = 0, False
        while at < len(left) and runs < runs_max:
            tried = left[:at] + left[at + size :]
            runs += 1
            if fails(tried):
                left, shorter = tried, True
            else:
                at += size
        if size == 1 and not shorter:
            return left
        size = size if shorter and size == 1 else max(1, size // 2)
    return left
