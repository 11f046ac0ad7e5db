"""/v2/groups: apps and pods by path, shown as a tree and changed together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from portway.api.marathon.answers import answer
from portway.api.marathon.apps import apps_of_group
from portway.api.marathon.call import Call
from portway.api.marathon.deploying import deployed
from portway.api.marathon.group_changes import (
    GroupUpdate,
    as_group,
    changes_of,
    refuse_foreign,
    refuse_taken,
)
from portway.api.marathon.infos import embeds_of
from portway.api.marathon.trees import Tree, tree_of
from portway.controller.marathon.catalogue import APP, ROOT, Catalogue, Deployment, Group
from portway.controller.marathon.refusals import no_such
from portway.controller.marathon.shown import shown_steps
from portway.controller.marathon.updates import Wanted
from portway.manifests.marathon.groups import Around, accept_group, version_of_group
from portway.manifests.marathon.paths import is_in
from portway.manifests.marathon.refusal import Violation, invalid, unreadable

_PARTS = ("group.groups", "group.apps", "group.pods")


async def show_group(call: Call) -> Response:
    """GET /v2/groups[/{id}]"""
    path = call.path()
    _refuse_unknown(call, path)
    return answer(_shown(call, path))


def _refuse_unknown(call: Call, path: str) -> None:
    marathon = call.marathon
    if not marathon.catalogue.has_group(path) and not any(
        is_in(entry.path, path) for entry in marathon.foreign
    ):
        raise no_such("Group", path)


def _shown(call: Call, path: str) -> dict[str, Any]:
    given = call.query.getlist("embed")
    parts = [
        one for one in _PARTS if any(word == one or word.startswith(f"{one}.") for word in given)
    ]
    embeds = embeds_of(word for word in given if word.startswith("group.apps."))
    catalogue, infos = call.marathon.catalogue, call.shared.infos
    entries = {**{e.path: e for e in call.marathon.foreign}, **catalogue.entries}
    tree = Tree(
        entries=entries,
        groups=catalogue.groups,
        versions=catalogue.group_versions,
        version=catalogue.version,
        parts=frozenset(parts or _PARTS),
        shown=lambda entry: infos.part(entry, embeds if entry.kind == APP else frozenset()),
    )
    return tree_of(tree, path)


async def list_apps_of_group(call: Call) -> Response:
    """GET /v2/groups/{id}/apps"""

    embeds = embeds_of(call.query.getlist("embed"))
    found = apps_of_group(call, call.path())
    return answer([call.shared.infos.part(entry, embeds) for entry in found])


async def list_group_versions(call: Call) -> Response:
    """GET /v2/groups[/{id}]/versions"""
    path, catalogue = call.path(), call.marathon.catalogue
    _refuse_unknown(call, path)
    return answer(
        [
            version
            for version in catalogue.versions_of_root()
            if _was_there(catalogue, path, version)
        ]
    )


def _was_there(catalogue: Catalogue, path: str, version: str) -> bool:
    then = catalogue.undone_to(version)
    if then is None or path == ROOT:
        return then is not None
    return any(is_in(other, path) for other in then[0]) or path in then[1]


async def show_group_version(call: Call) -> Response:
    """GET /v2/groups[/{id}]/versions/{version}"""
    path, version = call.path(), call.parts["version"]
    entries, groups = _then(call.marathon.catalogue, path, version)
    tree = Tree(
        entries=entries,
        groups=groups,
        versions={},
        version=version,
        parts=frozenset(_PARTS),
        shown=lambda entry: entry.definition,
    )
    return answer(tree_of(tree, path))


def _then(
    catalogue: Catalogue, path: str, version: str
) -> tuple[Mapping[str, Any], Mapping[str, Group]]:
    then = catalogue.undone_to(version)
    if then is None or not _was_there(catalogue, path, version):
        raise no_such("Group", path, version=version)
    return then


async def create_group(call: Call) -> Response:
    """POST /v2/groups[/{id}]"""
    base, raw = call.path(), call.object()

    def change(catalogue: Catalogue) -> Wanted:
        group = accept_group(raw, _around(call, catalogue), base=base)
        refuse_taken(catalogue, group["id"])
        return _replacing(call, catalogue, group)

    deployment = await call.marathon.update(change, force=call.flag("force"))
    location = accept_group(raw, _around(call, call.marathon.catalogue), base=base)["id"]
    return deployed(deployment, status=201, headers={"Location": location})


async def put_group(call: Call) -> Response:
    """PUT /v2/groups[/{id}]"""
    path, raw = call.path(), call.object()

    def change(catalogue: Catalogue) -> Wanted:
        return _put(call, catalogue, path, raw)

    if call.flag("dryRun"):
        return _planned(call, change)
    return deployed(await call.marathon.update(change, force=call.flag("force")))


def _planned(call: Call, change: Callable[[Catalogue], Wanted]) -> Response:
    deployment: Deployment = call.marathon.plan(change)
    return answer({"steps": shown_steps(deployment)})


def _put(call: Call, catalogue: Catalogue, path: str, raw: dict[str, Any]) -> Wanted:
    back = version_of_group(raw)
    if back is not None:
        return _back_to(call, catalogue, path, back)
    group = accept_group(raw, _around(call, catalogue), path=path)
    if group.get("scaleBy") is not None:
        return _scaled(call, catalogue, path, float(group["scaleBy"]))
    return _replacing(call, catalogue, group)


def _replacing(call: Call, catalogue: Catalogue, group: Mapping[str, Any]) -> Wanted:
    refuse_foreign(call, group)
    update: GroupUpdate = changes_of(catalogue, group)
    return Wanted(
        apps=update.apps,
        pods=update.pods,
        groups=update.groups,
        within_policy=call.within_policy,
    )


def _around(call: Call, catalogue: Catalogue) -> Around:
    def existing(path: str) -> Mapping[str, Any] | None:
        entry = catalogue.entries.get(path)
        return entry.definition if entry is not None else None

    return Around(
        settings=call.marathon.settings.definitions,
        enforcing=frozenset(p for p, group in catalogue.groups.items() if group.enforce_role),
        existing=existing,
    )


def _scaled(call: Call, catalogue: Catalogue, path: str, factor: float) -> Wanted:
    if not catalogue.has_group(path):
        raise no_such("Group", path)
    apps = {
        entry.path: {**entry.definition, "instances": max(0, math.ceil(entry.count * factor))}
        for entry in catalogue.entries_below(path)
        if entry.kind == APP
    }
    return Wanted(apps=apps, within_policy=call.within_policy)


def _back_to(call: Call, catalogue: Catalogue, path: str, version: str) -> Wanted:
    entries, groups = _then(catalogue, path, version)
    wanted: dict[str, dict[str, Any]] = {"app": {}, "pod": {}}
    for entry in catalogue.entries_below(path):
        wanted[entry.kind][entry.path] = None
    for other, entry in entries.items():
        if is_in(other, path):
            wanted[entry.kind][other] = entry.definition
    said = {p for p in (*groups, *catalogue.groups) if p == path or is_in(p, path)}
    return Wanted(
        apps=wanted["app"],
        pods=wanted["pod"],
        groups={p: groups.get(p) for p in said},
        within_policy=call.within_policy,
    )


async def patch_group(call: Call) -> Response:
    """PATCH /v2/groups/{id}"""
    path, raw = call.path(), call.object()
    enforce = raw.get("enforceRole")
    if path.count("/") != 1 or path == ROOT:
        told = "enforceRole can only be set for top-level groups"
        raise invalid([Violation(where=(), error=told)])
    if not isinstance(enforce, bool):
        raise unreadable([Violation(where=("enforceRole",), error="error.expected.jsboolean")])

    def change(catalogue: Catalogue) -> Wanted:
        if not catalogue.has_group(path):
            raise no_such("Group", path)
        return Wanted(groups={path: as_group(catalogue, path, enforce_role=enforce)})

    return deployed(await call.marathon.update(change))


async def delete_group(call: Call) -> Response:
    """DELETE /v2/groups[/{id}]"""
    path = call.path()

    def change(catalogue: Catalogue) -> Wanted:
        if not catalogue.has_group(path):
            raise no_such("Group", path)
        wanted: dict[str, dict[str, None]] = {"app": {}, "pod": {}}
        for entry in catalogue.entries_below(path):
            wanted[entry.kind][entry.path] = None
        groups = [p for p in catalogue.groups if p == path or is_in(p, path)]
        gone: Sequence[str] = [*groups, *_group_paths(catalogue, path)]
        return Wanted(apps=wanted["app"], pods=wanted["pod"], groups=dict.fromkeys(gone))

    return deployed(await call.marathon.update(change, force=call.flag("force")))


def _group_paths(catalogue: Catalogue, path: str) -> list[str]:
    return [p for p in catalogue.group_paths() if p == path or is_in(p, path)]
