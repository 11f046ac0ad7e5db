"""`portway restart`: replace every instance with the same release, rolling."""

from __future__ import annotations

from typing import Any

import click

from portway.cli import session
from portway.cli.client import segment
from portway.cli.follow import conclude
from portway.cli.options import (
    complete_app,
    json_option,
    no_wait_option,
    stack_option,
    strategy_options,
    until_gone_option,
)
from portway.cli.stacks import inferred_stack


@click.command("restart")
@click.argument("app", required=False, default="", shell_complete=complete_app)
@stack_option
@strategy_options
@no_wait_option
@until_gone_option
@json_option
def command(
    app: str,
    stack: str | None,
    how: dict[str, Any],
    no_wait: bool,
    until_gone: bool,
    as_json: bool,
) -> None:
    """Replace every instance of a stack, or of one APP, with the same release; no request is dropped."""
    client = session.client()
    path = f"/stacks/{segment(inferred_stack(stack))}/restart"
    answer = client.ask("POST", path, body={"app": app, **how})
    conclude(client, answer, no_wait=no_wait, until_gone=until_gone, as_json=as_json)
