"""`portway token`: further keys to the API. They are files in the home, so this needs no server and no network."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import click

from portway.api.roles import Role
from portway.api.tokens import FOLDER, TokenFolder
from portway.cli import session
from portway.cli.options import json_option
from portway.cli.tables import table
from portway.cli.times import ago
from portway.core.errors import RequestError


@click.group("token", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Make, list and revoke tokens for the API over TCP. Without a command: list them."""
    if context.invoked_subcommand is None:
        _say_all(as_json=as_json)


@command.command("create")
@click.argument("name")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), default=Role.READ.value,
    show_default=True, help="read looks, deploy changes what runs, admin does everything.",
)  # fmt: skip
@json_option
def create(name: str, role: str, as_json: bool) -> None:
    """Make a token and print it, once: only its hash is kept.

    From the first one on every request over TCP needs a token, on this machine too. The unix socket, and
    so this command line, needs none.
    """
    folder = _folder()
    first = not folder.is_used
    with _told():
        text = folder.create(name, Role(role), now_ms=session.now_ms())
    if as_json:
        session.say_json({"name": name, "role": role, "token": text})
        return
    session.say(text)
    click.echo(f"Send it as `Authorization: Bearer TOKEN`. Its role is {role}.", err=True)
    if first:
        click.echo("From now on every request over TCP needs a token.", err=True)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List tokens, without their texts."""
    _say_all(as_json=as_json)


@command.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """Forget a token: the next request with it is refused."""
    with _told():
        _folder().revoke(name)
    session.say(f"{name} is revoked.")
    if not _folder().names():
        session.say("No token is left: over TCP nothing is let in until there is one again.")


def _say_all(*, as_json: bool) -> None:
    with _told():
        tokens = _folder().names()
    if as_json:
        session.say_json(
            [
                {"name": name, "role": token.role.value, "created_at_ms": token.created_at_ms}
                for name, token in tokens
            ]
        )
        return
    rows = [
        [name, token.role.value, ago(token.created_at_ms, now_ms=session.now_ms())]
        for name, token in tokens
    ]
    if rows:
        session.say(table(("NAME", "ROLE", "CREATED"), rows))
    else:
        session.say("There are no tokens.")


def _folder() -> TokenFolder:
    return TokenFolder(session.configuration().home / FOLDER)


@contextmanager
def _told() -> Generator[None]:
    """What the disk refuses is a sentence."""
    try:
        yield
    except OSError as error:
        raise RequestError(
            f"The tokens of {session.configuration().home} cannot be used: {error.strerror or error}.",
            hint="Run this as the user the server runs as.",
        ) from error
