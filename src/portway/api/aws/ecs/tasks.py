"""ECS tasks: DescribeTasks and StopTask."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from portway.api.aws.ecs.common import (
    DESCRIBED_MAX,
    find_cluster,
    invalid,
    is_arn,
    missing,
    names_of,
)
from portway.api.aws.ecs.task_store import Task, find_task, keys_named, tasks_named
from portway.api.aws.ecs.task_tags import tags_of_task
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.controller.ecs.histories import EXTRA_KIND, keep_stopped
from portway.controller.ecs.task_index import TaskKey
from portway.core.ecs.tasks import BY_THE_USER
from portway.core.ecs.words import STOPPED_BY_USER
from portway.core.errors import RequestError


@operation("ecs", "DescribeTasks")
async def describe_tasks(face: Face, request: Request) -> dict[str, Any]:
    """Up to a hundred tasks by id or ARN; stopped ones for an hour."""
    wanted = request["tasks"]
    if not wanted:
        raise invalid("Tasks cannot be empty.")
    if len(wanted) > DESCRIBED_MAX:
        raise invalid(f"Tasks can have at most {DESCRIBED_MAX} items.")
    cluster = await find_cluster(face, request.get("cluster"))
    tasks = await tasks_named(face, cluster, wanted)
    shown: list[Task] = []
    failures: list[dict[str, str]] = []
    for one in dict.fromkeys(wanted):
        found = find_task(face, tasks, cluster, one)
        if found is None:
            arn = one if is_arn(one) else names_of(face).task_arn(cluster, one)
            failures.append(missing(arn))
        else:
            shown.append(await with_extra(face, found, tags="TAGS" in request.get("include", [])))
    return {"tasks": shown, "failures": failures}


async def with_extra(face: Face, task: Task, *, tags: bool) -> Task:
    """The task with its overrides, and its tags where they are asked for."""
    found = await face.documents.get(EXTRA_KIND, task["taskArn"])
    overrides = (found.body.get("overrides") if found else None) or {}
    shown = {**task, "overrides": {**task["overrides"], **overrides}}
    return {**shown, "tags": await tags_of_task(face, task)} if tags else shown


@operation("ecs", "StopTask")
async def stop_task(face: Face, request: Request) -> dict[str, Any]:
    """Drain and stop one task; a service starts another in its place."""
    cluster = await find_cluster(face, request.get("cluster"))
    tasks = await tasks_named(face, cluster, [request["task"]])
    task = find_task(face, tasks, cluster, request["task"])
    if task is None:
        raise invalid("The referenced task was not found.")
    if task["desiredStatus"] == "STOPPED":
        return {"task": task}
    keys = await keys_named(face, cluster, [task["taskArn"]])
    key = next(iter(keys.values()), None)
    reason = request.get("reason") or ""
    words = f"{BY_THE_USER}: {reason}" if reason else BY_THE_USER
    with suppress(RequestError):  # it ended by itself a moment ago
        if key is not None and not key.is_service:
            await _end(face, key, task, words)
        elif key is not None:
            stack, _, instance = key.record.id.rpartition("/")
            await face.operations.stop_instance(stack, instance, reason=words)
    after = await tasks_named(face, cluster, [task["taskArn"]])
    shown = {
        **_asked_to_stop(words),
        **after.get(task["taskArn"], task),
        "desiredStatus": "STOPPED",
    }
    return {"task": await with_extra(face, shown, tags=False)}


def _asked_to_stop(words: str) -> Task:
    """What is shown of it from the moment it was asked."""
    reason = words.removeprefix(BY_THE_USER).removeprefix(": ") or STOPPED_BY_USER
    return {"stopCode": "UserInitiated", "stoppedReason": reason}


async def _end(face: Face, key: TaskKey, task: Task, words: str) -> None:
    """A task of its own goes with its App; one that has no instance yet never gets one, and is kept as stopped."""
    stack, _, app = key.app_id.rpartition("/")
    await face.operations.remove_app(stack, app, reason=words)
    if key.is_to_come:
        now_ms = face.now_ms()
        stopped = {
            **task,
            "lastStatus": "STOPPED",
            "desiredStatus": "STOPPED",
            **_asked_to_stop(words),
            "stoppingAt": now_ms,
            "stoppedAt": now_ms,
        }
        await keep_stopped(face.documents, stopped, key.app_id)
