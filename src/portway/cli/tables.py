"""Tables and key-value lists for people: left-aligned, two spaces between columns. Pure text, colours included."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import click

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_GAP = "  "
_GOOD = frozenset({"running", "healthy", "ready", "done", "completed", "active", "create"})
_BAD = frozenset(
    {"failed", "unhealthy", "blocked", "degraded", "gone", "remove", "cancelled", "crash looping"}
)
_BUSY = frozenset(
    {
        "deploying",
        "paused",
        "not ready",
        "standby",
        "deleting",
        "draining",
        "stopping",
        "starting",
        "planned",
        "waiting",
        "replace",
        "scale",
    }
)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table; each column is as wide as its widest cell, nothing trails the last one."""
    cells = [list(headings), *(list(row) for row in rows)]
    widths = [max(width(row[column]) for row in cells) for column in range(len(headings))]
    return [_line(row, widths) for row in cells]


def key_values(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Lines `Name  value`, values aligned; further lines of a value are indented to its column."""
    column = max(width(key) for key, _ in pairs)
    indent = "\n" + " " * (column + len(_GAP))
    return [
        (_pad(key, column) + _GAP + value.replace("\n", indent)).rstrip() for key, value in pairs
    ]


def coloured(word: str) -> str:
    """A status word in the colour of what it means; click strips it where colours are not wanted."""
    if word in _GOOD:
        return click.style(word, fg="green")
    if word in _BAD:
        return click.style(word, fg="red")
    return click.style(word, fg="yellow") if word in _BUSY else word


def width(text: str) -> int:
    """How many columns a text takes once its colours are left out."""
    return len(_ESCAPE.sub("", text))


def shortened(text: str, limit: int) -> str:
    """The text on one line, cut to `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(_pad(cell, size) for cell, size in zip(row, widths, strict=True)).rstrip()


def _pad(text: str, size: int) -> str:
    return text + " " * (size - width(text))
