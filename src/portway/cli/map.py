"""`portway map`: every listener and the instances behind it."""

from __future__ import annotations

import shutil

import click

from portway.cli import session
from portway.cli.client import converted
from portway.cli.mapview import map_lines
from portway.cli.moments import milliseconds, parse_moment, told
from portway.cli.options import json_option, stack_option
from portway.cli.stacks import named_stack
from portway.cli.times import ago
from portway.cli.unread import warn_of_unread
from portway.controller.views import MapRoute


@click.command("map")
@stack_option
@click.option("--all", "everything", is_flag=True, help="Of every stack.")
@click.option(
    "--at", "at_text", metavar="TIME", help='As it was: 14:25, "10m ago", 2026-11-21T14:25.'
)
@json_option
def command(stack: str | None, everything: bool, at_text: str | None, as_json: bool) -> None:
    """Show every listener and the instances behind it, now or at a time of the past.

    Of load balancers, each rule with its target group and how each target stands (now, not in the past).
    Without -a and outside a manifest's directory, of every stack.
    """
    name = "" if everything else named_stack(stack)
    moment = None if at_text is None else parse_moment(at_text, now=session.now())
    query: dict[str, object] = {"stack": name}
    if moment is not None:
        query["at"] = milliseconds(moment)
    client = session.client()
    answer = client.ask("GET", "/map", query=query)
    if moment is None:
        warn_of_unread(client)
    if as_json:
        session.say_json(answer)
        return
    routes = converted(answer, tuple[MapRoute, ...])
    if moment is not None:
        session.say(f"At {told(moment)} ({ago(milliseconds(moment), now_ms=session.now_ms())}):")
        name = name if routes else ""
    if not routes:
        session.say("There are no listeners." if not name else f"{name} has no listeners.")
    if name:
        session.say(map_lines(routes, columns=terminal_columns()))
        return
    own = [route for route in routes if not route.load_balancer]
    for stack_name in dict.fromkeys(route.stack for route in own):
        session.say(stack_name)
        mine = [route for route in own if route.stack == stack_name]
        session.say(map_lines(mine, columns=terminal_columns()))
    if balanced := [route for route in routes if route.load_balancer]:
        session.say("load balancers")
        session.say(map_lines(balanced, columns=terminal_columns()))


def terminal_columns() -> int | None:
    """How wide the terminal is, None when the output is none and lines stay whole."""
    return shutil.get_terminal_size().columns if session.on_terminal() else None
