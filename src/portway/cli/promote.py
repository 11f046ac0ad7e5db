"""`portway promote`: deploy a release that exists."""

from __future__ import annotations

from typing import Any

import click

from portway.cli import session
from portway.cli.client import segment
from portway.cli.follow import conclude
from portway.cli.options import (
    complete_release,
    json_option,
    no_wait_option,
    stack_option,
    strategy_options,
    until_gone_option,
)
from portway.cli.stacks import inferred_stack


@click.command("promote")
@click.argument("release", shell_complete=complete_release)
@stack_option
@click.option("--force", is_flag=True, help="Replace instances even where nothing changed.")
@strategy_options
@no_wait_option
@until_gone_option
@json_option
def command(
    release: str,
    stack: str | None,
    force: bool,
    how: dict[str, Any],
    no_wait: bool,
    until_gone: bool,
    as_json: bool,
) -> None:
    """Deploy a release that exists."""
    client = session.client()
    path = f"/stacks/{segment(inferred_stack(stack))}/releases/{segment(release)}/promote"
    answer = client.ask("POST", path, body={"force": force, **how})
    conclude(client, answer, no_wait=no_wait, until_gone=until_gone, as_json=as_json)
