"""Groups as the tree that Marathon shows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from portway.controller.marathon.catalogue import APP, ROOT, Entry, Group
from portway.manifests.marathon.paths import ancestors_of, is_in, parent_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What the tree is made of. `parts`: which of group.groups, group.apps and group.pods it shows; `shown` writes one entry."""

    entries: Mapping[str, Entry]
    groups: Mapping[str, Group]
    versions: Mapping[str, str]
    version: str
    parts: frozenset[str]
    shown: Callable[[Entry], Any]


def tree_of(tree: Tree, path: str) -> dict[str, Any]:
    """A group with what is in it, at every depth."""
    members: dict[str, list[Entry]] = {}
    inside: dict[str, set[str]] = {}
    for other in sorted(tree.entries):
        if is_in(other, path):
            members.setdefault(parent_of(other), []).append(tree.entries[other])
            _note(inside, parent_of(other))
    for other in tree.groups:
        if other != path and is_in(other, path):
            _note(inside, other)
    return _shown(tree, path, members, inside)


def _note(inside: dict[str, set[str]], group: str) -> None:
    """A group is in its parent, and that in its own."""
    here = group
    for parent in ancestors_of(group):
        inside.setdefault(parent, set()).add(here)
        here = parent


def _shown(
    tree: Tree, path: str, members: Mapping[str, list[Entry]], inside: Mapping[str, set[str]]
) -> dict[str, Any]:
    said = tree.groups.get(path) or Group(path=path)
    shown: dict[str, Any] = {"id": path}
    for part, kind in (("apps", True), ("pods", False)):
        if f"group.{part}" in tree.parts:
            there = [e for e in members.get(path, ()) if (e.kind == APP) is kind]
            shown[part] = [tree.shown(entry) for entry in there]
    if "group.groups" in tree.parts:
        below = sorted(inside.get(path, ()))
        shown["groups"] = [_shown(tree, one, members, inside) for one in below]
    shown["dependencies"] = list(said.dependencies)
    shown["version"] = tree.version if path == ROOT else tree.versions.get(path, tree.version)
    if said.enforce_role is not None:  # older clients know no such field
        shown["enforceRole"] = said.enforce_role
    return shown
