"""Tasks as they are found: those that live are instances of Apps, those that have stopped are kept for an hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portway.api.aws.ecs.common import names_of, within
from portway.api.aws.face import Face
from portway.controller.ecs.facts import task_facts
from portway.controller.ecs.histories import TASK_KIND
from portway.controller.ecs.task_index import TaskKey
from portway.controller.overview import Overview
from portway.core.ecs.tasks import shown_task

Task = dict[str, Any]


async def tasks_named(face: Face, cluster: str, wanted: Iterable[str]) -> dict[str, Task]:
    """Those of a cluster with these ids or ARNs, by their ARNs; the others are not looked at."""
    names = names_of(face)
    ids = dict.fromkeys(i for one in wanted if (i := within(face, one, cluster, "task")))
    keys = await keys_named(face, cluster, ids)
    overview = await face.operations.overview(app_ids={key.app_id for key in keys.values()})
    found: dict[str, Task] = {}
    for task_id in ids:
        key, arn = keys.get(task_id), names.task_arn(cluster, task_id)
        if key is None or not key.is_wanted or key.is_to_come:
            # How it ended is told by what was kept of it.
            kept = await face.documents.get(TASK_KIND, arn)
            if kept is not None:
                found[arn] = kept.body["task"]
                continue
        task = _shown(face, overview, key) if key is not None else None
        if task is not None:
            found[arn] = task
    return found


async def keys_named(face: Face, cluster: str, wanted: Iterable[str]) -> dict[str, TaskKey]:
    """What the planner knows of the tasks with these ids or ARNs, by id."""
    index = await face.operations.tasks()
    found = (index.find(within(face, one, cluster, "task")) for one in wanted)
    return {key.task_id: key for key in found if key is not None and key.cluster == cluster}


def _shown(face: Face, overview: Overview, key: TaskKey) -> Task | None:
    state = overview.apps.get(key.app_id)
    if state is None:
        return None
    names, seen = names_of(face), overview.instances.get(key.record.id)
    facts = task_facts(key.record, state, names, seen, zone=f"{face.region}a")
    return shown_task(facts, names) if facts is not None else None


def find_task(face: Face, tasks: Mapping[str, Task], cluster: str, wanted: str) -> Task | None:
    """The task by its id or ARN."""
    task_id = within(face, wanted, cluster, "task")
    return tasks.get(names_of(face).task_arn(cluster, task_id)) if task_id else None
