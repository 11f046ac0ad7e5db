"""`portway events`: the journal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from portway.cli import session
from portway.cli.client import Client, converted
from portway.cli.options import stack_option
from portway.cli.stacks import named_stack
from portway.core.events import Event

_KIND_WIDTH = 22


@click.command("events")
@stack_option
@click.option("--all", "everything", is_flag=True, help="Of every stack.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="How many, the newest.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as the API's JSON.")
def command(stack: str | None, everything: bool, follow: bool, limit: int, as_json: bool) -> None:
    """Print what happened, oldest first.

    Without -a and outside a manifest's directory, of every stack.
    """
    name = "" if everything else named_stack(stack)
    for event in _events(session.client(), name, limit=limit, follow=follow):
        if as_json:
            session.say_json_line(event)
        else:
            session.say(event_line(converted(event, Event)))


def event_line(event: Event) -> str:
    """`2026-11-21 09:12:44  instance.started  httpd/web: message`."""
    at = datetime.fromtimestamp(event.at_ms / 1000, tz=UTC).astimezone()
    subject = event.instance_id or event.app_id
    if subject.rpartition("/")[2] in event.message:
        subject = event.stack
    about = f"{subject}: " if subject and subject not in event.message else ""
    return f"{at:%Y-%m-%d %H:%M:%S}  {event.kind.ljust(_KIND_WIDTH)}  {about}{event.message}"


def _events(client: Client, stack: str, *, limit: int, follow: bool) -> Iterator[dict[str, Any]]:
    newest = 0
    for event in client.stream(
        "GET", "/events", query={"after": -1, "stack": stack, "limit": limit}
    ):
        newest = max(newest, int(event.get("sequence", 0)))
        yield event
    if follow:
        yield from client.stream(
            "GET", "/events", query={"after": newest, "stack": stack, "follow": 1}
        )
