"""`portway env`: the variables of a stack, shown and changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from portway.cli import session
from portway.cli.client import Client, converted, segment
from portway.cli.options import complete_variable, json_option, no_wait_option, stack_option
from portway.cli.stacks import inferred_stack
from portway.controller.views import EnvView
from portway.core.errors import RequestError
from portway.core.suggest import did_you_mean

_promote = click.option("--promote", is_flag=True, help="Deploy the release the change makes.")


@click.group("env", invoke_without_command=True)
@stack_option
@json_option
@click.pass_context
def command(context: click.Context, stack: str | None, as_json: bool) -> None:
    """Show and change the variables of a stack. Without a command: list them."""
    if context.invoked_subcommand is None:
        _say_all(inferred_stack(stack), as_json=as_json)


@command.command("list")
@stack_option
@json_option
@click.pass_context
def list_(context: click.Context, stack: str | None, as_json: bool) -> None:
    """List every variable as KEY=VALUE."""
    _say_all(_stack(context, stack), as_json=as_json)


@command.command("get")
@click.argument("key", required=False, shell_complete=complete_variable)
@stack_option
@json_option
@click.pass_context
def get(context: click.Context, key: str | None, stack: str | None, as_json: bool) -> None:
    """Print the value of one variable; without KEY, list all."""
    name = _stack(context, stack)
    if key is None:
        _say_all(name, as_json=as_json)
        return
    view = session.client().view(EnvView, "GET", _path(name))
    if key not in view.environment:
        guess = did_you_mean(key, view.environment)
        raise RequestError(f'{name} has no variable "{key}".{guess}', hint="See `portway env`.")
    value = view.environment[key]
    if as_json:
        session.say_json({key: value})
    else:
        session.say(value)


@command.command("set")
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@stack_option
@_promote
@no_wait_option
@json_option
@click.pass_context
def set_(
    context: click.Context,
    pairs: tuple[str, ...],
    stack: str | None,
    promote: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Set variables; without arguments, those read from standard input, one KEY=VALUE a line."""
    if not pairs and not sys.stdin.isatty():
        pairs = tuple(
            line for line in map(str.strip, sys.stdin) if line and not line.startswith("#")
        )
    change = {"set": parse_pairs(pairs), "unset": []}
    _change(_stack(context, stack), change, promote=promote, no_wait=no_wait, as_json=as_json)


@command.command("unset")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...", shell_complete=complete_variable)
@stack_option
@_promote
@no_wait_option
@json_option
@click.pass_context
def unset(
    context: click.Context,
    keys: tuple[str, ...],
    stack: str | None,
    promote: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Take variables away."""
    change = {"set": {}, "unset": list(keys)}
    _change(_stack(context, stack), change, promote=promote, no_wait=no_wait, as_json=as_json)


def parse_pairs(words: Sequence[str]) -> dict[str, str]:
    """`A=1 B=2` as a mapping; RequestError says which word is no pair."""
    if not words:
        raise RequestError(
            "No variable is given.", hint="Write it as in: portway env set KEY=VALUE"
        )
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key.strip() and equals):
            raise RequestError(
                f'"{word}" is not a variable and its value.',
                hint="Write it as in: portway env set KEY=VALUE",
            )
        pairs[key.strip()] = value
    return pairs


def environment_lines(view: EnvView) -> list[str]:
    """`KEY=VALUE`, sorted."""
    return [f"{key}={value}" for key, value in sorted(view.environment.items())]


def _change(
    name: str, change: dict[str, Any], *, promote: bool, no_wait: bool, as_json: bool
) -> None:
    client = session.client()
    answer = client.ask("PATCH", _path(name), body=change)
    view = converted(answer, EnvView)
    if promote and view.release:
        _promoted(client, name, view, no_wait=no_wait, as_json=as_json)
        return
    if as_json:
        session.say_json(answer)
        return
    session.say("Updating environment... OK")
    if view.release:
        session.say(f"To deploy these changes run `portway promote {view.release} -a {name}`")


def _promoted(client: Client, name: str, view: EnvView, *, no_wait: bool, as_json: bool) -> None:
    from portway.cli.follow import conclude

    if not as_json:
        session.say("Updating environment... OK")
        session.say(f"Promoting {view.release}")
    path = f"/stacks/{segment(name)}/releases/{segment(view.release)}/promote"
    answer = client.ask("POST", path, body={"force": False})
    conclude(client, answer, no_wait=no_wait, as_json=as_json)


def _say_all(name: str, *, as_json: bool) -> None:
    answer = session.client().ask("GET", _path(name))
    if as_json:
        session.say_json(answer)
        return
    session.say(environment_lines(converted(answer, EnvView)))


def _stack(context: click.Context, stack: str | None) -> str:
    parent = context.parent.params.get("stack") if context.parent else None
    return inferred_stack(stack or parent)


def _path(name: str) -> str:
    return f"/stacks/{segment(name)}/environment"
