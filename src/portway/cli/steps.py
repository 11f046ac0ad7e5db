"""Where a deployment by steps is, as a phrase. Pure: a view in, words out."""

from __future__ import annotations

from collections.abc import Iterable

from portway.cli.times import elapsed
from portway.controller.views import AppView, DeploymentView

_BLUE_GREEN = "blue-green"
_RUNNING = "running"
_FAILED = "failed"
_CRASH_LOOPING = "crash looping"


def step_text(one: DeploymentView, *, now_ms: int) -> str:
    """`canary 1/10 serving, baking 30 s more`; "" for a deployment without steps."""
    if not one.stage:
        return ""
    several = one.steps > 1 and one.strategy != _BLUE_GREEN
    which = f" step {one.step} of {one.steps}:" if several else ""
    text = f"{one.strategy}{which} "
    if one.stage == "starting":
        seen = ", no traffic yet" if one.strategy == _BLUE_GREEN and one.step == 1 else ""
        return f"{text}{one.healthy}/{one.step_wanted} healthy{seen}"
    text += f"{one.step_wanted}/{one.desired} serving, "
    if one.stage == "holding":
        return text + "holding until `portway resume`"
    return f"{text}baking {_left(one.bake_ends_at_ms or now_ms, now_ms)} more"


def is_paused(deployments: Iterable[DeploymentView]) -> bool:
    """Whether any of them stands still."""
    return any(one.paused for one in deployments)


def app_remark(app: AppView, *, now_ms: int) -> str:
    """What `ps` says of an App besides its instances: at which step, paused, or why it is not as it should be; else ""."""
    one = app.deployment
    words = [app.blocked or _why_unwell(app)]
    if one is not None and one.status == _RUNNING:
        paused = "paused (`portway resume` goes on)" * one.paused
        words = [step_text(one, now_ms=now_ms), paused, app.blocked]
    text = ", ".join(word for word in words if word)
    return f"{app.name}: {text}" if text else ""


def _why_unwell(app: AppView) -> str:
    if app.status == _CRASH_LOOPING:
        return _CRASH_LOOPING
    reason = app.deployment.reason if app.deployment else ""
    return f"{_FAILED}: {reason}" if app.status == _FAILED and reason else ""


def _left(end_ms: int, now_ms: int) -> str:
    """Rounded up to what one would say, so that a log does not get a line every second."""
    seconds = max(0, -(-(end_ms - now_ms) // 1000))
    if seconds > 120:
        return elapsed(-(-seconds // 60) * 60_000)
    if seconds <= 5:
        return "a few seconds"
    unit = 10 if seconds > 20 else 5
    return f"{-(-seconds // unit) * unit} s"
