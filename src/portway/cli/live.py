"""Lines that change: redrawn in place on a terminal, printed once for every change elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping

import click

from portway.cli.session import on_terminal
from portway.cli.tables import width


class Live:
    """A block of keyed lines at the bottom of the output."""

    def __init__(self, *, quiet: bool = False, redraws: bool | None = None) -> None:
        self._quiet = quiet
        self._redraws = on_terminal() if redraws is None else redraws
        self._shown: dict[str, str] = {}

    def show(self, lines: Mapping[str, str]) -> None:
        """Make the block exactly `lines`."""
        if self._quiet or lines == self._shown:
            return
        if self._redraws:
            self._erase()
            self._draw(lines)
        else:
            for key, line in lines.items():
                if self._shown.get(key) != line:
                    click.echo(line)
        self._shown = dict(lines)

    def note(self, text: str) -> None:
        """Print a line that stays, above the block."""
        if self._quiet:
            return
        if self._redraws:
            self._erase()
        click.echo(text)
        if self._redraws:
            self._draw(self._shown)

    def clear(self) -> None:
        """Take the block away on a terminal; elsewhere it is history already."""
        if self._redraws and not self._quiet:
            self._erase()
        self._shown = {}

    def _erase(self) -> None:
        if self._shown:
            # Not click.echo: without colours it would take these away as well.
            sys.stdout.write(f"\x1b[{len(self._shown)}F\x1b[J")

    def _draw(self, lines: Mapping[str, str]) -> None:
        columns = shutil.get_terminal_size().columns
        for line in lines.values():
            click.echo(line if width(line) < columns else _cut(line, columns - 1))


def _cut(line: str, columns: int) -> str:
    # A wrapped line would be two lines on the screen and one in the count of those to erase.
    return click.unstyle(line)[: columns - 1] + "…"
