"""Output of several instances as one stream: each line behind its instance's name, padded, in its colour."""

from __future__ import annotations

import click

_COLOURS = (
    "cyan",
    "yellow",
    "green",
    "magenta",
    "blue",
    "bright_cyan",
    "bright_yellow",
    "bright_magenta",
)


class Prefixes:
    """Gives every name a colour in order of appearance, and one width to all: the longest seen so far."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self._colours: dict[str, str] = {}
        self._width = 0
        for name in names:
            self._learn(name)

    @property
    def width(self) -> int:
        """How many columns a prefix takes, with what follows it."""
        return self._width + len(" | ")

    def line(self, name: str, text: str) -> str:
        """`web.1 | text`."""
        self._learn(name)
        prefix = click.style(f"{name.ljust(self._width)} |", fg=self._colours[name])
        return f"{prefix} {text}"

    def _learn(self, name: str) -> None:
        self._width = max(self._width, len(name))
        self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
