"""`portway completion`: the script that makes a shell complete commands, stacks, Apps, instances and releases."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from portway.cli.main import COMPLETION_VARIABLE


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    bash: eval "$(portway completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc;
    fish: portway completion fish > ~/.config/fish/completions/portway.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, shell
    click.echo(kind(context.find_root().command, {}, "portway", COMPLETION_VARIABLE).source())
