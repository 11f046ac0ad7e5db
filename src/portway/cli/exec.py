"""`portway exec`: a command inside a running instance, its input and output this terminal's."""

from __future__ import annotations

import sys

import click

from portway.cli import session
from portway.cli.options import command_argument, complete_instance, stack_option
from portway.cli.stacks import inferred_stack


@click.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@stack_option
@click.option(
    "-T", "--no-tty", is_flag=True, help="No terminal inside, even when both ends are one."
)
@click.argument("instance", shell_complete=complete_instance)
@command_argument
def command(instance: str, argv: tuple[str, ...], stack: str | None, no_tty: bool) -> None:
    """Run COMMAND inside an INSTANCE (web.1.7, web.1, or web for any) and end with its exit code.

    Of several containers it is the first essential one, or the one named: web.1/sidecar.

    A terminal is opened inside when standard input and output both are one.
    """
    from portway.cli.execution import execute

    tty = sys.stdin.isatty() and sys.stdout.isatty() and not no_tty
    path = session.configuration().socket_path
    code = execute(path, inferred_stack(stack), instance, argv, tty=tty)
    raise click.exceptions.Exit(code)
