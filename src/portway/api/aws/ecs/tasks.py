"""ECS tasks: DescribeTasks, ListTasks, StopTask."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from portway.api.aws.ecs.common import (
    DESCRIBED_MAX,
    find_cluster,
    invalid,
    is_arn,
    listed,
    missing,
    names_of,
    within,
)
from portway.api.aws.ecs.service_finding import find_service
from portway.api.aws.ecs.task_store import (
    Task,
    find_task,
    instance_of,
    tasks_in,
    tasks_named,
    tasks_of_service,
)
from portway.api.aws.ecs.task_tags import tags_of_task
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.controller.ecs.histories import EXTRA_KIND, keep_stopped
from portway.core.aws_names import last_part, slug
from portway.core.ecs.labels import TASK, origin_of_state
from portway.core.ecs.tasks import BY_THE_USER
from portway.core.ecs.words import STOPPED_BY_USER
from portway.core.errors import RequestError
from portway.core.instance import InstanceRecord
from portway.core.state import AppState


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


@operation("ecs", "ListTasks", refuses={"daemonName": "there are no managed daemons here"})
async def list_tasks(face: Face, request: Request) -> dict[str, Any]:
    """The ARNs of tasks that should run, or of those that were stopped, by what they belong to."""
    cluster = await find_cluster(face, request.get("cluster"))
    service = request.get("serviceName")
    if service is not None:
        found = await find_service(face, cluster, service)
        if found is None:
            raise AwsError("ServiceNotFoundException", "Service not found.", 400)
        service = found.name
    tasks = await (tasks_of_service(face, cluster, service) if service else tasks_in(face, cluster))
    arns = [arn for arn, task in tasks.items() if _matches(face, request, cluster, service, task)]
    return listed(request, "taskArns", arns)


def _matches(face: Face, request: Request, cluster: str, service: str | None, task: Task) -> bool:
    node = request.get("containerInstance")
    family = last_part(task["taskDefinitionArn"]).partition(":")[0]
    return (
        task["desiredStatus"] == (request.get("desiredStatus") or "RUNNING")
        and (service is None or task["group"] == f"service:{service}")
        and request.get("family") in (None, family)
        and request.get("startedBy") in (None, task.get("startedBy"))
        and request.get("launchType") in (None, task["launchType"])
        and (
            node is None
            or last_part(task["containerInstanceArn"])
            == within(face, node, cluster, "container-instance")
        )
    )


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
    overview = await face.operations.overview(slug(cluster))
    state, record = instance_of(face, overview, task)
    reason = request.get("reason") or ""
    words = f"{BY_THE_USER}: {reason}" if reason else BY_THE_USER
    origin = origin_of_state(state) if state else None
    with suppress(RequestError):  # it ended by itself a moment ago
        if state is not None and origin is not None and origin.kind == TASK:
            await _end(face, state, record, task, words)
        elif record is not None:
            stack, _, instance = record.id.rpartition("/")
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


async def _end(
    face: Face, state: AppState, record: InstanceRecord | None, task: Task, words: str
) -> None:
    """A task of its own goes with its App; one that has no instance yet never gets one, and is kept as stopped."""
    stack, _, app = state.app_id.rpartition("/")
    await face.operations.remove_app(stack, app, reason=words)
    if record is None:
        now_ms = face.now_ms()
        stopped = {
            **task,
            "lastStatus": "STOPPED",
            "desiredStatus": "STOPPED",
            **_asked_to_stop(words),
            "stoppingAt": now_ms,
            "stoppedAt": now_ms,
        }
        await keep_stopped(face.documents, stopped, state.app_id)
