"""`portway map`: every listener and the instances behind it."""

from __future__ import annotations

import shutil

import click

from portway.cli import session
from portway.cli.client import converted
from portway.cli.mapview import map_lines
from portway.cli.options import json_option, stack_option
from portway.cli.stacks import named_stack
from portway.controller.views import MapRoute


@click.command("map")
@stack_option
@click.option("--all", "everything", is_flag=True, help="Of every stack.")
@json_option
def command(stack: str | None, everything: bool, as_json: bool) -> None:
    """Show every listener and the instances behind it.

    Without -a and outside a manifest's directory, of every stack.
    """
    name = "" if everything else named_stack(stack)
    answer = session.client().ask("GET", "/map", query={"stack": name})
    if as_json:
        session.say_json(answer)
        return
    routes = converted(answer, tuple[MapRoute, ...])
    if not routes:
        session.say("There are no listeners." if not name else f"{name} has no listeners.")
    if name:
        session.say(map_lines(routes, columns=terminal_columns()))
        return
    for stack_name in dict.fromkeys(route.stack for route in routes):
        session.say(stack_name)
        mine = [route for route in routes if route.stack == stack_name]
        session.say(map_lines(mine, columns=terminal_columns()))


def terminal_columns() -> int | None:
    """How wide the terminal is, None when the output is none and lines stay whole."""
    return shutil.get_terminal_size().columns if session.on_terminal() else None
