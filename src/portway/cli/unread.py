"""What the server cannot read now, said above what it shows: that is then what was known last."""

from __future__ import annotations

import time

from portway.cli import session
from portway.cli.client import Client
from portway.cli.times import ago
from portway.controller.views import ServerView
from portway.core.errors import PortwayError


def warn_of_unread(client: Client) -> None:
    """A line on standard error for the engine or the balancer, where it cannot be read; JSON stays whole."""
    try:
        view = client.view(ServerView, "GET", "/server")
    except PortwayError:
        return  # the table is worth more than a remark on it
    for line in unread_lines(view, now_ms=session.now_ms()):
        session.warn(line)


def unread_lines(view: ServerView, *, now_ms: int) -> list[str]:
    """Since when a part cannot be read, why, and what is shown meanwhile; one line for each."""
    return [
        f"The {part} has been unreadable since {_clock(since_ms)} ({ago(since_ms, now_ms=now_ms)}); "
        f"shown is what was known last. {_why(view, part)}"
        for part, since_ms in sorted(view.unread_since_ms.items())
    ]


def _clock(at_ms: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at_ms / 1000))


def _why(view: ServerView, part: str) -> str:
    """The first line of the problem, without the name of its part."""
    begin = f"{part}: "
    said = next((text for text in view.problems if text.startswith(begin)), "")
    return said.removeprefix(begin).partition("\n")[0] or "See `portway server status`."
