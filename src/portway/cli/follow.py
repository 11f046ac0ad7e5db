"""Follow a change until it ends: promote, scale, restart, rollback, cancel and delete all end here."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import click
import msgspec

from portway.cli import session
from portway.cli.client import Client, ServerAbsent, ServerCut, converted, segment
from portway.cli.live import Live
from portway.cli.main import say_error
from portway.cli.map import terminal_columns
from portway.cli.mapview import map_lines
from portway.cli.progress import (
    DONE,
    culprits,
    ending_line,
    failure_text,
    health,
    is_end,
    is_noted,
    is_over,
    latest,
    leaving_lines,
    progress_lines,
    survivors,
)
from portway.cli.receipts import receipt_lines, receipt_of
from portway.controller.views import (
    DeploymentView,
    InstanceView,
    MapEndpoint,
    MapRoute,
    PromotionView,
    StackView,
)
from portway.core.errors import PortwayError, RequestError, WorldError
from portway.core.events import Event

_LOOK_EVERY_S = 1.0
_SETTLE_S = 0.05
_SERVER_AWAY_MAX_S = 30.0
_HEAL_MAX_S = 20.0
_HEAL_LOOK_S = 0.2
_LEAVING_LOOK_S = 0.05
_LEAVING = frozenset({"draining", "stopping"})
_MOVING = frozenset({"planned", "starting", "draining", "stopping"})


def conclude(
    client: Client, answer: Any, *, no_wait: bool, as_json: bool, until_gone: bool = False
) -> None:
    """Say what a change did once it is over; exit 1 when it failed.

    `until_gone`: not before the old instances have ended, which nobody is served by any more.
    """
    promotion = converted(answer, PromotionView)
    if no_wait:
        _say_begun(promotion, answer, as_json)
        return
    if not as_json:
        session.say(_remarks(promotion))
    ended = _followed(client, promotion, quiet=as_json)
    if until_gone:
        wait_until_calm(client, promotion.stack, quiet=as_json)
    failed = [one for one in ended.values() if one.status != DONE]
    receipt = receipt_of(client, promotion)
    is_running = True
    if as_json:
        answer["deployments"] = [_as_json(one) for one in ended.values()]
        answer["receipt"] = msgspec.to_builtins(receipt)
        session.say_json(answer)
    elif receipt is not None:
        session.say(receipt_lines(receipt))
    if failed:
        _say_failed(client, promotion, failed)
    elif not as_json:
        is_running = say_running(client, promotion.stack)
    if failed or not is_running:
        raise click.exceptions.Exit(1)


def say_running(client: Client, stack: str) -> bool:
    """The ending of a change that went well: the stack and its listeners; whether all of it is healthy."""
    view = _healed(client, stack)
    routes = client.view(tuple[MapRoute, ...], "GET", "/map", query={"stack": stack})
    healthy, count = health(view)
    session.say(click.style(ending_line(view), fg="green" if healthy >= count else "red"))
    staying = [replace(one, endpoints=tuple(filter(_stays, one.endpoints))) for one in routes]
    session.say(map_lines(staying, columns=terminal_columns()))
    session.say(leaving_lines(view))
    for app in view.apps:
        if app.healthy < app.count and app.blocked:
            session.warn(f"{app.name}: {app.blocked}")
    return healthy >= count


def _stays(endpoint: MapEndpoint) -> bool:
    return endpoint.state not in _LEAVING


def _healed(client: Client, stack: str) -> StackView:
    """The stack once all of it is healthy, or as it is when that takes too long.

    A deployment without changes is done at once, also while an instance that died is being replaced.
    """
    deadline = time.monotonic() + _HEAL_MAX_S
    while True:
        view = _patiently(client, stack)
        healthy, count = health(view)
        if healthy >= count or time.monotonic() > deadline:
            return view
        time.sleep(_HEAL_LOOK_S)


def wait_until_gone(client: Client, stack: str) -> None:
    """Return once the server knows no such stack any more."""
    live = Live()
    while True:
        try:
            view = client.view(StackView, "GET", f"/stacks/{segment(stack)}")
        except RequestError as error:
            if error.http_status == 404:
                live.clear()
                return
            raise
        left = {app.name: f"  {app.name}  {app.running} left" for app in view.apps if app.running}
        live.show(left)
        time.sleep(_LEAVING_LOOK_S)


def wait_until_calm(client: Client, stack: str, *, quiet: bool = False) -> None:
    """Return once no instance of the stack comes or goes."""
    live = Live(quiet=quiet)
    while True:
        query = {"stack": stack}
        instances = client.view(tuple[InstanceView, ...], "GET", "/instances", query=query)
        moving = [one for one in instances if one.phase in _MOVING]
        live.show({one.id: f"  {one.id}  {one.phase}" for one in moving})
        if not moving and not _is_overfull(client, stack):
            return
        time.sleep(_LEAVING_LOOK_S)


def _is_overfull(client: Client, stack: str) -> bool:
    """Whether an App has more instances than it should: some are about to leave, and do not know it yet."""
    view = client.view(StackView, "GET", f"/stacks/{segment(stack)}")
    return any(app.running > app.count for app in view.apps)


def _followed(
    client: Client, promotion: PromotionView, *, quiet: bool
) -> dict[str, DeploymentView]:
    live, news = Live(quiet=quiet), _news(client, promotion)
    try:
        while True:
            view = _patiently(client, promotion.stack)
            now = latest(view, promotion.deployments)
            live.show(progress_lines(view, now, now_ms=session.now_ms()))
            if is_over(now) and not _is_settling(view, now):
                if any(one.status != DONE for one in now.values()):
                    # What follows a failure is told a moment after it: that it goes back, to what.
                    for text in _last_notes(news):
                        live.note(f"  {text}")
                return now
            for text in _next_notes(news):
                live.note(f"  {text}")
    except KeyboardInterrupt:
        live.note(
            f"The deployment goes on without you: watch it with `portway apps info {promotion.stack}`, "
            f"undo it with `portway cancel -a {promotion.stack}`."
        )
        raise


def _is_settling(view: StackView, deployments: Mapping[str, DeploymentView]) -> bool:
    """Every App is done, and the server has not yet made the release the active one."""
    succeeded = all(one.status == DONE for one in deployments.values())
    return succeeded and bool(deployments) and view.status == "deploying"


def _patiently(client: Client, stack: str) -> StackView:
    """The stack, waiting a while for a server that is being restarted."""
    deadline = time.monotonic() + _SERVER_AWAY_MAX_S
    while True:
        try:
            return client.view(StackView, "GET", f"/stacks/{segment(stack)}")
        except (ServerAbsent, ServerCut) as error:
            if time.monotonic() > deadline:
                raise WorldError(
                    "The portway server went away while the deployment ran.",
                    hint="Start it again (portway server start): it goes on where it was.",
                ) from error
            time.sleep(0.2)


class News(NamedTuple):
    """An event of the stack: `text` is "" where it is not worth a line, `ends` where something may be over."""

    text: str
    ends: bool


def _news(client: Client, promotion: PromotionView) -> queue.SimpleQueue[News]:
    """Wakes the watcher at every event of the stack."""
    news: queue.SimpleQueue[News] = queue.SimpleQueue()
    query = {"after": promotion.sequence, "stack": promotion.stack, "follow": 1}

    def listen() -> None:
        try:
            for event in client.stream("GET", "/events", query=query):
                happened = converted(event, Event)
                news.put(News(happened.message if is_noted(happened) else "", is_end(happened)))
        except PortwayError:
            return  # looking once a second goes on without it

    threading.Thread(target=listen, daemon=True).start()
    return news


def _next_notes(news: queue.SimpleQueue[News]) -> list[str]:
    """What is worth a line, once it is quiet for a moment; at once when something may be over."""
    notes: list[str] = []
    timeout_s = _LOOK_EVERY_S
    deadline = time.monotonic() + _LOOK_EVERY_S
    while time.monotonic() < deadline:
        try:
            text, ends = news.get(timeout=timeout_s)
        except queue.Empty:
            break
        notes += [text] if text else []
        if ends:
            break
        timeout_s = _SETTLE_S
    return notes


def _last_notes(news: queue.SimpleQueue[News]) -> list[str]:
    """What is still worth a line, until it is quiet for a moment."""
    notes: list[str] = []
    deadline = time.monotonic() + _LOOK_EVERY_S
    with suppress(queue.Empty):
        while time.monotonic() < deadline:
            text = news.get(timeout=_SETTLE_S).text
            notes += [text] if text else []
    return notes


def _say_begun(promotion: PromotionView, answer: Any, as_json: bool) -> None:
    if as_json:
        session.say_json(answer)
        return
    session.say(_remarks(promotion))
    release = f" to release {promotion.release}" if promotion.release else ""
    session.say(f"{promotion.stack} is changing{release}; not waiting for it.")


def _remarks(promotion: PromotionView) -> list[str]:
    lines = list(promotion.notes)
    if promotion.removed:
        lines.append(f"Removed: {', '.join(promotion.removed)}")
    if promotion.unchanged:
        lines.append(f"Unchanged: {', '.join(promotion.unchanged)}")
    return lines


def _say_failed(client: Client, promotion: PromotionView, failed: list[DeploymentView]) -> None:
    blamed = culprits(failed)
    for one in blamed:
        message, reason = failure_text(one)
        say_error(WorldError(message, hint=reason))
    if others := [one.app for one in failed if one not in blamed]:
        click.echo(f"Taken back with it: {', '.join(others)}", err=True)
    instances = client.view(
        tuple[InstanceView, ...], "GET", "/instances", query={"stack": promotion.stack}
    )
    for line in survivors(instances, failed=promotion.release):
        click.echo(line, err=True)


def _as_json(one: DeploymentView) -> dict[str, Any]:
    return msgspec.to_builtins(one)
