"""The way in: the command tree, loaded one command at a time, and the one place where errors become exit codes."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from portway.core.errors import ManifestError, PortwayError
from portway.core.suggest import did_you_mean

INTERRUPTED = 130
PIPE_CLOSED = 141
COMPLETION_VARIABLE = "_PORTWAY_COMPLETE"


class Entry(NamedTuple):
    """Where a command is and its line in `portway --help`; the file itself is read only when it is used."""

    module: str
    help: str


COMMANDS = {
    "start": Entry("start", "Run a manifest here in the foreground, with its ports as written."),
    "deploy": Entry(
        "deploy", "Build, release and promote a manifest, and wait until it is healthy."
    ),
    "plan": Entry("plan", "Show what a deploy would change, every port and why. Nothing is done."),
    "convert": Entry("convert", "Write a manifest in another language, and say what is lost."),
    "map": Entry("map", "Show every listener and the instances behind it."),
    "why": Entry("why", "Say why something does not answer, hop by hop, and what to do."),
    "doctor": Entry("doctor", "Check this machine: what would get in the way, and its fix."),
    "apps": Entry("apps", "List stacks, look into one, delete one."),
    "ps": Entry("ps", "List instances, or stop one."),
    "scale": Entry("scale", "Show or set how many instances each App has."),
    "restart": Entry("restart", "Replace every instance with the same release, one after another."),
    "releases": Entry("releases", "List releases, or show one."),
    "promote": Entry("promote", "Deploy a release that exists."),
    "rollback": Entry(
        "rollback", "Go back to the release before the active one, or to the one named."
    ),
    "cancel": Entry("cancel", "Stop the running deployment and return to what ran before."),
    "abort": Entry("abort", "The same as cancel."),
    "pause": Entry("pause", "Have the running deployment stand still."),
    "resume": Entry("resume", "Go on with a deployment that is paused or holds at a step."),
    "env": Entry("env", "Show and change the variables of a stack."),
    "ssl": Entry("ssl", "Show and change the certificates of a stack's listeners."),
    "logs": Entry("logs", "Print the output of instances."),
    "exec": Entry("exec", "Run a command inside a running instance."),
    "run": Entry("run", "Run a one-off instance of an App with another command."),
    "events": Entry("events", "Print what happened."),
    "server": Entry(
        "server", "Run the server, or start, stop and look at the one in the background."
    ),
    "version": Entry("version", "Print the version of this command and of the server."),
    "token": Entry("token", "Make, list and revoke tokens for the API, each with a role."),
    "aws": Entry("aws", "Point AWS clients at the server: credentials, and further keys."),
    "completion": Entry("completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"portway.cli.{entry.module}")
        return module.command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            guess = did_you_mean(args[0], COMMANDS)
            ctx.fail(f'There is no command "{args[0]}".{guess}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from portway import __version__

        click.echo(f"portway {__version__}")
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", metavar="DIR", help="Where the server keeps its state and its socket.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Print the version and exit.",
)  # fmt: skip
def cli(home: str | None) -> None:
    """portway gets traffic to containers without anyone thinking about ports.

    In the directory of a docker-compose.yml: `portway deploy`, then `portway ps` and `portway map`.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0, 1 failed, 2 wrong input, 130 interrupted."""
    try:
        code = _run(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return PIPE_CLOSED
    return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        result = _invoke(argv)
    except click.exceptions.Exit as done:
        return done.exit_code
    except KeyboardInterrupt:
        click.echo("", err=True)
        return INTERRUPTED
    except click.Abort:
        click.echo("Nothing was done.", err=True)
        return 1
    except click.ClickException as error:
        return _say_click_error(error)
    except PortwayError as error:
        say_error(error)
        return error.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:
        return _say_bug(error)
    return result if isinstance(result, int) else 0


def _invoke(argv: Sequence[str] | None) -> object:
    # Not cli.main(): it turns a closed pipe into exit code 1 and an interrupt into an Abort.
    if COMPLETION_VARIABLE in os.environ:
        return cli.main(args=argv, prog_name="portway")
    words = list(sys.argv[1:] if argv is None else argv)
    with cli.make_context("portway", words, color=_colour_choice()) as context:
        return cli.invoke(context)


def say_error(error: PortwayError) -> None:
    """An error on standard error: `ERROR: message` and its hint, or one line for every problem of a manifest."""
    if isinstance(error, ManifestError):
        count = len(error.problems)
        _complain(f"The manifest cannot be used: {count} problem{'s' * (count != 1)}.")
        _advise("\n".join(str(problem) for problem in error.problems))
        return
    _complain(error.message)
    _advise(error.hint)


def _say_click_error(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return error.exit_code
    _complain(error.format_message())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        _advise(f"See `{error.ctx.command_path} --help`.")
    return error.exit_code


def _say_bug(error: Exception) -> int:
    path = _write_traceback(error)
    kept = f"The details are in {path}." if path else "The details could not be written anywhere."
    _complain(f"This is a mistake in portway itself: {type(error).__name__}: {error}")
    _advise(f"{kept} What runs goes on running. Please report it.")
    return 1


def _write_traceback(error: Exception) -> Path | None:
    import traceback

    text = "".join(traceback.format_exception(error))
    for directory in _log_directories():
        path = directory / "cli.log"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError:
            continue
        return path
    return None


def _log_directories() -> list[Path]:
    candidates = [Path(tempfile.gettempdir())]
    try:
        from portway.cli.session import configuration

        candidates.insert(0, configuration().home)
    except Exception:
        return candidates  # a broken configuration may be what went wrong
    return candidates


def _silence_stdout() -> None:
    # Python flushes stdout once more at exit; with nobody left to read that would be a traceback.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())


def _complain(message: str) -> None:
    mark = click.style("ERROR:", fg="red", bold=True)
    click.echo(f"{mark} {message}", err=True, color=_colour_choice())


def _advise(text: str) -> None:
    for line in text.splitlines():
        click.echo(f"  {line}", err=True)


def _colour_choice() -> bool | None:
    """None lets click look at the terminal; https://no-color.org says a non-empty NO_COLOR wins."""
    return False if os.environ.get("NO_COLOR") else None
