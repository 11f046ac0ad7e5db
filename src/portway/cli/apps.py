"""`portway apps`: the stacks; `apps info`: one of them; `apps delete`: stop and forget one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from portway.cli import session
from portway.cli.client import Client, converted, segment
from portway.cli.map import terminal_columns
from portway.cli.mapview import map_lines
from portway.cli.options import complete_stack, json_option, no_wait_option, stack_option
from portway.cli.stacks import inferred_stack
from portway.cli.steps import app_remark, step_text
from portway.cli.tables import coloured, key_values, table
from portway.cli.times import ago
from portway.cli.unread import warn_of_unread
from portway.controller.views import AppView, MapRoute, StackView
from portway.core.errors import RequestError

_SHOWN_MAX = 6
_AILING = ("degraded", "failed")
_PER_APP = "(one each)"  # of a stack whose Apps change one at a time


@click.group("apps", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List stacks."""
    if context.invoked_subcommand is not None:
        return
    client = session.client()
    answer = client.ask("GET", "/stacks")
    warn_of_unread(client)
    if as_json:
        session.say_json(answer)
        return
    session.say(stack_lines(converted(answer, tuple[StackView, ...]), now_ms=session.now_ms()))


@command.command("info")
@click.argument("name", required=False, metavar="[STACK]", shell_complete=complete_stack)
@stack_option
@json_option
def info(name: str | None, stack: str | None, as_json: bool) -> None:
    """Show one stack: its release, its Apps, its listeners."""
    client = session.client()
    chosen = inferred_stack(name or stack)
    answer = client.ask("GET", f"/stacks/{segment(chosen)}")
    warn_of_unread(client)
    if as_json:
        session.say_json(answer)
        return
    routes = client.view(tuple[MapRoute, ...], "GET", "/map", query={"stack": chosen})
    session.say(info_lines(converted(answer, StackView), routes, now_ms=session.now_ms()))


@command.command("delete")
@click.argument("name", required=False, metavar="[STACK]", shell_complete=complete_stack)
@stack_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--now", is_flag=True, help="Cut open connections instead of draining them.")
@no_wait_option
@json_option
def delete(
    name: str | None, stack: str | None, yes: bool, now: bool, no_wait: bool, as_json: bool
) -> None:
    """Drain and stop everything of a stack, then forget it. Named volumes stay."""
    client = session.client()
    chosen = inferred_stack(name or stack)
    view = client.view(StackView, "GET", f"/stacks/{segment(chosen)}")
    if not yes:
        _ask(view)
    query = {"drain": 0} if now else None
    answer = client.ask("DELETE", f"/stacks/{segment(chosen)}", query=query)
    if as_json:
        session.say_json(answer)
    elif no_wait:
        session.say(f"Deleting {chosen}.")
    else:
        _wait_until_gone(client, chosen)


def stack_lines(stacks: Sequence[StackView], *, now_ms: int) -> list[str]:
    """The table of stacks, and below it why those that ail do."""
    if not stacks:
        return ["There are no stacks yet. Deploy one with `portway deploy`."]
    rows = [
        (
            view.name,
            coloured(view.status),
            view.release or (_PER_APP if view.loose else "-"),
            _some([_healthy(app) for app in _ailing_first(view.apps)], ", "),
            _some(view.urls, "  "),
        )
        for view in stacks
    ]
    remarks = [
        f"{view.name}/{remark}".partition("\n")[0]
        for view in stacks
        if view.status in _AILING
        for app in view.apps
        if (remark := app_remark(app, now_ms=now_ms))
    ]
    lines = table(("STACK", "STATUS", "RELEASE", "APPS", "URLS"), rows)
    return [*lines, "", *remarks] if remarks else lines


def _ailing_first(apps: Sequence[AppView]) -> list[AppView]:
    return sorted(apps, key=lambda app: app.healthy >= app.count)


def _some(words: Sequence[str], separator: str) -> str:
    """As many as fit a table; `apps info` has them all."""
    if not words:
        return "-"
    left_out = len(words) - _SHOWN_MAX
    more = [f"and {left_out} more"] if left_out > 0 else []
    return separator.join([*words[:_SHOWN_MAX], *more])


def info_lines(view: StackView, routes: Sequence[MapRoute], *, now_ms: int) -> list[str]:
    """Everything about one stack."""
    lines = key_values(
        [
            ("Name", view.name),
            ("Status", coloured(view.status)),
            ("Release", view.release or (_PER_APP if view.loose else "(none)")),
            ("Created", ago(view.created_at_ms, now_ms=now_ms)),
            ("Apps", "\n".join(_app_line(app, now_ms, view) for app in view.apps) or "(none)"),
        ]
    )
    shown = map_lines(routes, columns=terminal_columns())
    return lines + (["Listeners", *shown] if shown else ["Listeners  (none)"])


def _healthy(app: AppView) -> str:
    return f"{app.name} {app.healthy}/{app.count}"


def _app_line(app: AppView, now_ms: int, view: StackView) -> str:
    text = f"{_healthy(app)} healthy, {coloured(app.status)}"
    if view.loose and app.release:
        text = f"{text}, release {app.release}"
    step = step_text(app.deployment, now_ms=now_ms) if app.deployment else ""
    if step and app.deployment and app.deployment.status == "running":
        text = f"{text}, {step}"
    why = app.blocked or (app.deployment.reason if app.deployment else "")
    return f"{text}: {why}" if why else text


def _ask(view: StackView) -> None:
    count = sum(app.running for app in view.apps)
    instances = f"{count} instance{'s' * (count != 1)}"
    if not sys.stdin.isatty():
        raise RequestError(
            f"{view.name} has {instances} running; deleting it needs a yes.",
            hint=f"Add --yes: portway apps delete {view.name} --yes",
        )
    question = (
        f"Delete {view.name}: {instances} will be drained and stopped, its releases forgotten?"
    )
    click.confirm(question, abort=True)


def _wait_until_gone(client: Client, stack: str) -> None:
    from portway.cli.follow import wait_until_gone

    wait_until_gone(client, stack)
    session.say(f"{stack} is deleted.")
