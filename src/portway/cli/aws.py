"""`portway aws`: credentials for AWS clients. They are files in the home, so this needs no server and no network."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import click

from portway.api.aws.keys import FOLDER, AccessKey, KeyFolder
from portway.api.roles import Role
from portway.cli import session
from portway.cli.client import Client
from portway.cli.options import json_option
from portway.cli.tables import table
from portway.cli.times import ago
from portway.config import Config
from portway.controller.views import ServerView
from portway.core.errors import PortwayError, RequestError


@click.group("aws")
def command() -> None:
    """Point the AWS CLI, boto3 and the other SDKs at this portway."""


@command.command("credentials")
@click.argument("name", default="")
@click.option(
    "--profile",
    metavar="PROFILE",
    help="Print it as a profile of this name, for ~/.aws/config.",
)
@json_option
def credentials(name: str, profile: str | None, as_json: bool) -> None:
    """Print an access key, where the server answers, and its region, for a shell to read.

    NAME is one made by `portway aws keys create`; without it, the key of an administrator, made the first time.

    \b
      eval "$(portway aws credentials)"
      aws ecs list-clusters
    """
    config = session.configuration()
    with _told(config):
        folder = KeyFolder(config.home / FOLDER)
        key = folder.named(name) if name else folder.default(now_ms=session.now_ms())
    variables = _variables(_as_it_runs(config), key)
    if as_json:
        session.say_json(variables)
    elif profile is not None:
        session.say(_profile(profile, variables))
    else:
        session.say("\n".join(f"export {n}={shlex.quote(v)}" for n, v in variables.items()))
    if "AWS_ENDPOINT_URL" not in variables:
        click.echo(
            "This server listens on no address, so AWS clients cannot reach it: "
            "start it with --listen 127.0.0.1:8080.",
            err=True,
        )


@command.group("keys", invoke_without_command=True)
@json_option
@click.pass_context
def keys(context: click.Context, as_json: bool) -> None:
    """Make, list and revoke access keys, each with a role. Without a command: list them."""
    if context.invoked_subcommand is None:
        _say_all(as_json=as_json)


@keys.command("create")
@click.argument("name")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), default=Role.READ.value,
    show_default=True, help="read describes, lists and gets; deploy and admin change things too.",
)  # fmt: skip
def create(name: str, role: str) -> None:
    """Make a key. `portway aws credentials NAME` prints it."""
    config = session.configuration()
    with _told(config):
        key = KeyFolder(config.home / FOLDER).create(name, Role(role), now_ms=session.now_ms())
    session.say(
        f"Made {key.access_key_id} with the role {role}: `portway aws credentials {name}` prints it."
    )


@keys.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """Forget a key: the next request with it is refused."""
    config = session.configuration()
    with _told(config):
        key = KeyFolder(config.home / FOLDER).revoke(name)
    session.say(f"{name} ({key.access_key_id}) is revoked, and every session made with it.")


def _say_all(*, as_json: bool) -> None:
    config = session.configuration()
    with _told(config):
        found = KeyFolder(config.home / FOLDER).all()
    if as_json:
        session.say_json(
            [
                {
                    "name": key.name,
                    "access_key_id": key.access_key_id,
                    "role": key.role.value,
                    "created_at_ms": key.created_at_ms,
                }
                for key in found
            ]
        )
        return
    rows = [
        [key.name, key.access_key_id, key.role.value, ago(key.created_at_ms, now_ms=session.now_ms())]
        for key in found
    ]  # fmt: skip
    if rows:
        session.say(table(("NAME", "ACCESS KEY", "ROLE", "CREATED"), rows))
    else:
        session.say("There are no access keys. `portway aws credentials` makes the first.")


def _as_it_runs(config: Config) -> Config:
    """Where the server of the home really listens and which region it is, when one runs; its flags may be others."""
    try:
        view = Client(config.socket_path, timeout_s=5.0).view(ServerView, "GET", "/server")
    except PortwayError:
        return config
    return replace(config, listen=view.listen, aws_region=view.aws_region or config.aws_region)


def _variables(config: Config, key: AccessKey) -> dict[str, str]:
    variables = {
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": config.aws_region,
        "AWS_DEFAULT_REGION": config.aws_region,
    }
    if config.listen:
        variables["AWS_ENDPOINT_URL"] = f"http://{_reachable(config.listen)}"
    return variables


def _reachable(listen: str) -> str:
    """Where a client on this machine connects to: not to "every address"."""
    host, _, number = listen.rpartition(":")
    return f"127.0.0.1:{number}" if host in ("", "0.0.0.0", "[::]") else listen  # noqa: S104


def _profile(name: str, variables: dict[str, str]) -> str:
    lines = [
        f"[profile {name}]" if name != "default" else "[default]",
        f"aws_access_key_id = {variables['AWS_ACCESS_KEY_ID']}",
        f"aws_secret_access_key = {variables['AWS_SECRET_ACCESS_KEY']}",
        f"region = {variables['AWS_REGION']}",
    ]
    if "AWS_ENDPOINT_URL" in variables:
        lines.append(f"endpoint_url = {variables['AWS_ENDPOINT_URL']}")
    return "\n".join(lines)


@contextmanager
def _told(config: Config) -> Generator[None]:
    """What the disk refuses is a sentence."""
    try:
        yield
    except OSError as error:
        raise RequestError(
            f"The access keys of {config.home} cannot be used: {error.strerror or error}.",
            hint="Run this as the user the server runs as.",
        ) from error
