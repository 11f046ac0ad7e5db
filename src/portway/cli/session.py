"""Session: what one command needs from the machine: its configuration, the client, the clock, the terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datetime import datetime

    from portway.cli.client import Client
    from portway.config import Config


def configuration(flags: Mapping[str, str] | None = None) -> Config:
    """The Config of this command: its own flags over PORTWAY_* over the --config file."""
    from portway.config import load_config

    given = {"home": home_flag(), **(flags or {})}
    return load_config(
        {name: value for name, value in given.items() if value is not None},
        os.environ,
        read_text=_read_text,
        is_root=os.geteuid() == 0,
        home_dir=Path.home(),
        has_tokens=lambda home: (home / "tokens").is_dir(),
    )


def home_flag() -> str | None:
    """What `portway --home` was given, None when it was not."""
    context = click.get_current_context(silent=True)
    root = context.find_root() if context else None
    return root.params.get("home") if root else None


def client() -> Client:
    """A client of the server this command talks to."""
    from portway.cli.client import Client

    return Client(configuration().socket_path)


def now_ms() -> int:
    """Unix milliseconds."""
    return int(time.time() * 1000)


def now() -> datetime:
    """The time of this machine, in its zone."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(now_ms() / 1000, tz=UTC).astimezone()


def say(lines: str | Iterable[str]) -> None:
    """Print lines on standard output."""
    for line in [lines] if isinstance(lines, str) else lines:
        click.echo(line)


def warn(message: str) -> None:
    """Print a warning on standard error."""
    click.echo(click.style("WARNING:", fg="yellow") + f" {message}", err=True)


def warn_of_settings(config: Config) -> None:
    """Say what is odd about the settings."""
    for warning in config.warnings:
        warn(warning)


def say_json(value: Any) -> None:
    """Print an answer of the API whole, as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def say_json_line(value: Any) -> None:
    """Print one value of a stream as JSON on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False))


def on_terminal() -> bool:
    """Whether standard output is a terminal that can redraw."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") != "dumb"


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
