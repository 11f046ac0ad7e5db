"""`portway run`: a one-off instance of an App with another command; its exit code is the command's."""

from __future__ import annotations

import click

from portway.cli import session
from portway.cli.client import segment
from portway.cli.options import command_argument, complete_app, stack_option
from portway.cli.stacks import inferred_stack
from portway.core.errors import WorldError


@click.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@stack_option
@click.option("--json", "as_json", is_flag=True, help="Print each line as the API's JSON.")
@click.argument("app", shell_complete=complete_app)
@command_argument
def command(app: str, argv: tuple[str, ...], stack: str | None, as_json: bool) -> None:
    """Run COMMAND in a new instance of APP that gets no traffic, and end with its exit code. Ctrl-C stops it."""
    path = f"/stacks/{segment(inferred_stack(stack))}/apps/{segment(app)}/run"
    for line in session.client().stream("POST", path, body={"argv": list(argv)}):
        if as_json:
            session.say_json_line(line)
        elif "text" in line:
            click.echo(str(line["text"]), err=line.get("stream") == "stderr")
        if "exit_code" in line:
            raise click.exceptions.Exit(int(line["exit_code"]))
    raise WorldError(
        "The command's exit code never came: the server stopped in the middle.",
        hint="`portway ps` shows whether it still runs.",
    )
