"""Which earlier release an App of a loose stack goes back to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from portway.controller.lookup import is_task
from portway.core.app import App
from portway.core.errors import RequestError
from portway.core.stack import Release
from portway.core.state import AppState
from portway.core.suggest import did_you_mean

_WENT_WELL = ("done", "running")


def release_before(
    stack: str, states: Iterable[AppState], releases: Sequence[Release], *, asked: str = ""
) -> tuple[str, Release]:
    """The App that goes back, `asked` or the one changed last, and the release it goes back to.

    That is the one before what it runs, and never one that failed. Going back again goes on to the one before that.
    `releases` are newest first.
    """
    running = {s.target.app.name: s.target.release for s in states if s.target and not is_task(s.target.app)}  # fmt: skip
    name = asked or _changed_last(running, releases)
    if name not in running:
        raise _no_such(stack, name, running)
    mine = [(r, app) for r in releases if (app := _app(r, name)) is not None]
    at = next((n for n, (r, _) in enumerate(mine) if r.id == running[name]), 0)
    # What it runs may itself be what it once went back to, or was scaled with: as old as its like.
    alike = [n for n, (_, app) in enumerate(mine) if n >= at and app == mine[at][1]] if mine else []
    for release, _ in mine[alike[-1] + 1 if alike else 0 :]:
        if _went_well(release):
            return name, release
    raise RequestError(
        f"{name} has no earlier release to go back to",
        hint=f"`portway releases -a {stack}` lists what there is; "
        f"`portway promote RELEASE -a {stack}` puts the app of one back.",
        http_status=409,
    )


def _no_such(stack: str, name: str, running: Iterable[str]) -> RequestError:
    told = f"{stack} has nothing that could go back"
    if name:
        told = f'{stack} has no app and no release "{name}".{did_you_mean(name, list(running))}'
    hint = f"`portway releases -a {stack}` lists the releases of its apps."
    return RequestError(told, hint=hint, http_status=404)


def _changed_last(running: dict[str, str], releases: Sequence[Release]) -> str:
    ids = {release_id: name for name, release_id in running.items()}
    return next((ids[release.id] for release in releases if release.id in ids), "")


def _app(release: Release, name: str) -> App | None:
    return next((app for app in release.apps if app.name == name), None)


def _went_well(release: Release) -> bool:
    """Whether a deployment of it came up; of one without a receipt nobody knows otherwise."""
    statuses = [receipt.status for receipt in release.receipts]
    return not statuses or any(status in _WENT_WELL for status in statuses)
