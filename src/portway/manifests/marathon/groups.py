"""Groups: what is sent -> definitions with absolute ids; and the rules that hold between everything there is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portway.manifests.marathon.accept import accept_app, accept_pod, read, with_id
from portway.manifests.marathon.group_shape import GROUP
from portway.manifests.marathon.paths import ancestors_of, canonical, is_in, path_faults, segments
from portway.manifests.marathon.refusal import (
    UNREADABLE,
    MarathonRefusal,
    Violation,
    Where,
    invalid,
    refuse_if,
    unreadable,
)
from portway.manifests.marathon.settings import Settings

Body = Mapping[str, Any]

ALONE = "not allowed in conjunction with other properties."
DEPTH_MAX = 32
_SHOWN = ("id", "version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What of the groups there are decides how one is read. `enforcing`: the top-level groups that enforce their role.

    `existing`: the definition of an app or pod by its path, None where there is none. `pods`: whether a group may bring pods.
    """

    settings: Settings = field(default_factory=Settings)
    enforcing: Collection[str] = ()
    existing: Callable[[str], Body | None] = lambda _: None
    pods: bool = False


def accept_group(
    raw: Any, around: Around, *, base: str = "/", path: str | None = None
) -> dict[str, Any]:
    """The group as it was sent, ids absolute, apps and pods canonical; what it did not say is absent, for that stays as it is.

    `path`: the id it has whatever it says. One that says `scaleBy` or `version` says nothing else.
    """
    refusals = _Refusals()
    group = _Reader(around, refusals).group(with_id(raw, path), base, (), 0)
    refusals.raise_any()
    return group  # fmt: skip


class _Refusals:
    """What is wrong with any part of a group, told at once: first what cannot be read, then what breaks a rule."""

    def __init__(self) -> None:
        self._unreadable: list[Violation] = []
        self._invalid: list[Violation] = []

    def add(self, refusal: MarathonRefusal, where: Where) -> None:
        if not refusal.violations:
            raise refusal
        told = [Violation(where=(*where, *each.where), error=each.error) for each in refusal.violations]  # fmt: skip
        is_reading = refusal.body["message"] == UNREADABLE
        (self._unreadable if is_reading else self._invalid).extend(told)

    def raise_any(self) -> None:
        if self._unreadable:
            raise unreadable(self._unreadable)
        if self._invalid:
            raise invalid(self._invalid)


class _Reader:
    def __init__(self, around: Around, refusals: _Refusals) -> None:
        self._around = around
        self._refusals = refusals

    def group(self, raw: Any, base: str, where: Where, depth: int) -> dict[str, Any]:
        try:
            group = read(GROUP, raw)
            refuse_if(_group_faults(group, base, where, depth, pods=self._around.pods))
        except MarathonRefusal as refusal:
            self._refusals.add(refusal, where)
            return {}
        path = canonical(group.get("id", ""), base)
        found: dict[str, Any] = {**group, "id": path}
        if "dependencies" in group:
            found["dependencies"] = [canonical(each, path) for each in group["dependencies"]]
        for key in ("apps", "pods", "groups"):
            if key in group:
                found[key] = list(self._parts(key, group, path, where, depth))
        return found

    def _parts(
        self, key: str, group: Body, path: str, where: Where, depth: int
    ) -> Iterator[dict[str, Any]]:
        for nth, raw in enumerate(group[key]):
            here = (*where, key, nth)
            if key == "groups":
                yield self.group(raw, path, here, depth + 1)
                continue
            try:
                yield self._member(key, raw, path, group)
            except MarathonRefusal as refusal:
                self._refusals.add(refusal, here)

    def _member(self, key: str, raw: Any, path: str, group: Body) -> dict[str, Any]:
        around, accept = self._around, accept_app if key == "apps" else accept_pod
        given = raw.get("id") if isinstance(raw, dict) else None
        own = canonical(given, path) if isinstance(given, str) else path
        top = f"/{segments(own)[0]}" if segments(own) else "/"
        said = group.get("enforceRole") if path == top else None
        enforces = top in around.enforcing if said is None else bool(said)
        existing = around.existing(own)
        member = accept(raw, around.settings, base=path, existing=existing, enforces_role=enforces)
        if not is_in(member["id"], path):
            told = f"Identifier is not child of '{path}'"
            refuse_if([Violation(where=("id",), error=told)])
        return member


def _group_faults(
    group: Body, base: str, where: Where, depth: int, *, pods: bool
) -> Iterator[Violation]:
    said = [key for key in group if key not in _SHOWN]
    if "scaleBy" in group and said != ["scaleBy"]:
        yield Violation(where=("scaleBy",), error=ALONE)
    if "id" not in group and where:
        yield Violation(where=("id",), error="error.path.missing")
    if group.get("pods") and not pods:
        yield Violation(where=("pods",), error="must be empty: pods are changed at /v2/pods")
    if depth > DEPTH_MAX:
        yield Violation(where=(), error=f"Groups are nested more than {DEPTH_MAX} deep.")
    path = canonical(group.get("id", ""), base)
    if path != "/":
        for error in path_faults(path):
            yield Violation(where=("id",), error=error)
    if where and not is_in(path, base):
        yield Violation(where=("id",), error=f"Identifier is not child of '{base}'")
    for nth, dependency in enumerate(group.get("dependencies") or ()):
        for error in path_faults(canonical(dependency, path)):
            yield Violation(where=("dependencies", nth), error=error)


def version_of_group(raw: Any) -> str | None:
    """The version that a group is to go back to; None when it says none, or says it as GET shows it beside the rest."""
    group = read(GROUP, raw)
    said = {key for key in group if key not in _SHOWN}
    if "version" in group and "scaleBy" in said:
        refuse_if([Violation(where=("version",), error=ALONE)])
    return None if said else group.get("version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """All there is, by path: of apps and groups what each depends on."""

    apps: Mapping[str, Sequence[str]]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pods: Collection[str] = ()


def root_faults(everything: Everything) -> Iterator[Violation]:
    """What everything together breaks: one path for two things, or a circle of dependencies."""
    apps, pods = everything.apps, everything.pods
    parents = {path.rpartition("/")[0] or "/" for path in (*apps, *pods)}
    groups = {*everything.groups, *parents, *(g for path in parents for g in ancestors_of(path))}
    errors: list[str] = []
    if groups & set(apps):
        errors.append("Groups and Applications may not have the same identifier.")
    if set(pods) & set(apps):
        errors.append("Applications and Pods may not share the same id")
    if groups & set(pods):
        errors.append("Groups and Pods may not have the same identifier.")
    if _has_circle(everything):
        errors.append("Dependency graph has cyclic dependencies.")
    yield from (Violation(where=(), error=error) for error in errors)


def _has_circle(everything: Everything) -> bool:
    """Whether anything waits for itself. A group that waits is all of its members; one waited for likewise."""
    dependent = {path for path, found in everything.groups.items() if found}
    apps = {path: found for path, found in everything.apps.items() if found}
    if dependent:  # whoever is in one waits too
        apps = {path: found for path, found in everything.apps.items() if found or dependent.intersection(ancestors_of(path))}  # fmt: skip
    waits: dict[str, list[str]] = {path: [f"in {each}" for each in apps[path]] for path in apps}
    for path in dependent:
        waits[f"out {path}"] = [f"in {each}" for each in everything.groups[path]]
    for path in apps:  # those that wait for nothing close no circle
        for group in ancestors_of(path):
            waits.setdefault(f"in {group}", []).append(path)
            if group in dependent:
                waits[path].append(f"out {group}")
        waits.setdefault(f"in {path}", []).append(path)
    return _circles(waits)


def _circles(waits: Mapping[str, Sequence[str]]) -> bool:
    done: set[str] = set()
    for start in tuple(waits):
        if start in done:
            continue
        open_now = {start}
        stack = [(start, iter(waits[start]))]
        while stack:
            node, following = stack[-1]
            nxt = next((each for each in following if each not in done), None)
            if nxt is None:
                stack.pop()
                open_now.discard(node)
                done.add(node)
            elif nxt in open_now:
                return True
            else:
                open_now.add(nxt)
                stack.append((nxt, iter(waits.get(nxt, ()))))
    return False
