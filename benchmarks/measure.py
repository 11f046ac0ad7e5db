"""What every benchmark shares: figures with an aim, rivals measured in the same run, one table at the end.

A figure is a median of several runs; where there is a rival, ours and the rival's take turns and the ratio is
taken pair by pair, so that a machine that slows down meanwhile slows both.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

Measured = TypeVar("Measured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table. `aim` is an upper bound, or a lower one where `more_is_better`; None: only told.

    `value` is what the aim is about: the ratio to the rival where there is one, else our own figure.
    """

    name: str
    ours: str
    value: float
    rival: str = ""
    aim: float | None = None
    unit: str = ""
    more_is_better: bool = False

    @property
    def met(self) -> bool:
        """Whether the aim is reached; without one there is nothing to miss."""
        if self.aim is None:
            return True
        return self.value >= self.aim if self.more_is_better else self.value <= self.aim


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def in_turns(
    ours: Callable[[], Measured], rival: Callable[[], Measured], runs: int
) -> tuple[list[Measured], list[Measured]]:
    """Run both in turn, the other one first every other time."""
    mine: list[Measured] = []
    theirs: list[Measured] = []
    for nth in range(runs):
        first, second = (ours, rival) if nth % 2 == 0 else (rival, ours)
        one, other = first(), second()
        mine.append(one if first is ours else other)
        theirs.append(other if first is ours else one)
    return mine, theirs


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios pair by pair."""
    return statistics.median(a / b for a, b in zip(mine, theirs, strict=True))


def seconds(value_s: float) -> str:
    """A time as people read it."""
    return f"{value_s * 1000:.1f} ms" if value_s < 1 else f"{value_s:.2f} s"


def against(
    name: str,
    mine: Sequence[float],
    theirs: Sequence[float],
    *,
    rival: str,
    aim: float | None,
    tell: Callable[[float], str] = seconds,
    more_is_better: bool = False,
) -> Figure:
    """A figure that is a ratio to a rival; both medians are told."""
    return Figure(
        name=name,
        ours=tell(statistics.median(mine)),
        value=ratio(mine, theirs),
        rival=f"{rival}: {tell(statistics.median(theirs))}",
        aim=aim,
        unit="x",
        more_is_better=more_is_better,
    )


def row(figure: Figure) -> list[str]:
    """The figure as the columns of the table."""
    sign = ">=" if figure.more_is_better else "<="
    aim = "" if figure.aim is None else f"{sign} {figure.aim:g} {figure.unit}".strip()
    compared = f"{figure.value:.2f} x" if figure.rival and figure.unit == "x" else ""
    verdict = "" if figure.aim is None else ("met" if figure.met else "**missed**")
    return [figure.name, figure.ours, figure.rival, compared, aim, verdict]


HEAD = ["What", "portway", "against", "ratio", "aim", ""]


def table(figures: Sequence[Figure]) -> str:
    """A Markdown table."""
    lines = [HEAD, ["---"] * len(HEAD), *map(row, figures)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def arguments(doc: str | None, **more: object) -> argparse.Namespace:
    """`--quick` and `--json FILE`, which every benchmark takes."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs, smaller sizes")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def report(figures: Sequence[Figure], options: argparse.Namespace) -> int:
    """Print the table, write the file; the exit code: 1 when an aim is missed."""
    print(table(figures), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=1))
    missed = [figure for figure in figures if not figure.met]
    for figure in missed:
        print(f"MISSED: {figure.name}: {figure.value:g} {figure.unit}, not {figure.aim:g}", file=sys.stderr)  # fmt: skip
    return 1 if missed else 0
