"""`portway server`: the server in the foreground; `server start|stop|status`: the one in the background."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from portway.cli import session
from portway.cli.client import ServerAbsent, converted
from portway.cli.options import json_option
from portway.cli.tables import key_values
from portway.cli.times import ago
from portway.controller.views import ServerView

_FLAGS = (
    (
        "listen",
        "HOST:PORT",
        "Where HTTP is served besides the socket; empty: nowhere. [127.0.0.1:8080]",
    ),
    ("home", "DIR", "Where its state and socket are."),
    ("engine", "docker|process|memory", "What runs the instances. [docker]"),
    ("host-ports", "FIRST-LAST", "Host ports to lease to instances. [31000-32000]"),
    ("service-ports", "FIRST-LAST", "Listener ports to assign where none is given. [10000-20000]"),
    ("public-address", "ADDRESS", "Where public listeners are; empty: on all addresses."),
    ("config", "FILE", "A TOML file with any of these."),
    ("store-url", "URL", "A PostgreSQL database; without it SQLite in the home."),
    ("token-file", "FILE", "A file with the token that HTTP clients must send."),
    ("docker-host", "URL", "The Docker daemon. [DOCKER_HOST, or its usual socket]"),
    ("docker-at-once", "COUNT", "How many containers are started, and ended, at a time. [4]"),
    ("publish-address", "ADDRESS", "Where instance ports are published. [127.0.0.1]"),
    ("haproxy", "PROGRAM", "The HAProxy to run. [haproxy]"),
    ("hold-down-s", "SECONDS", "How long a freed port is not given out again. [5]"),
    ("memory-nodes", "COUNT", "How many nodes the memory engine plays. [1]"),
    ("node-ports", "NODE=FIRST-LAST,...", "Nodes with host ports of their own to lease."),
    ("log-level", "LEVEL", "debug, info, warning or error. [info]"),
    (
        "log-format",
        "auto|json|text",
        "Log lines as JSON or key=value; auto: for people on a terminal. [auto]",
    ),
    ("journal-days", "DAYS", "How long the journal of events and ports is kept. [30]"),
    ("access-log", "on|off", "Keep an access log of every App that does not say otherwise. [off]"),
    ("aws-region", "NAME", "The region that AWS clients find here. [us-east-1]"),
    (
        "aws-ephemeral-ports",
        "FIRST-LAST",
        "Host ports for those that ask for 0, as ECS leases them. [the kernel's]",
    ),
    ("aws-account-id", "ID", "The account that AWS clients find here. [000000000000]"),
    (
        "aws-load-balancer-addresses",
        "NETWORK",
        "Addresses for load balancers, one each. [127.64.0.0/16]",
    ),
    ("aws-hosts-file", "PATH", "Where their names are kept; none: nowhere. [/etc/hosts]"),
    ("aws-verify-signatures", "on|off", "Check who signed what AWS clients ask. [on]"),
    ("marathon-http-port", "PORT", "Where virtual hosts of Marathon's apps are served. [80]"),
    ("marathon-https-port", "PORT", "The same over HTTPS. [443]"),
    ("marathon-groups", "NAME,...", "The HAPROXY_GROUPs whose ports are served. [*: all]"),
    ("marathon-env-vars-prefix", "PREFIX", "What HOST and the port variables begin with. [none]"),
    ("marathon-certificates", "DIRECTORY", "Where the files of HAPROXY_n_SSL_CERT are."),
)


def _server_options(function: Any) -> Any:
    for name, metavar, text in reversed(_FLAGS):
        names = [f"--{name}", *(["--store"] if name == "store-url" else [])]
        function = click.option(*names, name.replace("-", "_"), metavar=metavar, help=text)(
            function
        )
    return function


@click.group("server", invoke_without_command=True)
@_server_options
@click.pass_context
def command(context: click.Context, **flags: str | None) -> None:
    """Run the server in the foreground, until Ctrl-C or `portway server stop`.

    Each option is also an environment variable: --host-ports is PORTWAY_HOST_PORTS.
    Stopping the server stops nothing that runs; the next one takes it over.
    """
    context.obj = _given(flags)
    if context.invoked_subcommand is None:
        from portway.assemble import serve

        config = session.configuration(context.obj)
        session.warn_of_settings(config)
        asyncio.run(serve(config))


@command.command("start")
@_server_options
@click.pass_context
def start(context: click.Context, **flags: str | None) -> None:
    """Start the server in the background; nothing when one already runs."""
    from portway.cli.client import Client
    from portway.cli.launch import answers, log_file, start_in_background

    given = {**(context.obj or {}), **_given(flags)}
    config = session.configuration(given)
    if answers(Client(config.socket_path)):
        session.say(f"A server is already running ({config.socket_path}).")
        return
    session.warn_of_settings(config)
    pid = start_in_background(config, _words(given))
    session.say(f"Started the server (process {pid}, log {log_file(config)}).")


@command.command("stop")
@click.pass_context
def stop(context: click.Context) -> None:
    """Stop the server, if one runs. What it runs goes on running and being served."""
    from portway.cli.launch import ending

    client = _client(context)
    try:
        with ending(client):
            client.ask("POST", "/server/stop", body={})
    except ServerAbsent:
        session.say("No server is running.")
        return
    session.say("The server is stopped. What it ran goes on running.")


@command.command("status")
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show how the server fares; exit 1 when none runs."""
    client = _client(context)
    try:
        answer = client.ask("GET", "/server")
    except ServerAbsent:
        _say_stopped(as_json=as_json)
        raise click.exceptions.Exit(1) from None
    if as_json:
        session.say_json(answer)
        return
    session.say(status_lines(converted(answer, ServerView), now_ms=session.now_ms()))


def _times(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def status_lines(view: ServerView, *, now_ms: int) -> list[str]:
    """Everything about the server."""
    changes = (
        f"{_times(view.balancer_reloads, 'reload')}, {_times(view.balancer_restarts, 'restart')}"
    )
    balancer = f"{view.balancer} (process {view.balancer_pid}, {changes})"
    return key_values(
        [
            ("Version", view.version),
            ("Process", f"{view.pid}, started {ago(view.started_at_ms, now_ms=now_ms)}"),
            ("Home", view.home),
            ("Listen", view.listen or "(only the socket in its home)"),
            ("Engine", view.engine),
            ("Store", view.store),
            ("Balancer", balancer),
            ("Public address", view.public_address or "(all)"),
            ("Host ports", f"{view.host_ports}, {view.host_ports_leased} leased"),
            ("Problems", "\n".join(view.problems) or "(none)"),
        ]
    )


def _say_stopped(*, as_json: bool) -> None:
    if as_json:
        session.say_json({"running": False})
    else:
        session.say("No server is running.")


def _client(context: click.Context) -> Any:
    from portway.cli.client import Client

    return Client(session.configuration(context.obj).socket_path)


def _given(flags: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in flags.items() if value is not None}


def _words(given: dict[str, str]) -> list[str]:
    """The flags as words of a command line; the home is said by the caller."""
    return [
        word
        for name, value in given.items()
        if name != "home"
        for word in (f"--{name.replace('_', '-')}", value)
    ]
