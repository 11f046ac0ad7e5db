"""Where the lines of an instance's containers go, for those with the log driver awslogs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portway.core.app import App
from portway.core.containers import first_name, members

LOG_LABEL = "portway.logs."  # on a container, before each option of awslogs


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A stream of a log group; `creates_group`: the group is made when it is not there."""

    group: str
    stream: str
    creates_group: bool = False


def has_logs(app: App) -> bool:
    """Whether any container writes to a log group."""
    return any(_is_ours(labels) for labels in (app.labels, *(c.labels for c in app.containers)))


def _is_ours(labels: Mapping[str, str]) -> bool:
    return f"{LOG_LABEL}awslogs-group" in labels


def destinations(app: App, task_id: str) -> dict[str, Destination]:
    """By container: its stream, <prefix>/<container>/<task id>. "" is the container of an instance that has only one."""
    found: dict[str, Destination] = {}
    for member in members(app):
        labels = member.app.labels
        if not _is_ours(labels):
            continue
        prefix = labels.get(f"{LOG_LABEL}awslogs-stream-prefix", "")
        made = Destination(
            group=labels[f"{LOG_LABEL}awslogs-group"],
            stream="/".join(part for part in (prefix, member.name, task_id) if part),
            creates_group=labels.get(f"{LOG_LABEL}awslogs-create-group", "").lower() == "true",
        )
        found[member.name] = made
        if member.name == first_name(app) and not app.containers:
            found[""] = made
    return found
