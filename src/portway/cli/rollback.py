"""`portway rollback`: go back to an earlier release."""

from __future__ import annotations

from typing import Any

import click

from portway.cli import session
from portway.cli.client import converted, segment
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
from portway.controller.views import PromotionView


@click.command("rollback")
@click.argument("release", required=False, default="", shell_complete=complete_release)
@stack_option
@strategy_options
@no_wait_option
@until_gone_option
@json_option
def command(
    release: str,
    stack: str | None,
    how: dict[str, Any],
    no_wait: bool,
    until_gone: bool,
    as_json: bool,
) -> None:
    """Go back to the release before the active one, or to RELEASE.

    Where the apps of a stack change one at a time (Marathon, ECS), the one that was changed last goes back, or the app
    that is named instead of a RELEASE.
    """
    client = session.client()
    path = f"/stacks/{segment(inferred_stack(stack))}/rollback"
    answer = client.ask("POST", path, body={"to": release, **how})
    if not as_json:
        session.say(f"Rolling back to release {converted(answer, PromotionView).release}")
    conclude(client, answer, no_wait=no_wait, until_gone=until_gone, as_json=as_json)
