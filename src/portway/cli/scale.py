"""`portway scale`: how many instances each App has."""

from __future__ import annotations

from collections.abc import Sequence

import click

from portway.cli import session
from portway.cli.client import converted, segment
from portway.cli.follow import conclude
from portway.cli.options import json_option, no_wait_option, stack_option
from portway.cli.stacks import inferred_stack
from portway.cli.tables import table
from portway.controller.views import StackView
from portway.core.errors import RequestError


@click.command("scale")
@click.argument("counts", nargs=-1, metavar="[APP=COUNT]...")
@stack_option
@no_wait_option
@json_option
def command(counts: tuple[str, ...], stack: str | None, no_wait: bool, as_json: bool) -> None:
    """Set how many instances Apps have (web=5 worker=0), or without arguments show it."""
    name = inferred_stack(stack)
    wanted = parse_counts(counts)
    client = session.client()
    if wanted:
        answer = client.ask("POST", f"/stacks/{segment(name)}/scale", body={"counts": wanted})
        conclude(client, answer, no_wait=no_wait, as_json=as_json)
        return
    answer = client.ask("GET", f"/stacks/{segment(name)}")
    if as_json:
        session.say_json(answer)
        return
    session.say(scale_lines(converted(answer, StackView)))


def parse_counts(words: Sequence[str]) -> dict[str, int]:
    """`web=5 worker=0` as a mapping; RequestError says which word is none and how one looks."""
    counts: dict[str, int] = {}
    for word in words:
        name, equals, count = word.partition("=")
        if not (name and equals and count.isascii() and count.isdigit()):
            raise RequestError(
                f'"{word}" is not an App and a count.', hint="Write it as in: portway scale web=5"
            )
        if name in counts:
            raise RequestError(f"{name} is given twice.", hint="Give each App one count.")
        counts[name] = int(count)
    return counts


def scale_lines(view: StackView) -> list[str]:
    """The table of counts."""
    rows = [(app.name, str(app.count), str(app.running), str(app.healthy)) for app in view.apps]
    return table(("NAME", "DESIRED", "RUNNING", "HEALTHY"), rows)
