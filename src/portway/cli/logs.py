"""`portway logs`: the output of instances, each line behind the name of its instance."""

from __future__ import annotations

import re

import click

from portway.cli import session
from portway.cli.client import converted, segment
from portway.cli.lines import Prefixes
from portway.cli.options import complete_app, stack_option
from portway.cli.stacks import inferred_stack
from portway.controller.views import AccessLine

_INSTANCE = re.compile(r".+\.\d+|.+/.+")


@click.command("logs")
@click.argument(
    "source", required=False, default="", metavar="[APP|INSTANCE]", shell_complete=complete_app
)
@stack_option
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "-n",
    "--tail",
    type=click.IntRange(0),
    metavar="N",
    help="Only the last N lines of each instance.",
)
@click.option(
    "--access", is_flag=True, help="The requests served instead, of Apps that keep an access log."
)
@click.option("--json", "as_json", is_flag=True, help="Print each line as the API's JSON.")
def command(
    source: str, stack: str | None, follow: bool, tail: int | None, access: bool, as_json: bool
) -> None:
    """Print what instances wrote: of the whole stack, of an APP (web), or of one INSTANCE (web.1, web.1.7).

    Of several containers each has its name in the line's prefix; web.1/sidecar prints one alone.
    """
    if access:
        _print_requests(source, inferred_stack(stack), follow=follow, tail=tail, as_json=as_json)
        return
    query = {**source_query(source), "follow": 1 if follow else None, "tail": tail}
    path = f"/stacks/{segment(inferred_stack(stack))}/logs"
    prefixes, silent = Prefixes(), True
    for line in session.client().stream("GET", path, query=query):
        silent = False
        if as_json:
            session.say_json_line(line)
        else:
            session.say(prefixes.line(str(line["instance"]), str(line["text"])))
    if silent and tail != 0 and not follow:
        _explain_silence(stack)


def _explain_silence(stack: str | None) -> None:
    name = inferred_stack(stack)
    click.echo(
        f"What runs now has written nothing (`portway ps -a {name}` lists it). "
        f"`portway why APP -a {name}` has the last lines of an instance that ended.",
        err=True,
    )


def _print_requests(app: str, stack: str, *, follow: bool, tail: int | None, as_json: bool) -> None:
    query = {"app": app or None, "follow": 1 if follow else None, "tail": tail}
    for line in session.client().stream("GET", f"/stacks/{segment(stack)}/access-log", query=query):
        if as_json:
            session.say_json_line(line)
        else:
            session.say(request_text(converted(line, AccessLine)))


def request_text(line: AccessLine) -> str:
    """One request on one line: when, who served it, what became of it, from where, under which id."""
    parts = [line.time, line.instance or f"{line.app} (no instance)"]
    if line.protocol == "http":
        parts += [str(line.status or "-"), line.method, line.path]
    else:
        parts += ["tcp", f"{line.bytes_in} bytes in,", f"{line.bytes_out} out"]
    parts += [f"{line.total_ms:.1f} ms", line.client, line.request_id]
    text = " ".join(part for part in parts if part)
    return f"{text}: {line.failure}" if line.failure else text


def source_query(source: str) -> dict[str, str]:
    """Whether a word names an App or an instance: an instance ends in its slot's number, or in a container's name."""
    if not source:
        return {}
    return {"instance": source} if _INSTANCE.fullmatch(source) else {"app": source}
