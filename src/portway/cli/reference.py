"""docs/reference/cli.md from the command tree: `python -m portway.cli.reference > docs/reference/cli.md`. Prints, runs nothing."""

from __future__ import annotations

from collections.abc import Iterator

import click

from portway.cli.main import COMMANDS, cli

_INTRODUCTION = """\
# Command line reference

Made from the program itself by `python -m portway.cli.reference`; do not edit.

Exit codes: 0 done, 1 failed, 2 wrong input, 130 interrupted. Errors go to standard error as `ERROR: ...` with what to do.
Every command that prints data takes `--json`. Colours appear on a terminal only, and never when `NO_COLOR` is set.

A command finds its stack by `-a STACK`, then `PORTWAY_STACK`, then the `name:` of the manifest in the current directory,
then that directory's name. It finds its server by `portway --home DIR`, then `PORTWAY_HOME`.
"""


def render_reference() -> str:
    """The whole reference as Markdown."""
    parts = [_INTRODUCTION, *(_section(path, command) for path, command in _commands())]
    return "\n".join(parts)


def _commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli, info_name="portway")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None, name
        yield f"portway {name}", command
        if isinstance(command, click.Group):
            for inner in command.commands.values():
                yield f"portway {name} {inner.name}", inner


def _section(path: str, command: click.Command) -> str:
    root = click.Context(cli, info_name="portway", max_content_width=100, **cli.context_settings)
    name = path.removeprefix("portway ")
    context = click.Context(command, parent=root, info_name=name, terminal_width=100)
    level = "##" if path.count(" ") == 1 else "###"
    return f"{level} {path}\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    click.echo(render_reference(), nl=False)
