"""What an update asks for -> the deployment it is: service ports, versions, what changes, in which steps. Pure.

The rules of a definition were kept before (manifests/marathon); here are those between several of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from portway.controller.marathon.catalogue import (
    APP,
    POD,
    Action,
    Catalogue,
    Deployment,
    Entry,
    EntryChange,
    Group,
    GroupChange,
)
from portway.controller.marathon.documents import VERSIONS_KEPT
from portway.controller.marathon.refusals import because
from portway.controller.marathon.serving import service_ports_of, with_service_ports
from portway.controller.marathon.sharing import refuse_same_ports, refuse_turns
from portway.core.lease import PortRange
from portway.core.marathon.changes import Change, VersionInfo, change_of, version_info
from portway.core.marathon.names import app_id_of
from portway.core.marathon.plan import CycleError, deployment_plan
from portway.core.marathon.service_ports import Exhausted, assign_service_ports
from portway.manifests.marathon.paths import ancestors_of, is_in, parent_of
from portway.manifests.marathon.refusal import Violation, invalid

_CLASHES = {
    APP: "Groups and Applications may not have the same identifier.",
    POD: "Groups and Pods may not have the same identifier.",
}
_OWN_FIELDS = ("version", "versionInfo")  # what no user writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an update asks for: definitions and groups by path, None = it is to go; what is not named stays.

    `restart`: these are restarted also if nothing changes. `victims`: instances that are to go, by path.
    `within_policy`: the policy binds whoever asks; `policies` says so for single paths. `config_versions`: what runs already
    is of that version of the definition, so nothing is replaced.
    """

    apps: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    pods: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    groups: Mapping[str, Group | None] = field(default_factory=dict)
    restart: frozenset[str] = frozenset()
    victims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    within_policy: bool = False
    policies: Mapping[str, bool] = field(default_factory=dict)
    config_versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an update is made from besides what is wanted. `taken`: listeners that others than the catalogue's apps have."""

    catalogue: Catalogue
    service_ports: PortRange
    taken: Collection[int]
    deployment_id: str
    version: str
    now_ms: int


def make_deployment(around: Surroundings, wanted: Wanted) -> Deployment:
    """The deployment that brings what is wanted; without steps where nothing has to be done."""
    wanted = replace(wanted, apps=_with_ports(around, wanted.apps))
    changes = tuple(_changes(around, wanted))
    _refuse_clashes(around.catalogue, changes)
    refuse_same_ports(around.catalogue, changes)
    refuse_turns(changes)
    groups = tuple(_group_changes(around, wanted, changes))
    return Deployment(
        id=around.deployment_id,
        version=around.version,
        started_at_ms=around.now_ms,
        changes=changes,
        groups=groups,
        steps=_steps(around.catalogue, wanted, changes, groups),
    )


def _with_ports(
    around: Surroundings, apps: Mapping[str, Mapping[str, Any] | None]
) -> dict[str, Mapping[str, Any] | None]:
    """The definitions with a service port wherever one was to be assigned."""
    given = {path: app for path, app in apps.items() if app is not None}
    wanted = {path: service_ports_of(app) for path, app in given.items()}
    if not any(0 in numbers for numbers in wanted.values()):
        return dict(apps)
    known = around.catalogue.service_ports
    assigned = assign_service_ports(
        wanted,
        previous={path: known[path] for path in wanted if path in known},
        used={*around.catalogue.used_ports, *around.taken},
        within=around.service_ports,
    )
    if isinstance(assigned, Exhausted):
        raise because(500, assigned.message)
    return {
        path: with_service_ports(app, assigned[path]) if app is not None else None
        for path, app in apps.items()
    }


def _changes(around: Surroundings, wanted: Wanted) -> Iterator[EntryChange]:
    for kind, definitions in ((APP, wanted.apps), (POD, wanted.pods)):
        for path, definition in definitions.items():
            before = around.catalogue.entries.get(path)
            after = None
            if definition is not None:
                after = _next_entry(before, definition, path, kind, around.version, wanted)
            if after is not before:
                yield EntryChange(
                    path=path,
                    kind=kind,
                    before=before,
                    after=after,
                    victims=wanted.victims.get(path, ()),
                )


def _next_entry(
    before: Entry | None,
    definition: Mapping[str, Any],
    path: str,
    kind: str,
    version: str,
    wanted: Wanted,
) -> Entry:
    """The entry with this definition; the very same one where nothing differs and nothing is restarted."""
    said = {key: value for key, value in definition.items() if key not in _OWN_FIELDS}
    fresh = Entry(path=path, kind=kind, definition={**said, "version": version}, app_id="")
    change = change_of(before.spec if before is not None else None, fresh.spec)
    is_restart = path in wanted.restart
    kept = before.config_version if before is not None else ""
    runs = wanted.config_versions.get(path, kept)
    if before is not None and change is Change.NOTHING and not is_restart and runs == kept:
        return before
    info = version_info(_info_of(before), change, version, is_restart=is_restart)
    if path in wanted.config_versions:
        info = replace(info, last_config_change_at=runs)
    shown = {
        "lastScalingAt": info.last_scaling_at,
        "lastConfigChangeAt": info.last_config_change_at,
    }
    is_same = before is not None and change in (Change.NOTHING, Change.SCALING)
    return replace(
        fresh,
        definition={**fresh.definition, **({"versionInfo": shown} if kind == APP else {})},
        app_id=before.app_id if before is not None else app_id_of(path),
        config_version=info.last_config_change_at,
        scaled_version=info.last_scaling_at,
        versions=(before.version, *before.versions)[:VERSIONS_KEPT] if before else (),
        within_policy=before.within_policy
        if before is not None and is_same
        else wanted.policies.get(path, wanted.within_policy),
    )


def _info_of(entry: Entry | None) -> VersionInfo | None:
    if entry is None:
        return None
    return VersionInfo(
        version=entry.version,
        last_scaling_at=entry.scaled_version,
        last_config_change_at=entry.config_version,
    )


def _group_changes(
    around: Surroundings, wanted: Wanted, changes: tuple[EntryChange, ...]
) -> Iterator[GroupChange]:
    known, said = around.catalogue.groups, dict(wanted.groups)
    for change in changes:
        parent = parent_of(change.path)
        # A group stays when its last app goes, until somebody removes it.
        if change.after is None and parent != "/" and parent not in known:
            said.setdefault(parent, Group(path=parent))
    for path, group in said.items():
        before = known.get(path)
        after = replace(group, version=around.version) if group is not None else None
        is_same = before and after and replace(after, version=before.version) == before
        if not is_same and (before is not None or after is not None):
            yield GroupChange(path=path, before=before, after=after)


def _refuse_clashes(catalogue: Catalogue, changes: tuple[EntryChange, ...]) -> None:
    """One path is one thing: an app, a pod or a group."""
    entries = {change.path: change.after for change in changes}

    def kind_at(path: str) -> str:
        entry = entries.get(path, catalogue.entries.get(path))
        return entry.kind if entry is not None else ""

    faults: set[str] = set()
    for change in changes:
        if change.after is None or change.before is not None:
            continue
        # It would be inside what is an app or pod, or be what others are inside of.
        holders = {kind_at(path) for path in ancestors_of(change.path)}
        is_group = catalogue.has_group(change.path) or any(
            is_in(other, change.path) for other, entry in entries.items() if entry is not None
        )
        faults |= {_CLASHES[kind] for kind in holders if kind}
        if is_group:
            faults.add(_CLASHES[change.kind])
    if faults:
        raise invalid([Violation(where=(), error=error) for error in sorted(faults)])


def _steps(
    catalogue: Catalogue,
    wanted: Wanted,
    changes: tuple[EntryChange, ...],
    groups: tuple[GroupChange, ...],
) -> tuple[tuple[Action, ...], ...]:
    before = catalogue.specs
    after = dict(before)
    for change in changes:
        after.pop(change.path, None)
        if change.after is not None:
            after[change.path] = change.after.spec
    dependencies = {path: group.dependencies for path, group in catalogue.groups.items()}
    dependencies |= {said.path: said.after.dependencies if said.after else () for said in groups}
    try:
        plan = deployment_plan(
            before, after, restarted=wanted.restart, group_dependencies=dependencies
        )
    except CycleError as error:
        raise invalid([Violation(where=(), error=str(error))]) from None
    return tuple(
        tuple(
            Action(action=one.name, path=one.path, kind=POD if one.is_pod else APP) for one in step
        )
        for step in plan
    )


def with_count(entry: Entry, count: int) -> dict[str, Mapping[str, Any] | None]:
    """Its definition with another number of instances, by its path."""
    if entry.kind == APP:
        return {entry.path: {**entry.definition, "instances": count}}
    scaling = {**(entry.definition.get("scaling") or {}), "instances": count}
    return {entry.path: {**entry.definition, "scaling": scaling}}


def reverted(catalogue: Catalogue, deployment: Deployment) -> Wanted:
    """What puts back what a deployment changed: old definitions, nothing that it added; later changes are kept."""
    back: dict[str, dict[str, Mapping[str, Any] | None]] = {APP: {}, POD: {}}
    restart: set[str] = set()
    for change in deployment.changes:
        known = catalogue.entries.get(change.path)
        back[change.kind][change.path] = change.before.definition if change.before else None
        if known and change.before and known.config_version != change.before.config_version:
            restart.add(change.path)
    gone = {path for one in back.values() for path, value in one.items() if value is None}
    return Wanted(
        apps=back[APP],
        pods=back[POD],
        groups={
            said.path: said.before
            for said in deployment.groups
            if said.before is not None or not _holds_others(catalogue, said.path, gone)
        },
        restart=frozenset(restart),
        policies={c.path: c.before.within_policy for c in deployment.changes if c.before},
    )


def _holds_others(catalogue: Catalogue, group: str, gone: Collection[str]) -> bool:
    return any(entry.path not in gone for entry in catalogue.entries_below(group))
