"""What somebody sends -> the definition that is kept, or Marathon's refusal. The steps and their order are Marathon's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portway.manifests.marathon.app_shape import APP, APP_UPDATE
from portway.manifests.marathon.canonical import canonical_faults
from portway.manifests.marathon.deprecated import deprecated_faults
from portway.manifests.marathon.emit import emit_app, emit_pod
from portway.manifests.marathon.model import model_faults, role_faults
from portway.manifests.marathon.normalise import (
    completed,
    merge_update,
    normal_update,
    without_deprecated,
)
from portway.manifests.marathon.paths import canonical
from portway.manifests.marathon.pod_rules import normal_pod, pod_faults
from portway.manifests.marathon.pod_shape import POD
from portway.manifests.marathon.refusal import Violation, Where, refuse_if, unreadable
from portway.manifests.marathon.settings import Settings, roles_of
from portway.manifests.marathon.shape import Findings, Record
from portway.manifests.marathon.unsupported import unsupported_app, unsupported_pod

Body = Mapping[str, Any]
Definition = dict[str, Any]

ONLY_VERSION = "The 'version' field may only be combined with the 'id' field."


def accept_app(
    raw: Any,
    settings: Settings,
    *,
    base: str = "/",
    path: str | None = None,
    existing: Body | None = None,
    enforces_role: bool = False,
) -> Definition:
    """The canonical definition of an app as it was sent; MarathonRefusal with every violation of the first step that has any.

    `path`: the id it has whatever it says; otherwise its own, relative to `base`. `existing`: the definition it replaces.
    `enforces_role`: its top-level group has one role for all. Its version is not part of it.
    """
    app = as_marathon(
        raw, settings, base=base, path=path, existing=existing, enforces_role=enforces_role
    )
    refuse_if(unsupported_app(app))
    return app  # fmt: skip


def as_marathon(
    raw: Any,
    settings: Settings,
    *,
    base: str = "/",
    path: str | None = None,
    existing: Body | None = None,
    enforces_role: bool = False,
) -> Definition:
    """The same, whether or not all of it means something here."""
    app = _read_app(with_id(raw, path), existing or {})
    refuse_if(deprecated_faults(app))
    app = without_deprecated(app, settings)
    app["id"] = canonical(app["id"], base)
    if app["dependencies"]:
        app["dependencies"] = [canonical(each, base) for each in app["dependencies"]]
    role = (existing or {}).get("role")
    roles = roles_of(app["id"], settings, enforces=enforces_role, existing=role)
    app.setdefault("role", roles.default)
    refuse_if(canonical_faults(app, settings))
    app = completed(app, settings)
    refuse_if(model_faults(app, settings, roles))
    return emit_app(app)  # fmt: skip


def accept_update(
    raw: Any, stored: Body, settings: Settings, *, enforces_role: bool = False
) -> Definition:
    """The definition that a partial update makes of a stored one. One with a `version` is a rollback: see `version_of`."""
    update = read(APP_UPDATE, raw)
    refuse_if(deprecated_faults(update))
    if "version" in update and set(update) - {"version", "versionInfo", "id"}:
        refuse_if([Violation(where=(), error=ONLY_VERSION)])
    merged = merge_update(stored, normal_update(update, settings))
    return accept_app(merged, settings, path=stored["id"], existing=stored, enforces_role=enforces_role)  # fmt: skip


def version_of(raw: Any) -> str | None:
    """The version that an update goes back to, when it says that and at most an id; None otherwise."""
    said = {key for key, value in raw.items() if value is not None} if isinstance(raw, dict) else set()  # fmt: skip
    if "version" not in said or said - {"version", "id"}:
        return None
    return read(APP_UPDATE, raw)["version"]


def id_of_update(raw: Any) -> str | None:
    """The absolute id in an update of one among several; None when it has none."""
    found = read(APP_UPDATE, raw).get("id")
    return None if found is None else canonical(found)


def accept_pod(
    raw: Any,
    settings: Settings,
    *,
    base: str = "/",
    path: str | None = None,
    existing: Body | None = None,
    enforces_role: bool = False,
) -> Definition:
    """The canonical definition of a pod as it was sent; see `accept_app`."""
    pod = read(POD, with_id(raw, path))
    pod["id"] = canonical(pod["id"], base)
    role = (existing or {}).get("role")
    roles = roles_of(pod["id"], settings, enforces=enforces_role, existing=role)
    pod.setdefault("role", roles.default)
    refuse_if(pod_faults(pod, settings))
    pod = normal_pod(pod, settings)
    accepted = pod["scheduling"]["placement"]["acceptedResourceRoles"] or None
    refuse_if([*pod_faults(pod, settings), *role_faults(pod["role"], accepted, roles)])
    pod = emit_pod(pod)
    refuse_if(unsupported_pod(pod))
    return pod  # fmt: skip


def read(kind: Record, raw: Any) -> Definition:
    """The value with its types, ranges and defaults; MarathonRefusal when it has others."""
    found = Findings()
    value = kind.read(raw, (), found)
    if found.violations:
        raise unreadable(found.violations)
    return value


def _read_app(raw: Any, existing: Body) -> Definition:
    """An app; a network it is in already keeps its name, which `ipAddress` takes in capitals too."""
    found = Findings()
    app = APP.read(raw, (), found)
    known = {network.get("name") for network in existing.get("networks") or ()}
    told = [each for each in found.violations if _value_at(raw, each.where) not in known]
    if told:
        raise unreadable(told)
    return app


def _value_at(raw: Any, where: Where) -> str:
    """The name of a network that is at a place; "" where something else is."""
    if where[:1] != ("networks",) and "networkNames" not in where:
        return ""
    inner: Any = raw
    for part in where:
        inner = inner[part]
    return inner if isinstance(inner, str) else ""


def with_id(raw: Any, path: str | None) -> Any:
    """The same with the id that its address gives it."""
    return raw if path is None or not isinstance(raw, dict) else {**raw, "id": path}
