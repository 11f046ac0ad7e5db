"""What an App made over the Marathon face carries along, as labels: which definition it comes from, and what no field says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from portway.core.app import App
from portway.core.state import AppState

PREFIX = "portway.marathon."


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The definition of an App. `path` is its id; `version` when it last changed in more than its count, as Marathon writes it.

    `docker`: its container is of the type DOCKER. `own_labels`: those of a pod's first container (of the others they are
    the container's own). `disk_mib`, `cpus`, `memory_mib`: what was asked for, by container of a pod, "" for an app, where
    the App's own resources do not say it. `names`: by port of the App, the name it was given, "" for none; only where the
    port is called otherwise here.
    """

    path: str
    version: str = ""
    role: str = "*"
    docker: bool = False
    enforces_role: bool = False
    own_labels: Mapping[str, str] = field(default_factory=dict)
    disk_mib: Mapping[str, float] = field(default_factory=dict)
    cpus: Mapping[str, float] = field(default_factory=dict)
    memory_mib: Mapping[str, float] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def labels_of(origin: Origin) -> dict[str, str]:
    """The labels that say so; what is as it is by default is left out."""
    said = {
        "id": origin.path,
        "version": origin.version,
        "role": "" if origin.role == "*" else origin.role,
        "docker": "true" if origin.docker else "",
        "enforces-role": "true" if origin.enforces_role else "",
        "own-labels": _written(origin.own_labels),
        "disk": _written(origin.disk_mib),
        "cpus": _written(origin.cpus),
        "memory": _written(origin.memory_mib),
        "names": _written(origin.names),
    }
    return {PREFIX + name: value for name, value in said.items() if value}


def origin_of(app: App) -> Origin | None:
    """What its labels say; None for an App that was not made over the Marathon face."""
    told = {key.removeprefix(PREFIX): v for key, v in app.labels.items() if key.startswith(PREFIX)}
    if not told.get("id"):
        return None
    return Origin(
        path=told["id"],
        version=told.get("version", ""),
        role=told.get("role", "*"),
        docker=told.get("docker") == "true",
        enforces_role=told.get("enforces-role") == "true",
        own_labels=_read(told.get("own-labels", "")),
        disk_mib=_read(told.get("disk", "")),
        cpus=_read(told.get("cpus", "")),
        memory_mib=_read(told.get("memory", "")),
        names=_read(told.get("names", "")),
    )


def origin_of_state(state: AppState) -> Origin | None:
    """Likewise for an App that may be on its way out: then what it ran last says it."""
    revisions = (
        *((state.target,) if state.target else ()),
        *reversed(tuple(state.revisions.values())),
    )
    return next((found for r in revisions if (found := origin_of(r.app)) is not None), None)


def users_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels as the user wrote them."""
    return {key: value for key, value in labels.items() if not key.startswith(PREFIX)}


def _written(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), sort_keys=True, separators=(",", ":")) if value else ""


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError:  # somebody else wrote it
        return {}
    return found if isinstance(found, dict) else {}
