"""Catalogue: the definitions of apps and pods by path, groups, and the deployments that changed them, in memory.

Everything in it is also a document (documents.py). It decides nothing; whoever changes it saves first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from portway.controller.marathon.serving import service_ports_of
from portway.core.marathon.changes import RunSpec, app_spec, pod_spec
from portway.manifests.marathon.paths import ancestors_of, is_in

APP = "app"
POD = "pod"
ROOT = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One app or pod as it should be. `definition` is canonical and plain JSON, its service ports assigned.

    `app_id` is the App it becomes. `config_version` is when what its instances can tell was last changed or restarted,
    `scaled_version` when its count was; `versions` are its earlier ones that are kept, newest first.
    `within_policy`: whoever wrote it is bound by the policy.
    """

    path: str
    kind: str
    definition: Mapping[str, Any]
    app_id: str
    config_version: str = ""
    scaled_version: str = ""
    versions: tuple[str, ...] = ()
    within_policy: bool = False
    is_foreign: bool = False  # made otherwise: shown, never stored, never changed

    @property
    def version(self) -> str:
        """The version of the definition."""
        return str(self.definition["version"])

    @property
    def spec(self) -> RunSpec:
        """The definition as a deployment plan looks at it."""
        return app_spec(self.definition) if self.kind == APP else pod_spec(self.definition)

    @property
    def count(self) -> int:
        """How many instances it should have."""
        of = self.definition if self.kind == APP else self.definition.get("scaling") or {}
        return int(of.get("instances", 1))

    def saying(self, definition: Mapping[str, Any]) -> Entry:
        """It with another definition."""
        return replace(self, definition=definition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is said of a group itself; the group of that path exists as long as it is said."""

    path: str
    dependencies: tuple[str, ...] = ()
    enforce_role: bool | None = None
    version: str = ""


class Status(StrEnum):
    """A deployment runs until it ends in exactly one of the other ways."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryChange:
    """What an update does to one path: the entry before and after, None where there is none."""

    path: str
    kind: str
    before: Entry | None
    after: Entry | None
    victims: tuple[str, ...] = ()  # instances that go while it is scaled


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange:
    """What an update says of a group, and what was said before; None where nothing is."""

    path: str
    before: Group | None
    after: Group | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing a step does: Marathon's name of it, and to what."""

    action: str
    path: str
    kind: str = APP

    @property
    def shown(self) -> dict[str, Any]:
        """As Marathon writes it."""
        return {"action": self.action, self.kind: self.path}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """An update and how far it is: `step` counts the steps that are done. Its changes can be undone by hand of it."""

    id: str
    version: str
    started_at_ms: int
    changes: tuple[EntryChange, ...] = ()
    groups: tuple[GroupChange, ...] = ()
    steps: tuple[tuple[Action, ...], ...] = ()
    step: int = 0
    status: Status = Status.RUNNING
    reason: str = ""

    @property
    def affected(self) -> frozenset[str]:
        """The paths of the apps and pods its steps are about."""
        return frozenset(action.path for step in self.steps for action in step)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailure:
    """The last task of an app that failed, as `lastTaskFailure` shows it."""

    path: str
    instance_id: str
    at_ms: int
    shown: Mapping[str, Any]


@dataclass(slots=True)
class Catalogue:
    """Everything by path, with what is asked often kept ready."""

    entries: dict[str, Entry] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)  # those that run
    history: list[Deployment] = field(default_factory=list)  # those that have ended, oldest first
    failures: dict[str, TaskFailure] = field(default_factory=dict)
    by_app_id: dict[str, str] = field(default_factory=dict)  # App id -> path
    locked: dict[str, set[str]] = field(default_factory=dict)  # path -> running deployments
    specs: dict[str, RunSpec] = field(default_factory=dict)
    service_ports: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of each app, in order
    used_ports: Counter[int] = field(default_factory=Counter)  # by how many
    below: Counter[str] = field(default_factory=Counter)  # how many entries are below a group
    group_versions: dict[str, str] = field(default_factory=dict)  # when anything below changed last
    version: str = ""  # of the root group

    def put(self, entry: Entry) -> None:
        """Know an app or pod."""
        if entry.path not in self.entries:
            self.below.update(ancestors_of(entry.path))
        self.entries[entry.path] = entry
        self.by_app_id[entry.app_id] = entry.path
        self.specs[entry.path] = entry.spec
        self._note_ports(entry.path, service_ports_of(entry.definition))
        self.note_version(entry.path, entry.version)

    def remove(self, path: str) -> None:
        """Forget an app or pod."""
        entry = self.entries.pop(path, None)
        if entry is None:
            return
        self.by_app_id.pop(entry.app_id, None)
        self.specs.pop(path, None)
        self.failures.pop(path, None)
        self._note_ports(path, ())
        self.below.subtract(ancestors_of(path))
        for group in ancestors_of(path):
            if self.below[group] <= 0:
                del self.below[group]

    def _note_ports(self, path: str, numbers: tuple[int, ...]) -> None:
        for number in self.service_ports.pop(path, ()):
            self.used_ports[number] -= 1
            if not self.used_ports[number]:
                del self.used_ports[number]
        if numbers:
            self.service_ports[path] = numbers
            self.used_ports.update(numbers)

    def put_group(self, group: Group) -> None:
        """Know what is said of a group."""
        self.groups[group.path] = group
        self.note_version(group.path, group.version)
        if group.path != ROOT:
            self.group_versions[group.path] = max(
                group.version, self.group_versions.get(group.path, "")
            )

    def note_version(self, path: str, version: str) -> None:
        """Something at or below this path changed."""
        self.version = max(self.version, version)
        for group in ancestors_of(path):
            self.group_versions[group] = max(version, self.group_versions.get(group, ""))

    def start(self, deployment: Deployment) -> None:
        """A deployment runs."""
        self.deployments[deployment.id] = deployment
        self.version = max(self.version, deployment.version)
        for path in deployment.affected:
            self.locked.setdefault(path, set()).add(deployment.id)

    def end(self, deployment: Deployment, *, kept_max: int) -> Deployment | None:
        """It runs no more; the ended one that is no longer kept, if any."""
        known = self.deployments.pop(deployment.id, deployment)
        for path in known.affected:
            ids = self.locked.get(path, set())
            ids.discard(deployment.id)
            if not ids:
                self.locked.pop(path, None)
        self.history.append(deployment)
        self.history.sort(key=lambda d: d.version)
        return self.history.pop(0) if len(self.history) > kept_max else None

    def has_group(self, path: str) -> bool:
        """Whether there is a group of that path."""
        return (
            path == ROOT
            or path in self.below
            or path in self.groups
            or any(is_in(other, path) for other in self.groups)
        )

    def entries_below(self, group: str) -> Iterator[Entry]:
        """The apps and pods of a group and of its groups, by path."""
        if group == ROOT:
            for path in sorted(self.entries):
                yield self.entries[path]
            return
        for path in sorted(p for p in self.entries if is_in(p, group)):
            yield self.entries[path]

    def group_paths(self) -> set[str]:
        """Every group there is but the root."""
        found = set(self.below) | set(self.groups)
        for path in self.groups:
            found.update(ancestors_of(path))
        return found - {ROOT}

    def versions_of_root(self) -> list[str]:
        """The versions the root group has had and that can be gone back to, newest first."""
        known = {d.version for d in (*self.history, *self.deployments.values())}
        return sorted(known, reverse=True)

    def undone_to(self, version: str) -> tuple[dict[str, Entry], dict[str, Group]] | None:
        """The entries and groups as they were at a version of the root group; None for one nobody knows."""
        if version not in self.versions_of_root():
            return None
        entries, groups = dict(self.entries), dict(self.groups)
        everything = (*self.history, *self.deployments.values())
        for deployment in sorted(everything, key=lambda d: d.version, reverse=True):
            if deployment.version <= version:
                break
            _undo(deployment, entries, groups)
        return entries, groups


def _undo(deployment: Deployment, entries: dict[str, Entry], groups: dict[str, Group]) -> None:
    for change in deployment.changes:
        entries.pop(change.path, None)
        if change.before is not None:
            entries[change.path] = change.before
    for said in deployment.groups:
        groups.pop(said.path, None)
        if said.before is not None:
            groups[said.path] = said.before


def ancestors(path: str) -> tuple[str, ...]:
    """The groups a path is in, the root first."""
    parts = path.strip("/").split("/")[:-1]
    found = [ROOT] if path != ROOT else []
    for index in range(len(parts)):
        found.append("/" + "/".join(parts[: index + 1]))
    return tuple(found)


def parent_of(path: str) -> str:
    """The group a path is directly in."""
    return path.rpartition("/")[0] or ROOT


def is_below(path: str, group: str) -> bool:
    """Whether a path is inside a group, at any depth."""
    return path != ROOT if group == ROOT else path.startswith(group + "/")
