"""`portway abort`: the same as `portway cancel`."""

from __future__ import annotations

import click

from portway.cli import cancel

command = click.Command(
    "abort",
    params=cancel.command.params,
    callback=cancel.command.callback,
    help="Stop the running deployment and return to what ran before; the same as `portway cancel`.",
)
