"""TaskIndex: every task that the planner knows, by its id and in the order of ids; what is asked about a few costs no look at the others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from portway.core.aws_names import AwsNames
from portway.core.ecs.labels import (
    SERVICE,
    TASK,
    Origin,
    origin_of,
    origin_of_state,
    revision_of,
)
from portway.core.ecs.tasks import task_id_of
from portway.core.ecs.to_come import record_to_come
from portway.core.instance import InstanceRecord, Phase
from portway.core.state import AppState

_FEW = 64  # so many are put into a sorted list one by one; more are sorted together


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskKey:
    """What a listing asks of a task. `is_wanted`: it should run; `is_to_come`: it was asked for and has no instance yet;
    `is_service`: a service started it.
    """

    task_id: str
    app_id: str
    cluster: str
    record: InstanceRecord
    is_wanted: bool
    is_to_come: bool
    is_service: bool
    group: str
    family: str
    started_by: str
    launch_type: str

    @property
    def shelf(self) -> tuple[str, bool]:
        """Which of the sorted lists it is in."""
        return self.cluster, self.is_wanted


class TaskIndex:
    """Apps are noted as they change, and read when somebody asks."""

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._by_app: dict[str, dict[str, TaskKey]] = {}
        self._by_id: dict[str, TaskKey] = {}
        self._shelves: dict[tuple[str, bool], list[str]] = {}

    def note(self, app_id: str, *, is_there: bool = True) -> None:
        """An App changed, came or went. One that nobody asked about while it was there leaves nothing."""
        if is_there or app_id in self._by_app:
            self._changed.add(app_id)
        else:
            self._changed.discard(app_id)

    def refresh(self, apps: Mapping[str, AppState], home_id: str, node: str) -> None:
        """Read what has changed. `node`: where a task goes that has no instance yet and may go anywhere."""
        names = AwsNames(region="", account_id="", home_id=home_id)
        came: list[TaskKey] = []
        left: list[TaskKey] = []
        for app_id in self._changed:
            before, state = self._by_app.pop(app_id, {}), apps.get(app_id)
            after = _keys_of(state, before, names, node) if state is not None else {}
            if after:
                self._by_app[app_id] = after
            left += [key for name, key in before.items() if after.get(name) is not key]
            came += [key for name, key in after.items() if before.get(name) is not key]
        self._changed.clear()
        for key in left:
            self._by_id.pop(key.task_id, None)
        self._by_id.update({key.task_id: key for key in came})
        gone, new = _by_shelf(left), _by_shelf(came)
        for shelf in gone.keys() | new.keys():
            self._rearrange(shelf, gone.get(shelf, set()), new.get(shelf, set()))

    def find(self, task_id: str) -> TaskKey | None:
        """The task of that id."""
        return self._by_id.get(task_id)

    def after(self, cluster: str, task_id: str, *, wanted: bool) -> Iterator[TaskKey]:
        """The cluster's tasks after that id, in their order; those that should run, or the others."""
        shelf = self._shelves.get((cluster, wanted), [])
        for place in range(bisect_right(shelf, task_id), len(shelf)):
            yield self._by_id[shelf[place]]

    def of_app(self, app_id: str, task_id: str, *, wanted: bool) -> Iterator[TaskKey]:
        """Likewise, of one App."""
        keys = self._by_app.get(app_id, {}).values()
        found = (key for key in keys if key.is_wanted is wanted and key.task_id > task_id)
        yield from sorted(found, key=lambda key: key.task_id)

    def _rearrange(self, shelf: tuple[str, bool], gone: set[str], new: set[str]) -> None:
        gone, new = gone - new, new - gone
        kept = self._shelves.setdefault(shelf, [])
        if len(gone) + len(new) <= _FEW:
            for task_id in gone:
                del kept[bisect_left(kept, task_id)]
            for task_id in new:
                insort(kept, task_id)
        else:
            self._shelves[shelf] = sorted([*(t for t in kept if t not in gone), *new])
        if not self._shelves[shelf]:
            del self._shelves[shelf]


def _by_shelf(keys: Iterable[TaskKey]) -> dict[tuple[str, bool], set[str]]:
    found: dict[tuple[str, bool], set[str]] = {}
    for key in keys:
        found.setdefault(key.shelf, set()).add(key.task_id)
    return found


def _keys_of(
    state: AppState, before: Mapping[str, TaskKey], names: AwsNames, node: str
) -> dict[str, TaskKey]:
    """The tasks of an App; what did not change is as it was."""
    known = {key.record.id: key for key in before.values()}
    origin = origin_of_state(state)
    if origin is None:
        return {}
    origins = {r.id: origin_of(r.app) for r in state.revisions.values()}
    found: dict[str, TaskKey] = {}
    for record in state.instances or _to_come(state, origin, node):
        key = known.get(record.id)
        if key is None or key.record is not record:
            revision = revision_of(state, record)
            of_it = origins.get(record.identity.revision) or (origin_of(revision.app) if revision else None)  # fmt: skip
            if of_it is None:
                continue
            key = _key(state, record, of_it, origin, names)
        found[key.task_id] = key
    return found


def _key(
    state: AppState, record: InstanceRecord, origin: Origin, whole: Origin, names: AwsNames
) -> TaskKey:
    is_service = origin.kind == SERVICE
    return TaskKey(
        task_id=task_id_of(record, names, whole),
        app_id=state.app_id,
        cluster=whole.cluster,
        record=record,
        is_wanted=record.phase < Phase.DRAINING,
        is_to_come=not state.instances,
        is_service=is_service,
        group=origin.task_group,
        family=origin.family,
        started_by=names.deployment_id(state.app_id, record.identity.revision) if is_service else origin.started_by,
        launch_type=origin.launch_type,
    )  # fmt: skip


def _to_come(state: AppState, origin: Origin, node: str) -> tuple[InstanceRecord, ...]:
    """The instance of a task that was only just asked for."""
    if origin.kind != TASK or state.target is None:
        return ()
    node, deployment = state.target.app.placement.node or node, state.deployment
    began_ms = deployment.started_at_ms if deployment else 0
    return (record_to_come(state.app_id, state.target.id, node, began_ms),)
