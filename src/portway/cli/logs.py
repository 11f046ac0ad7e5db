"""`portway logs`: the output of instances, each line behind the name of its instance."""

from __future__ import annotations

import re

import click

from portway.cli import session
from portway.cli.client import segment
from portway.cli.lines import Prefixes
from portway.cli.options import complete_app, stack_option
from portway.cli.stacks import inferred_stack

_INSTANCE = re.compile(r".+\.\d+")


@click.command("logs")
@click.argument(
    "source", required=False, default="", metavar="[APP|INSTANCE]", shell_complete=complete_app
)
@stack_option
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines of each instance."
)
@click.option("--json", "as_json", is_flag=True, help="Print each line as the API's JSON.")
def command(source: str, stack: str | None, follow: bool, tail: int | None, as_json: bool) -> None:
    """Print what instances wrote: of the whole stack, of an APP (web), or of one INSTANCE (web.1, web.1.7)."""
    query = {**source_query(source), "follow": 1 if follow else None, "tail": tail}
    path = f"/stacks/{segment(inferred_stack(stack))}/logs"
    prefixes = Prefixes()
    for line in session.client().stream("GET", path, query=query):
        if as_json:
            session.say_json_line(line)
        else:
            session.say(prefixes.line(str(line["instance"]), str(line["text"])))


def source_query(source: str) -> dict[str, str]:
    """Whether a word names an App or an instance: an instance ends in its slot's number."""
    if not source:
        return {}
    return {"instance": source} if _INSTANCE.fullmatch(source) else {"app": source}
