"""Marathon JSON files -> Manifest: an app, a pod, a group, an array of them, or what GET shows of one. Opens nothing.

All problems are told at once, in Marathon's words, each with file:line:column.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from portway.core.app import App, Condition, Dependency
from portway.core.errors import ManifestError, Problem
from portway.core.marathon.names import app_id_of
from portway.core.suggest import did_you_mean
from portway.manifests.base import Manifest
from portway.manifests.ecs_fields import Use
from portway.manifests.json_reader import Placed, read_json
from portway.manifests.marathon.accept import accept_app, accept_pod
from portway.manifests.marathon.app_shape import APP, SHOWN_ONLY
from portway.manifests.marathon.apps import to_app
from portway.manifests.marathon.fields import app_fields, pod_fields
from portway.manifests.marathon.group_shape import GROUP
from portway.manifests.marathon.groups import Around, Everything, accept_group, root_faults
from portway.manifests.marathon.paths import ancestors_of, segments
from portway.manifests.marathon.pod_shape import POD
from portway.manifests.marathon.pods import to_pod_app
from portway.manifests.marathon.refusal import MarathonRefusal, Where
from portway.manifests.marathon.scheduling import Making
from portway.manifests.marathon.settings import Settings
from portway.manifests.marathon.shape import Findings
from portway.manifests.tree import shown

Definition = dict[str, Any]

# A container network without a name is that of the stack.
SETTINGS = Settings(default_network_name="default")

_NO_ROLES = ("role", "acceptedResourceRoles")
_OTHERS = ("containerDefinitions", "taskDefinition", "taskDefinitions", "services", "family", "serviceName")  # fmt: skip
_OURS = frozenset(
    ("cmd", "args", "container", "containers", "instances", "portDefinitions", "healthChecks", "upgradeStrategy", "apps", "groups", "app")
)  # fmt: skip
_WORDS = re.compile(rf'"({"|".join(sorted(_OURS))})"\s*:')
_OTHER_WORDS = re.compile(rf'"({"|".join(_OTHERS)})"\s*:')
_SENTENCES = {
    "error.expected.jsstring": "must be a text",
    "error.expected.jsnumber": "must be a number",
    "error.expected.int": "must be a whole number",
    "error.expected.jsboolean": "must be true or false",
    "error.expected.jsarray": "must be a list",
    "error.expected.jsobject": "must be an object",
    "error.expected.date.isoformat": "must be a time as 2015-02-03T12:30:00.000Z",
    "error.path.missing": "is missing",
    "error.min": "is too small",
    "error.max": "is too large",
    "error.minLength": "is too short",
    "error.maxLength": "is too long",
    "error.pattern": "is not written as it must be",
    "error.unknown.enum.literal": "is none of the words that are known here",
}


def is_marathon(text: str) -> bool:
    """Whether a text is meant as a definition: JSON with their fields, and neither ECS nor compose."""
    start = text.removeprefix("\ufeff").lstrip()
    if not start.startswith(("{", "[")):
        return False
    try:
        value = json.loads(start)
    except (ValueError, RecursionError):
        return bool(_WORDS.search(start)) and not _OTHER_WORDS.search(start)
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict):
        return isinstance(value, list)
    return bool(_OURS & first.keys()) and not any(key in first for key in _OTHERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One app, pod or group of a file, and where in it that is."""

    value: Any
    where: Where


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """All that the parts hold. `groups`: what each group depends on."""

    apps: Sequence[Definition]
    pods: Sequence[Definition]
    groups: Mapping[str, Sequence[str]]


def parse_marathon(text: str, *, file: str, stack: str) -> Manifest:
    """The Apps of a file; ManifestError with every problem when it cannot be used."""
    return _parsed(read_json(text, file=file), stack)


def parse_value(value: Any, *, stack: str) -> Manifest:
    """The same of a value that was never a text; places are unknown then."""
    return _parsed(Placed(value=value, file="", places={}), stack)


def _parsed(placed: Placed, stack: str) -> Manifest:
    problems: list[Problem] = []
    apps: list[Definition] = []
    pods: list[Definition] = []
    groups: dict[str, Sequence[str]] = {}
    parts = tuple(_parts(placed.value))
    for part in parts:
        try:
            _take(part, apps, pods, groups)
        except MarathonRefusal as refusal:
            problems.extend(_problems(placed, part, refusal))
    found = _Found(apps=apps, pods=pods, groups=groups)
    if not problems:
        problems.extend(_misfits(placed, found))
    if problems:
        raise ManifestError(problems)
    warnings = [warning for part in parts for warning in _warnings(placed, part)]
    made, unmet = _apps(found, stack)
    warnings.extend(placed.problem((), told) for told in unmet)
    return Manifest(name="", apps=made, warnings=tuple(warnings))


def _parts(value: Any) -> Iterator[_Part]:
    """What an array holds, and what GET shows around an app."""
    if isinstance(value, list):
        yield from (_Part(value=each, where=(nth,)) for nth, each in enumerate(value))
    elif isinstance(value, dict) and isinstance(value.get("app"), dict):
        yield _Part(value=value["app"], where=("app",))
    else:
        yield _Part(value=value, where=())


def _take(
    part: _Part, apps: list[Definition], pods: list[Definition], groups: dict[str, Sequence[str]]
) -> None:
    value = _without_roles(part.value)
    if _is_group(value):
        _take_group(accept_group(value, Around(settings=SETTINGS, pods=True)), apps, pods, groups)
    elif _is_pod(value):
        pods.append(accept_pod(value, SETTINGS))
    else:
        apps.append(accept_app(value, SETTINGS))


def _is_group(value: Any) -> bool:
    is_member = isinstance(value, dict) and any(k in value for k in ("cmd", "args", "container"))
    return isinstance(value, dict) and not is_member and any(k in value for k in ("apps", "groups"))


def _is_pod(value: Any) -> bool:
    return isinstance(value, dict) and "containers" in value


def _take_group(
    group: Definition,
    apps: list[Definition],
    pods: list[Definition],
    groups: dict[str, Sequence[str]],
) -> None:
    groups[group["id"]] = group.get("dependencies", ())
    apps.extend(group.get("apps", ()))
    pods.extend(group.get("pods", ()))
    for inner in group.get("groups", ()):
        _take_group(inner, apps, pods, groups)


def _without_roles(value: Any) -> Any:
    """A file runs on one machine, which has no roles; a warning says so."""
    if not isinstance(value, dict):
        return value
    kept = {k: v for k, v in value.items() if k not in _NO_ROLES}
    for key in ("apps", "groups", "pods"):
        if isinstance(kept.get(key), list):
            kept[key] = [_without_roles(each) for each in kept[key]]
    return kept


def _problems(placed: Placed, part: _Part, refusal: MarathonRefusal) -> Iterator[Problem]:
    if not refusal.violations:
        yield placed.problem(part.where, refusal.message)
    for each in refusal.violations:
        told = _SENTENCES.get(each.error, each.error)
        problem = placed.problem((*part.where, *each.where), told)
        yield replace(problem, path=each.path if each.where else "")


def _misfits(placed: Placed, found: _Found) -> Iterator[Problem]:
    paths = [each["id"] for each in (*found.apps, *found.pods)]
    for path in (path for path, times in Counter(paths).items() if times > 1):
        yield placed.problem((), f"{path} is there twice", "Give each its own id.")
    if not paths:
        yield placed.problem((), "there is no app in it", "Write an app: it has an id and a cmd.")
    everything = Everything(
        apps={each["id"]: each.get("dependencies", ()) for each in found.apps},
        groups=found.groups,
        pods=[each["id"] for each in found.pods],
    )
    for each in root_faults(everything):
        yield placed.problem((), each.error)


def _apps(found: _Found, stack: str) -> tuple[tuple[App, ...], list[str]]:
    """The Apps, and sentences about dependencies that are on nothing here."""
    paths = [each["id"] for each in (*found.apps, *found.pods)]
    names = dict(zip(paths, _names(paths), strict=True))
    members = _members(paths)
    made: list[App] = []
    unmet: list[str] = []
    for definition in (*found.apps, *found.pods):
        own, waits = definition["id"], dict[str, None]()
        for path in _dependencies(definition, found.groups):
            waits.update((names[each], None) for each in members.get(path, ()) if each != own)
            if path not in members:
                unmet.append(f"{own} depends on {path}, which is not in this file: nothing waits for it")  # fmt: skip
        making = Making(app_id=f"{stack}/{names[own]}", patient=False)
        make = to_pod_app if "containers" in definition else to_app
        made.append(replace(make(definition, making), depends_on=tuple(map(_waited_for, waits))))
    return tuple(made), unmet


def _members(paths: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """By path, the apps and pods meant by it: itself, or all of a group."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for meant in (path, *ancestors_of(path)):
            found[meant].append(path)
    return found


def _dependencies(definition: Definition, groups: Mapping[str, Sequence[str]]) -> Iterable[str]:
    around = (path for group in ancestors_of(definition["id"]) for path in groups.get(group, ()))
    return dict.fromkeys((*definition.get("dependencies", ()), *around))


def _waited_for(name: str) -> Dependency:
    return Dependency(name=name, condition=Condition.HEALTHY)


def _names(paths: Sequence[str]) -> Iterator[str]:
    """Names of Apps: the ids without the groups that all of them are in."""
    parts = [segments(path) for path in paths]
    common = 0
    while all(len(each) > common + 1 for each in parts) and len({each[common] for each in parts}) == 1:  # fmt: skip
        common += 1
    for each in parts:
        yield app_id_of(f"/stack/{'/'.join(each[common:])}").partition("/")[2]


def _warnings(placed: Placed, part: _Part) -> Iterator[Problem]:
    """What is not known, and what has no effect."""
    if _is_group(part.value):
        known = Findings()
        GROUP.read(part.value, part.where, known)
        yield from (_unknown(placed, where, GROUP.members) for where in known.unknown)
        for key in ("apps", "pods", "groups"):
            for nth, inner in enumerate(part.value.get(key) or ()):
                yield from _warnings(placed, _Part(value=inner, where=(*part.where, key, nth)))
        return
    is_pod, found = _is_pod(part.value), Findings()
    kind = POD if is_pod else APP
    kind.read(part.value, part.where, found)
    for where in found.unknown:
        if not (len(where) == len(part.where) + 1 and where[-1] in SHOWN_ONLY):
            yield _unknown(placed, where, kind.members)
    for name, field in (pod_fields() if is_pod else app_fields()).items():
        if (
            field.use is Use.IGNORED
            and "." not in name
            and part.value.get(name) not in (None, 0, [], {})
            and not name.startswith("version")
        ):
            yield placed.problem((*part.where, name), f"has no effect: {field.told}")  # fmt: skip


def _unknown(placed: Placed, where: Where, known: Iterable[str]) -> Problem:
    key = str(where[-1])
    guess = did_you_mean(key, known).strip() if len(key) < 64 else ""
    return placed.problem(where, f"'{shown(key)}' is not a field of Marathon's and is ignored", guess)  # fmt: skip
