"""A group as it was sent -> what changes: what is given replaces, what is left out stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from portway.api.marathon.call import Call
from portway.api.marathon.deploying import known_app
from portway.controller.marathon.catalogue import APP, ROOT, Catalogue, Group
from portway.controller.marathon.refusals import because
from portway.manifests.marathon.paths import is_in, parent_of


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupUpdate:
    """Definitions and groups by path; None = it goes."""

    apps: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    pods: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    groups: dict[str, Group | None] = field(default_factory=dict)


def changes_of(catalogue: Catalogue, group: Mapping[str, Any]) -> GroupUpdate:
    """What a group means: its `apps` are all that it has directly, its `groups` all that are in it, where it says them."""
    update = GroupUpdate()
    _collect(catalogue, group, update)
    return update


def _collect(catalogue: Catalogue, group: Mapping[str, Any], update: GroupUpdate) -> None:
    path = str(group["id"])
    update.groups[path] = as_group(
        catalogue,
        path,
        dependencies=group.get("dependencies"),
        enforce_role=group.get("enforceRole"),
    )
    if "apps" in group:
        for entry in catalogue.entries_below(path):
            if entry.kind == APP and parent_of(entry.path) == path:
                update.apps[entry.path] = None
        update.apps.update({app["id"]: app for app in group["apps"]})
    if "groups" in group:
        named = [str(one["id"]) for one in group["groups"]]
        for entry in catalogue.entries_below(path):
            inside = parent_of(entry.path) != path
            if inside and not any(is_in(entry.path, name) for name in named):
                (update.apps if entry.kind == APP else update.pods)[entry.path] = None
        for other in [*catalogue.groups]:
            kept = any(other == name or is_in(other, name) for name in named)
            if is_in(other, path) and other != path and not kept:
                update.groups[other] = None
        for one in group["groups"]:
            _collect(catalogue, one, update)


def as_group(
    catalogue: Catalogue,
    path: str,
    *,
    dependencies: list[str] | None = None,
    enforce_role: bool | None = None,
) -> Group:
    """What is said of a group, with what is new of it."""
    known = catalogue.groups.get(path) or Group(path=path)
    if dependencies is not None:
        known = replace(known, dependencies=tuple(dependencies))
    return known if enforce_role is None else replace(known, enforce_role=enforce_role)


def refuse_taken(catalogue: Catalogue, path: str) -> None:
    """409 for a group that is there, or an app that is called so."""
    if path in catalogue.entries:
        raise because(409, f"An app with the path {path} already exists.")
    empty_root = path == ROOT and not catalogue.entries and not catalogue.group_paths()
    if catalogue.has_group(path) and not empty_root:
        raise because(409, f"Group {path} is already created. Use PUT to change this group.")


def refuse_foreign(call: Call, group: Mapping[str, Any]) -> None:
    """409 for an app that something else made."""
    for app in _apps_in(group):
        known_app(call, call.marathon.catalogue, str(app["id"]))


def _apps_in(group: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from group.get("apps", ())
    for one in group.get("groups", ()):
        yield from _apps_in(one)
