"""Tasks as they are found: those that live are instances of Apps, those that have stopped are kept for an hour."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from portway.api.aws.ecs.common import names_of, within
from portway.api.aws.face import Face
from portway.controller.ecs.facts import task_facts
from portway.controller.ecs.histories import TASK_KIND, stopped_tasks
from portway.controller.overview import Overview
from portway.core.aws_names import last_part, service_app_id, slug
from portway.core.ecs.labels import TASK, Origin, origin_of_state
from portway.core.ecs.tasks import shown_task, task_id_of
from portway.core.ecs.to_come import record_to_come
from portway.core.instance import InstanceRecord
from portway.core.state import AppState

Task = dict[str, Any]


async def tasks_in(face: Face, cluster: str) -> dict[str, Task]:
    """Every task of a cluster by its ARN, the stopped ones included."""
    names = names_of(face)
    found = {t["taskArn"]: t for t in await stopped_tasks(face.documents, names.task_arn(cluster, ""))}  # fmt: skip
    overview = await face.operations.overview(slug(cluster))
    for task in live_tasks(face, overview, cluster):
        found.setdefault(task["taskArn"], task)
    return found


async def tasks_named(face: Face, cluster: str, wanted: Iterable[str]) -> dict[str, Task]:
    """Those of a cluster with these ids or ARNs, by their ARNs; the others are not put together."""
    names = names_of(face)
    ids = {task_id for one in wanted if (task_id := within(face, one, cluster, "task"))}
    kept = [await face.documents.get(TASK_KIND, names.task_arn(cluster, each)) for each in ids]
    found: dict[str, Task] = {d.key: d.body["task"] for d in kept if d is not None}
    overview = await face.operations.overview(slug(cluster))
    for task in live_tasks(face, overview, cluster, ids=ids):
        found.setdefault(task["taskArn"], task)
    return found


async def tasks_of_service(face: Face, cluster: str, service: str) -> dict[str, Task]:
    """Those of one service by their ARNs, the stopped ones included."""
    names, group = names_of(face), f"service:{service}"
    kept = await stopped_tasks(face.documents, names.task_arn(cluster, ""))
    found = {t["taskArn"]: t for t in kept if t["group"] == group}
    app_ids = (service_app_id(cluster, service),)
    overview = await face.operations.overview(app_ids=app_ids)
    for task in live_tasks(face, overview, cluster):
        found.setdefault(task["taskArn"], task)
    return found


def live_tasks(
    face: Face, overview: Overview, cluster: str, *, ids: Collection[str] | None = None
) -> list[Task]:
    """Those (with these ids) that the planner still knows, with one of RunTask that has no instance yet."""
    names, zone = names_of(face), f"{face.region}a"
    tasks: list[Task] = []
    for state in overview.apps.values():
        origin = origin_of_state(state)
        if origin is None or origin.cluster != cluster:
            continue
        for record in state.instances or _to_come(state, origin, overview):
            if ids is not None and task_id_of(record, names, origin) not in ids:
                continue
            seen = overview.instances.get(record.id)
            facts = task_facts(record, state, names, seen, zone=zone)
            if facts is not None:
                tasks.append(shown_task(facts, names))
    return tasks


def _to_come(state: AppState, origin: Origin, overview: Overview) -> tuple[InstanceRecord, ...]:
    """The instance of a task that was only just asked for."""
    if origin.kind != TASK or state.target is None:
        return ()
    node = state.target.app.placement.node or (overview.nodes[0].name if overview.nodes else "")
    deployment = state.deployment
    return (record_to_come(state.app_id, state.target.id, node, deployment.started_at_ms if deployment else 0),)  # fmt: skip


def find_task(face: Face, tasks: Mapping[str, Task], cluster: str, wanted: str) -> Task | None:
    """The task by its id or ARN."""
    task_id = within(face, wanted, cluster, "task")
    return tasks.get(names_of(face).task_arn(cluster, task_id)) if task_id else None


def instance_of(
    face: Face, overview: Overview, task: Task
) -> tuple[AppState | None, InstanceRecord | None]:
    """The App and the instance that a live task is; a task that was only just asked for has no instance."""
    names, task_id = names_of(face), last_part(task["taskArn"])
    for state in overview.apps.values():
        origin = origin_of_state(state)
        if origin is None or (origin.task_id and origin.task_id != task_id):
            continue
        if origin.task_id:
            return state, next(iter(state.live), None)
        for record in state.live:
            if task_id_of(record, names) == task_id:
                return state, record
    return None, None
