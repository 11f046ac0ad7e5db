"""`portway version`: this command's version and the server's."""

from __future__ import annotations

import click

from portway import __version__
from portway.cli import session
from portway.cli.client import ServerAbsent
from portway.cli.options import json_option
from portway.cli.tables import key_values


@click.command("version")
@json_option
def command(as_json: bool) -> None:
    """Print the version of this command and of the server."""
    server = _server_version()
    if as_json:
        session.say_json({"client": __version__, "server": server})
        return
    session.say(key_values([("Client", __version__), ("Server", server or "not running")]))


def _server_version() -> str | None:
    try:
        return str(session.client().ask("GET", "/version")["version"])
    except ServerAbsent:
        return None
