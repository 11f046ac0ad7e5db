"""`portway cancel`: stop the running deployment and return to what ran before."""

from __future__ import annotations

import click

from portway.cli import session
from portway.cli.client import converted, segment
from portway.cli.follow import say_running, wait_until_calm
from portway.cli.options import json_option, no_wait_option, stack_option
from portway.cli.stacks import inferred_stack
from portway.controller.views import PromotionView


@click.command("cancel")
@stack_option
@no_wait_option
@json_option
def command(stack: str | None, no_wait: bool, as_json: bool) -> None:
    """Stop the running deployment and return to what ran before."""
    name = inferred_stack(stack)
    client = session.client()
    answer = client.ask("POST", f"/stacks/{segment(name)}/cancel", body={})
    if as_json:
        session.say_json(answer)
        return
    release = converted(answer, PromotionView).release
    back = (
        f"returning to release {release}"
        if release
        else "nothing ran before it, so what it had started is stopped"
    )
    session.say(f"The deployment of {name} is cancelled; {back}.")
    if not no_wait:
        wait_until_calm(client, name)
        if release:
            say_running(client, name)
