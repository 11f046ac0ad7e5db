"""`portway resume`: go on with a deployment that is paused or holds at a step."""

from __future__ import annotations

import click

from portway.cli import session
from portway.cli.client import segment
from portway.cli.follow import conclude
from portway.cli.options import json_option, no_wait_option, stack_option
from portway.cli.stacks import inferred_stack


@click.command("resume")
@stack_option
@no_wait_option
@json_option
def command(stack: str | None, no_wait: bool, as_json: bool) -> None:
    """Go on with a deployment that is paused, or that holds at a step, and wait for it."""
    name = inferred_stack(stack)
    client = session.client()
    answer = client.ask("POST", f"/stacks/{segment(name)}/resume", body={})
    if not as_json:
        session.say(f"The deployment of {name} goes on.")
    conclude(client, answer, no_wait=no_wait, as_json=as_json)
