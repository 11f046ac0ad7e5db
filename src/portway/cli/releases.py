"""`portway releases`: the releases of a stack; `releases info`: one of them."""

from __future__ import annotations

from collections.abc import Sequence

import click

from portway.cli import session
from portway.cli.client import converted, segment
from portway.cli.options import complete_release, json_option, stack_option
from portway.cli.receipts import history_lines
from portway.cli.stacks import inferred_stack
from portway.cli.tables import coloured, key_values, shortened, table
from portway.cli.times import ago
from portway.controller.views import ReleaseView
from portway.core.errors import RequestError

_DESCRIPTION_WIDTH = 50


@click.group("releases", invoke_without_command=True)
@stack_option
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many, newest first.",
)
@json_option
@click.pass_context
def command(context: click.Context, stack: str | None, limit: int, as_json: bool) -> None:
    """List the releases of a stack, newest first."""
    if context.invoked_subcommand is not None:
        return
    name = inferred_stack(stack)
    answer = session.client().ask(
        "GET", f"/stacks/{segment(name)}/releases", query={"limit": limit}
    )
    if as_json:
        session.say_json(answer)
        return
    session.say(release_lines(converted(answer, tuple[ReleaseView, ...]), now_ms=session.now_ms()))


@command.command("info")
@click.argument("release", required=False, shell_complete=complete_release)
@stack_option
@json_option
@click.pass_context
def info(context: click.Context, release: str | None, stack: str | None, as_json: bool) -> None:
    """Show one release, what its deployments cost, and its manifest.

    Without RELEASE: the active one.
    """
    parent = context.parent.params.get("stack") if context.parent else None
    name = inferred_stack(stack or parent)
    chosen = release or _shown_first(name)
    answer = session.client().ask("GET", f"/stacks/{segment(name)}/releases/{segment(chosen)}")
    if as_json:
        session.say_json(answer)
        return
    session.say(info_lines(converted(answer, ReleaseView), now_ms=session.now_ms()))


def _shown_first(stack: str) -> str:
    """The active release; before there is one, the newest."""
    answer = session.client().ask("GET", f"/stacks/{segment(stack)}/releases")
    releases = converted(answer, tuple[ReleaseView, ...])
    if not releases:
        raise RequestError(f"{stack} has no releases yet.", hint="Make one with `portway deploy`.")
    return next((one for one in releases if one.active), releases[0]).id


def release_lines(releases: Sequence[ReleaseView], *, now_ms: int) -> list[str]:
    """The table of releases."""
    if not releases:
        return ["There are no releases yet. Make one with `portway deploy`."]
    rows = [
        (
            one.id,
            ago(one.created_at_ms, now_ms=now_ms),
            _status(one),
            ", ".join(one.apps),
            shortened(one.description, _DESCRIPTION_WIDTH),
        )
        for one in releases
    ]
    return table(("ID", "CREATED", "STATUS", "APPS", "DESCRIPTION"), rows)


def _status(release: ReleaseView) -> str:
    """What is worth a word: it is active, or how it ended badly."""
    status = "active" if release.active else release.status
    return coloured(status) if status not in {"done", ""} else ""


def info_lines(release: ReleaseView, *, now_ms: int) -> list[str]:
    """One release, what its deployments cost, its manifest last and as it was written."""
    lines = key_values(
        [
            ("Id", release.id),
            ("Stack", release.stack),
            ("Created", ago(release.created_at_ms, now_ms=now_ms)),
            ("Status", _status(release) or "not active"),
            ("Apps", ", ".join(release.apps)),
            ("Description", release.description or "(none)"),
            ("Manifest", release.manifest_name),
        ]
    )
    if release.receipts:
        lines += ["", "Deployments:", *history_lines(release.receipts, now_ms=now_ms)]
    return [*lines, "", *release.manifest.rstrip("\n").splitlines()]
