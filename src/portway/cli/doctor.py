"""`portway doctor`: what of this machine would get in the way, each with its fix. Needs neither a server nor Docker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import click

from portway import __version__
from portway.cli import session
from portway.cli.client import Client, converted
from portway.cli.options import json_option
from portway.config import Config
from portway.controller.machine.base import Finding, Ground, ServerFacts, Severity, real_ground
from portway.controller.machine.examine import examine
from portway.controller.views import ServerView
from portway.core.errors import PortwayError

_COLOURS = {
    Severity.OK: "green",
    Severity.NOTE: "cyan",
    Severity.WARNING: "yellow",
    Severity.ERROR: "red",
}
_SERVER_TIMEOUT_S = 5.0


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Check this machine: what would get in the way of portway, and what to do about it.

    Works without a server and without Docker; as root it sees the firewall too.
    Exit code 0: nothing worse than warnings. 1: at least one error.
    """
    findings = examine(ground_of(session.configuration()))
    if as_json:
        session.say_json([asdict(finding) for finding in findings])
    else:
        session.say(doctor_lines(findings))
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise click.exceptions.Exit(1)


def ground_of(config: Config) -> Ground:
    """This machine, with the server that runs on it."""
    return real_ground(config, _server(config), __version__)


def _server(config: Config) -> ServerFacts:
    client = Client(config.socket_path, timeout_s=_SERVER_TIMEOUT_S)
    try:
        view = converted(client.ask("GET", "/server"), ServerView)
    except PortwayError:
        return ServerFacts()
    return ServerFacts(
        version=view.version,
        pid=view.pid,
        started_at_ms=view.started_at_ms,
        problems=view.problems,
    )


def doctor_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """A line a finding, its fix below it, then how many of each there are."""
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        word = click.style(f"{finding.severity.value:<7}", fg=_COLOURS[finding.severity])
        yield f"{word}  {finding.check:<{width}}  {finding.text}"
        if finding.fix:
            yield f"{'':<{7 + width + 4}}Fix: {finding.fix}"
    counts = [(severity, sum(f.severity is severity for f in findings)) for severity in Severity]
    bad = [
        f"{count} {severity.value}{'s' * (count != 1)}"
        for severity, count in reversed(counts)
        if count and severity is not Severity.OK
    ]
    yield ""
    yield f"{', '.join(bad) if bad else 'Nothing stands in the way'}."
