"""What changes between two versions of an app or pod, and what its version info says afterwards. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# What is no part of the configuration: when it was written, and what is only shown.
_SHOWN = frozenset(
    (
        "version", "versionInfo", "tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy",
        "deployments", "tasks", "lastTaskFailure", "readinessCheckResults", "taskStats", "tasksStats",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """An app or pod as a deployment plan looks at it. `spec` is all of its configuration but the count."""

    path: str
    instances: int
    is_pod: bool = False
    spec: Mapping[str, Any]
    dependencies: Collection[str] = ()


def app_spec(definition: Mapping[str, Any]) -> RunSpec:
    """An app's canonical definition as a RunSpec."""
    kept = _SHOWN | {"instances"}
    return RunSpec(
        path=definition["id"],
        instances=definition.get("instances", 1),
        spec={key: value for key, value in definition.items() if key not in kept},
        dependencies=tuple(definition.get("dependencies") or ()),
    )


def pod_spec(definition: Mapping[str, Any]) -> RunSpec:
    """A pod's canonical definition as a RunSpec."""
    kept = _SHOWN | {"scaling"}
    return RunSpec(
        path=definition["id"],
        instances=(definition.get("scaling") or {}).get("instances", 1),
        is_pod=True,
        spec={key: value for key, value in definition.items() if key not in kept},
        dependencies=tuple(definition.get("dependencies") or ()),
    )


class Change(StrEnum):
    """In what a new version differs from the one before."""

    NEW = "new"
    NOTHING = "nothing"
    SCALING = "scaling"
    CONFIGURATION = "configuration"


def change_of(before: RunSpec | None, after: RunSpec) -> Change:
    """Whether only the number of instances differs, or anything else."""
    if before is None:
        return Change.NEW
    if before.is_pod is not after.is_pod or before.spec != after.spec:
        return Change.CONFIGURATION
    return Change.NOTHING if before.instances == after.instances else Change.SCALING


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInfo:
    """When an app was last changed, and in what; times as Marathon writes them."""

    version: str
    last_scaling_at: str
    last_config_change_at: str


def version_info(
    before: VersionInfo | None, change: Change, version: str, *, is_restart: bool = False
) -> VersionInfo:
    """The version info after a change at the time `version`.

    Scaling moves the version and the last scaling; a restart the version and the last change; a change all three.
    """
    is_whole = before is None or change in (Change.NEW, Change.CONFIGURATION)
    if is_whole:
        return VersionInfo(version=version, last_scaling_at=version, last_config_change_at=version)
    assert before is not None
    if is_restart:
        return VersionInfo(
            version=version,
            last_scaling_at=before.last_scaling_at,
            last_config_change_at=version,
        )
    if change is Change.SCALING:
        return VersionInfo(
            version=version,
            last_scaling_at=version,
            last_config_change_at=before.last_config_change_at,
        )
    return before
