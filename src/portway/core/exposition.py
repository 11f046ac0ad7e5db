"""Figures -> the text that Prometheus reads (exposition format 0.0.4). Pure; no dependency, for it is one screen.

A family is named as Prometheus advises: a unit at the end of the name, `_total` on what only grows. Labels are
few and their values bounded: no id that grows for ever is ever one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Kind(StrEnum):
    """How Prometheus is to read a family."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric: its name, what it says, the labels that tell its series apart."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # upper bounds, ascending; of a histogram


@dataclass(slots=True)
class Histogram:
    """How many values fell where; `counts` has one place more than there are buckets."""

    buckets: Sequence[float]
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        if not self.counts:
            self.counts = [0] * (len(self.buckets) + 1)
        self.counts[bisect_left(self.buckets, value)] += 1
        self.sum += value


Labels = tuple[str, ...]
Series = Mapping[Labels, float | Histogram]


def render(families: Sequence[tuple[Family, Series]]) -> str:
    """The page: each family once, with its help and type, its series in the order of their labels."""
    return "".join(line for family, series in families for line in _family_lines(family, series))


def _family_lines(family: Family, series: Series) -> Iterator[str]:
    yield f"# HELP {family.name} {_escaped_help(family.help)}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for labels in sorted(series):
        value = series[labels]
        pairs = list(zip(family.labels, labels, strict=True))
        if isinstance(value, Histogram):
            yield from _histogram_lines(family.name, pairs, value)
        else:
            yield f"{family.name}{_braces(pairs)} {_number(value)}\n"


def _histogram_lines(
    name: str, pairs: list[tuple[str, str]], histogram: Histogram
) -> Iterator[str]:
    counts = histogram.counts or [0] * (len(histogram.buckets) + 1)
    below = 0
    for bound, count in zip((*histogram.buckets, float("inf")), counts, strict=True):
        below += count
        yield f"{name}_bucket{_braces([*pairs, ('le', _number(bound))])} {below}\n"
    yield f"{name}_sum{_braces(pairs)} {_number(histogram.sum)}\n"
    yield f"{name}_count{_braces(pairs)} {below}\n"


def _braces(pairs: Sequence[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escaped_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
