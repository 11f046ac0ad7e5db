"""Who had a port, as text: the answer in a sentence, then its history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from portway.cli import session
from portway.cli.client import converted
from portway.cli.moments import milliseconds, parse_moment, told
from portway.core.ownership import Change, Holding, HoldingKind

if TYPE_CHECKING:
    from portway.controller.views import PortHistory


def say_port_history(number: int, at_text: str | None, *, limit: int, as_json: bool) -> None:
    """Ask the server who had the port and print it."""
    from portway.controller.views import PortHistory

    query: dict[str, object] = {"number": number, "limit": max(1000, limit)}
    if at_text is not None:
        query["at"] = milliseconds(parse_moment(at_text, now=session.now()))
    answer = session.client().ask("GET", "/ports", query=query)
    if as_json:
        session.say_json(answer)
        return
    history = converted(answer, PortHistory)
    session.say(answer_lines(history) if at_text is not None else history_lines(history, limit))


def history_lines(history: PortHistory, limit: int) -> Iterator[str]:
    """Every change of the number, oldest first; then who has it now."""
    for change in history.changes[-limit:]:
        yield f"{_clock(change.at_ms)}  {_what(change)}  {_who(change.holding)}"
    if not history.held:
        yield f"Nobody has :{history.number} now." if history.changes else _never(history)


def answer_lines(history: PortHistory) -> Iterator[str]:
    """Who had the number at the moment asked for, from when to when."""
    at = _zoned(history.at_ms)
    for holding in history.held:
        led = f"led to ({holding.state})" if holding.kind is HoldingKind.ENDPOINT else "was"
        yield f"At {at} :{history.number} {led} {_who(holding)}{_span(history, holding)}."
    if not history.held:
        yield f"At {at} nobody had :{history.number}."
        last = [c for c in history.changes if not c.taken and c.at_ms <= history.at_ms]
        later = [c for c in history.changes if c.taken and c.at_ms > history.at_ms]
        if last:
            yield f"Before, until {_clock(last[-1].at_ms)}: {_who(last[-1].holding)}."
        if later:
            yield f"After, from {_clock(later[0].at_ms)}: {_who(later[0].holding)}."
        if not last and not later:
            yield _never(history)


def _never(history: PortHistory) -> str:
    return f"The journal knows of nobody who had :{history.number}; it knows only ports that portway gave out."


def _span(history: PortHistory, holding: Holding) -> str:
    mine = [c for c in history.changes if c.holding == holding]
    begun = [c for c in mine if c.taken and c.at_ms <= history.at_ms]
    ended = [c for c in mine if not c.taken and c.at_ms > history.at_ms]
    since = f", from {_clock(begun[-1].at_ms)}" if begun else ""
    until = f" until {_clock(ended[0].at_ms)}" if ended else (" until now" if since else "")
    return since + until


def _what(change: Change) -> str:
    match change.holding.kind:
        case HoldingKind.ENDPOINT:
            word = "drains" if change.holding.state == "draining" else "gets traffic"
            word = word if change.taken else f"no longer {word}"
        case HoldingKind.LEASE | HoldingKind.LISTENER:
            word = "taken by" if change.taken else "given back by"
    return word.ljust(24)


def _who(holding: Holding) -> str:
    match holding.kind:
        case HoldingKind.LEASE:
            where = (
                f"{holding.address}:{holding.number}" if holding.address else f":{holding.number}"
            )
            return (
                f"the host port of {holding.instance_id} ({where} -> {holding.container_port}"
                f"/{holding.protocol} on {holding.node})"
            )
        case HoldingKind.LISTENER:
            return f"the listener of {_holder(holding.app_id)}"
        case HoldingKind.ENDPOINT:
            target = f"{holding.target_address}:{holding.target_port}"
            return f"{holding.instance_id} at {target}"


def _holder(owner: str) -> str:
    """An App by its id, a load balancer by its name."""
    from portway.core.balancing.model import OWNER_PREFIX
    from portway.core.balancing.shared import OWNER as SHARED_OWNER
    from portway.core.diagnosis_rules import group_name

    if not owner.startswith(OWNER_PREFIX):
        return owner
    return "the shared hosts" if owner == SHARED_OWNER else f"the load balancer {group_name(owner)}"


def _clock(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, tz=UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def _zoned(at_ms: int) -> str:
    return told(datetime.fromtimestamp(at_ms / 1000, tz=UTC).astimezone())
