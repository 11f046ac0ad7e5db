"""Deployment plans as Marathon makes them: which apps change, in which order; which plans stand in each other's way. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from portway.core.marathon.changes import Change, RunSpec, change_of

T = TypeVar("T")


class ActionKind(StrEnum):
    """What a step does to one app; of a pod it is said with its own ending."""

    START = "Start"
    STOP = "Stop"
    SCALE = "Scale"
    RESTART = "Restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAction:
    """One change of one app or pod. `instances`: how many there are to be afterwards."""

    kind: ActionKind
    path: str
    is_pod: bool = False
    instances: int = 0

    @property
    def name(self) -> str:
        """As the API says it: ScaleApplication, RestartPod."""
        return f"{self.kind.value}{'Pod' if self.is_pod else 'Application'}"


Step = tuple[PlanAction, ...]


class CycleError(Exception):
    """Apps that wait for each other in a circle; the plan of such a target cannot be made."""


def deployment_plan(
    before: Mapping[str, RunSpec],
    after: Mapping[str, RunSpec],
    *,
    restarted: Collection[str] = (),
    group_dependencies: Mapping[str, Collection[str]] | None = None,
) -> tuple[Step, ...]:
    """The steps from one target to the next, by path: what goes, what is new, then what changes, leaves first.

    `restarted` are replaced though nothing in them differs. What a group depends on, all in it depend on.
    """
    stopped = tuple(
        PlanAction(kind=ActionKind.STOP, path=path, is_pod=spec.is_pod)
        for path, spec in sorted((p, s) for p, s in before.items() if p not in after)
    )
    started = tuple(
        PlanAction(kind=ActionKind.START, path=path, is_pod=spec.is_pod)
        for path, spec in sorted((p, s) for p, s in after.items() if p not in before)
    )
    # Most of a large target is the very same value, which costs nothing to see.
    others = (path for path, spec in after.items() if before.get(path) is not spec)
    changed = {
        path: action
        for path in sorted({*others, *(path for path in restarted if path in after)})
        if (action := _action(before.get(path), after[path], path in restarted)) is not None
    }
    depths = _Depths(after, group_dependencies or {})
    layers: dict[int, list[PlanAction]] = {}
    for path, action in changed.items():
        layers.setdefault(depths.of(path), []).append(action)
    steps = (stopped, started, *(tuple(layers[depth]) for depth in sorted(layers)))
    return tuple(step for step in steps if step)


def _action(before: RunSpec | None, after: RunSpec, is_restarted: bool) -> PlanAction | None:
    change = change_of(before, after)
    if change is Change.NOTHING and not is_restarted:
        return None
    is_scale = change in (Change.NEW, Change.SCALING) and not is_restarted
    kind = ActionKind.SCALE if is_scale or not after.instances else ActionKind.RESTART
    if before is None:
        kind = ActionKind.SCALE
    return PlanAction(kind=kind, path=after.path, is_pod=after.is_pod, instances=after.instances)


class _Depths:
    """How long the longest way of dependencies from an app is."""

    def __init__(self, specs: Mapping[str, RunSpec], groups: Mapping[str, Collection[str]]) -> None:
        self._specs = specs
        self._groups = groups
        self._known: dict[str, int] = {}

    def of(self, path: str) -> int:
        """0 for an app that waits for nobody. Walks without recursion: a chain may be long."""
        open_ = [path]
        begun: set[str] = set()
        while open_:
            here = open_[-1]
            missing = [p for p in self._wanted(here) if p not in self._known]
            if not missing or here in self._known:
                wanted = self._wanted(here)
                self._known[here] = 1 + max((self._known[p] for p in wanted), default=-1)
                begun.discard(open_.pop())
            elif here in begun and any(p in begun for p in missing):
                raise CycleError("Dependency graph has cyclic dependencies.")
            else:
                begun.add(here)
                open_.extend(missing)
        return self._known[path]

    def _wanted(self, path: str) -> list[str]:
        """The apps and pods that this one waits for; of a group all that are in it."""
        told = [*self._specs[path].dependencies]
        for group in _ancestors(path):
            told.extend(self._groups.get(group, ()))
        found = {p for name in told for p in self._members(name)}
        return sorted(found - {path})

    def _members(self, name: str) -> Iterator[str]:
        if name in self._specs:
            yield name
        else:
            inside = f"{name.rstrip('/')}/"
            yield from (path for path in self._specs if path.startswith(inside))


def _ancestors(path: str) -> Iterator[str]:
    """The groups a path is in, the nearest first."""
    while path := path.rpartition("/")[0]:
        yield path
    yield "/"


def affected(steps: Sequence[Step]) -> frozenset[str]:
    """The apps and pods that a plan changes."""
    return frozenset(action.path for step in steps for action in step)


def conflicting(paths: Collection[str], running: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The running deployments, by id, that change any of these as well."""
    return tuple(name for name, theirs in running.items() if not set(paths).isdisjoint(theirs))


def reverted(
    original: Mapping[str, T], target: Mapping[str, T], now: Mapping[str, T]
) -> dict[str, T]:
    """What is to be once a deployment from `original` to `target` is undone: the same for apps, pods and groups.

    What it changed is put back, what it added goes, and what others changed since stays.
    """
    back = dict(now)
    for path in {**original, **target}:
        if path in original and original[path] != target.get(path):
            back[path] = original[path]
        elif path not in original:
            back.pop(path, None)
    return back


def kept_groups(
    original: Collection[str], target: Collection[str], now: Collection[str], paths: Collection[str]
) -> frozenset[str]:
    """The groups there are once a deployment is undone; one it added stays while anything else is in it.

    `paths`: the apps and pods there are then.
    """
    kept = set(now) | set(original)
    added = set(target) - set(original)
    for group in sorted(added & kept, key=lambda name: -name.count("/")):
        others = (*paths, *(kept - {group}))
        if not any(name.startswith(f"{group}/") for name in others):
            kept.discard(group)
    return frozenset(kept)
