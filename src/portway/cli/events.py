"""`portway events`: the journal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click

from portway.cli import session
from portway.cli.client import Client, converted
from portway.cli.moments import milliseconds, parse_moment, parse_window, told
from portway.cli.options import stack_option
from portway.cli.porthistory import say_port_history
from portway.cli.stacks import named_stack
from portway.cli.times import ago
from portway.core.errors import RequestError
from portway.core.events import Event

_KIND_WIDTH = 22
_WINDOW = "10m"


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
@click.option(
    "--at",
    "at_text",
    metavar="TIME",
    help='What went on around it: 14:25, "10m ago", 2026-11-21T14:25.',
)
@click.option("--window", help="With --at: how long before and after.  [default: 10m]")
@click.option(
    "--port",
    "number",
    type=click.IntRange(1, 65535),
    help="Who had this host port or listener, and when; with --at, at that time.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as the API's JSON.")
def command(
    stack: str | None,
    everything: bool,
    follow: bool,
    limit: int,
    at_text: str | None,
    window: str | None,
    number: int | None,
    as_json: bool,
) -> None:
    """Print what happened, oldest first; or what happened around a time, or to a port.

    Without -a and outside a manifest's directory, of every stack.
    """
    if follow and (at_text or number):
        raise RequestError(
            "--follow goes on with what happens now; --at and --port ask for the past.",
            hint="Leave one of them out.",
        )
    if window is not None and (at_text is None or number is not None):
        raise RequestError(
            "--window is how long before and after the time that --at names.",
            hint="Write --at TIME too, without --port.",
        )
    if number is not None:
        say_port_history(number, at_text, limit=limit, as_json=as_json)
        return
    name = "" if everything else named_stack(stack)
    if at_text is not None:
        _say_around(at_text, name, window=window or _WINDOW, limit=limit, as_json=as_json)
        return
    for event in _events(session.client(), name, limit=limit, follow=follow):
        if as_json:
            session.say_json_line(event)
        else:
            session.say(event_line(converted(event, Event)))


def _say_around(at_text: str, stack: str, *, window: str, limit: int, as_json: bool) -> None:
    moment, margin = parse_moment(at_text, now=session.now()), parse_window(window)
    at_ms, margin_ms = milliseconds(moment), int(margin.total_seconds() * 1000)
    query = {"at": at_ms, "stack": stack, "limit": max(2, limit)}
    answer = session.client().ask("GET", "/events/around", query=query)
    near = [event for event in answer if abs(event["at_ms"] - at_ms) <= margin_ms]
    if as_json:
        for event in near:
            session.say_json_line(event)
        return
    events = [converted(event, Event) for event in near]
    session.say(event_line(event) for event in events if event.at_ms <= at_ms)
    session.say(f"-- {told(moment)} ({ago(at_ms, now_ms=session.now_ms())}) --")
    session.say(event_line(event) for event in events if event.at_ms > at_ms)
    if not events:
        session.say(f"Nothing happened within {window} of it. --window makes that longer.")


def event_line(event: Event) -> str:
    """`2026-11-21 09:12:44  instance.started  httpd/web: message`."""
    at = datetime.fromtimestamp(event.at_ms / 1000, tz=UTC).astimezone()
    subject = event.instance_id or event.app_id
    if _names(event.message, subject.rpartition("/")[2]):
        subject = event.stack
    about = f"{subject}: " if subject and not _names(event.message, subject) else ""
    return f"{at:%Y-%m-%d %H:%M:%S}  {event.kind.ljust(_KIND_WIDTH)}  {about}{event.message}"


def _names(message: str, subject: str) -> bool:
    """Whether it is there as a word of its own: the stack `h` is not named by "healthy"."""
    return re.search(rf"(?<![\w-]){re.escape(subject)}(?![\w-])", message) is not None


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
