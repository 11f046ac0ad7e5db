"""`portway pause`: have the running deployment stand still."""

from __future__ import annotations

import click

from portway.cli import session
from portway.cli.client import segment
from portway.cli.options import json_option, stack_option
from portway.cli.stacks import inferred_stack


@click.command("pause")
@stack_option
@json_option
def command(stack: str | None, as_json: bool) -> None:
    """Have the running deployment stand still until `portway resume`.

    Nothing starts and nothing leaves; what serves goes on serving, and what fails is replaced.
    """
    name = inferred_stack(stack)
    answer = session.client().ask("POST", f"/stacks/{segment(name)}/pause", body={})
    if as_json:
        session.say_json(answer)
        return
    session.say(
        [
            f"The deployment of {name} is paused.",
            f"Go on with `portway resume -a {name}`, or go back with `portway abort -a {name}`.",
        ]
    )
