"""Why an update or a question is refused, with the status and the body that Marathon's clients expect."""

from __future__ import annotations

from collections.abc import Iterable

from portway.manifests.marathon.refusal import MarathonRefusal

LOCKED = (
    "App is locked by one or more deployments. Override with the option '?force=true'. "
    "View details at '/v2/deployments/<DEPLOYMENT_ID>'."
)


def no_such(what: str, name: str, *, version: str = "") -> MarathonRefusal:
    """404 for an app, group, pod or task that is not there."""
    where = f" in version {version}" if version else ""
    message = f"{what} '{name}' does not exist{where}"
    details = {"details": []} if what == "Pod" else {}
    return MarathonRefusal(404, {"message": message, **details})


def locked(deployment_ids: Iterable[str]) -> MarathonRefusal:
    """409 while other deployments are about the same apps."""
    deployments = [{"id": name} for name in deployment_ids]
    return MarathonRefusal(409, {"message": LOCKED, "deployments": deployments})


def too_many(maximum: int) -> MarathonRefusal:
    """403 while as many deployments run as may."""
    return MarathonRefusal(
        403,
        {
            "message": f"Max number ({maximum}) of running deployments is achieved. "
            "Wait for existing deployments to complete or cancel one."
        },
    )


def because(status: int, message: str) -> MarathonRefusal:
    """Any other refusal that is one sentence."""
    return MarathonRefusal(status, {"message": message})


def made_elsewhere(path: str, app_id: str, *, by_ecs: bool) -> MarathonRefusal:
    """409 for a change of what was made otherwise, naming what changes it."""
    stack = app_id.rpartition("/")[0]
    how = (
        "the AWS face it was made with"
        if by_ecs
        else f"its manifest and `portway deploy -a {stack}`"
    )
    return because(
        409, f"App '{path}' is {app_id} of portway, not made over this API. Change it with {how}."
    )
