"""A deployment's progress and its ending as text. Pure: views in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from portway.cli.steps import step_text
from portway.cli.tables import coloured
from portway.controller.views import AppView, DeploymentView, InstanceView, StackView
from portway.core.events import Event

RUNNING = "running"
DONE = "done"
SUPERSEDED = "superseded"
FAILED = "failed"
_NOT_SERVING = frozenset({"completed", "stopped", "deleting"})
_UP = "running"
_ENDS = frozenset({"done", "failed", "active", "cancelled"})
_NOTED = frozenset({"port.moved", "deployment.reverted"})


def latest(view: StackView, begun: Sequence[DeploymentView]) -> dict[str, DeploymentView]:
    """Each deployment as it is now, by App name.

    An App that is gone, or has no deployment any more, is done; another deployment in its place superseded ours.
    """
    apps = {app.name: app for app in view.apps}
    return {one.app: _latest(apps.get(one.app), one) for one in begun}


def is_over(deployments: Mapping[str, DeploymentView]) -> bool:
    """Whether no deployment runs any more."""
    return all(one.status != RUNNING for one in deployments.values())


def culprits(deployments: Iterable[DeploymentView]) -> list[DeploymentView]:
    """Those that failed by themselves; where none did, those that were taken back or replaced."""
    wrong = [one for one in deployments if one.status not in (DONE, RUNNING)]
    return [one for one in wrong if one.status == FAILED] or wrong


def progress_lines(
    view: StackView, deployments: Mapping[str, DeploymentView], *, now_ms: int
) -> dict[str, str]:
    """One line for each App: how many are started, healthy and old, and what it waits for."""
    blocked = {app.name: app.blocked for app in view.apps}
    width = max((len(name) for name in deployments), default=0)
    return {
        name: f"  {name.ljust(width)}  {_progress(one, blocked.get(name, ''), now_ms)}"
        for name, one in deployments.items()
    }


def is_noted(event: Event) -> bool:
    """Whether an event is worth a line while somebody watches a deployment."""
    return event.kind in _NOTED or bool(event.data.get("failed"))


def is_end(event: Event) -> bool:
    """Whether an event may be the last one of a deployment."""
    subject, _, what = event.kind.partition(".")
    return subject in ("deployment", "release") and what in _ENDS


def health(view: StackView) -> tuple[int, int]:
    """How many instances are healthy, and how many should be."""
    apps = [app for app in view.apps if app.status not in _NOT_SERVING]
    return sum(app.healthy for app in apps), sum(app.count for app in apps)


def ending_line(view: StackView) -> str:
    """`httpd is running: release RUAENUMAQBS, 2/2 healthy`; not "running" where instances are missing."""
    healthy, count = health(view)
    status = "running" if healthy >= count else "degraded"
    release = f"release {view.release}, " if view.release else ""
    return f"{view.name} is {status}: {release}{healthy}/{count} healthy"


def leaving_lines(view: StackView) -> list[str]:
    """How many old instances have yet to end; they get nothing new."""
    old = sum(app.deployment.old for app in view.apps if app.deployment)
    if not old:
        return []
    return [f"{old} old {'instance is' if old == 1 else 'instances are'} still ending."]


def failure_text(one: DeploymentView) -> tuple[str, str]:
    """What went wrong with one App and why, the reason as it was kept (its last log lines included)."""
    match one.status:
        case "cancelled":
            return f"{one.app}: the deployment of release {one.release} was cancelled.", one.reason
        case "superseded":
            return (
                f"{one.app}: another deployment took the place of release {one.release}.",
                one.reason,
            )
        case _:
            return f"{one.app} could not be deployed: release {one.release} failed.", one.reason


def survivors(instances: Sequence[InstanceView], *, failed: str) -> list[str]:
    """What still serves, an App and release a line; never the release that failed."""
    counts: dict[tuple[str, str], int] = {}
    for one in instances:
        if one.phase == _UP:
            counts[one.app, one.release] = counts.get((one.app, one.release), 0) + 1
    lines = [
        f"  {app}  release {release}, {count} healthy{' (the new one)' * (release == failed)}"
        for (app, release), count in sorted(counts.items())
    ]
    return ["Still running:", *lines] if lines else ["Nothing of it is running."]


def _latest(app: AppView | None, begun: DeploymentView) -> DeploymentView:
    if app is None or app.deployment is None:
        return replace(begun, status=DONE)
    if app.deployment.id != begun.id:
        return replace(begun, status=SUPERSEDED)
    return app.deployment


def _progress(one: DeploymentView, blocked: str, now_ms: int) -> str:
    if one.status == DONE:
        return f"{one.desired}/{one.desired} healthy, {coloured(DONE)}"
    if one.status != RUNNING:
        return f"{coloured(one.status)}: {_first_line(one.reason)}".removesuffix(": ")
    step = step_text(one, now_ms=now_ms)
    parts = (
        [step]
        if step
        else [f"{one.started}/{one.desired} started", f"{one.healthy}/{one.desired} healthy"]
    )
    if one.old:
        parts.append(f"{one.old} old")
    if one.paused:
        parts.append("paused: `portway resume` goes on, `portway abort` goes back")
    if waiting := blocked or one.reason:
        parts.append(f"waiting: {_first_line(waiting)}")
    return ", ".join(parts)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
