"""GetTaskProtection and UpdateTaskProtection: tasks of services that neither scaling in nor a deployment stops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portway.api.aws.ecs.common import (
    DESCRIBED_MAX,
    find_cluster,
    invalid,
    is_arn,
    names_of,
    within,
)
from portway.api.aws.ecs.task_store import keys_named
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.controller.ecs.task_index import TaskKey
from portway.core.protection import is_protected

UPDATED_MAX = 10
EXPIRES_MIN = 120  # minutes, where nothing is said
EXPIRES_MAX_MIN = 2880

_Failures = list[dict[str, str]]


@operation("ecs", "GetTaskProtection")
async def get_task_protection(face: Face, request: Request) -> dict[str, Any]:
    """Whether tasks of services are protected, and until when; without tasks, of all of the cluster."""
    cluster = await find_cluster(face, request["cluster"])
    found, failures = await _found(face, cluster, request.get("tasks") or (), most=DESCRIBED_MAX)
    return {
        "protectedTasks": [_shown(face, cluster, key) for key in found],
        "failures": failures,
    }


@operation("ecs", "UpdateTaskProtection")
async def update_task_protection(face: Face, request: Request) -> dict[str, Any]:
    """Protect up to ten tasks of services for a time, or end it."""
    cluster = await find_cluster(face, request["cluster"])
    if not request["tasks"]:
        raise invalid("Tasks cannot be empty.")
    minutes = request.get("expiresInMinutes", EXPIRES_MIN)
    if not 1 <= minutes <= EXPIRES_MAX_MIN:
        raise invalid(f"expiresInMinutes is 1 to {EXPIRES_MAX_MIN}.")
    enabled = request["protectionEnabled"]
    until_ms = face.now_ms() + minutes * 60_000 if enabled else None
    found, failures = await _found(face, cluster, request["tasks"], most=UPDATED_MAX)
    for app_id in {key.app_id for key in found}:
        stack, _, app = app_id.rpartition("/")
        mine = {key.record.id: until_ms for key in found if key.app_id == app_id}
        await face.operations.protect_instances(stack, app, mine)
    after, gone = await _found(face, cluster, [key.task_id for key in found], most=UPDATED_MAX)
    return {
        "protectedTasks": [_shown(face, cluster, key) for key in after],
        "failures": [*failures, *gone],
    }


async def _found(
    face: Face, cluster: str, wanted: Sequence[str], *, most: int
) -> tuple[list[TaskKey], _Failures]:
    """The tasks of services, as they are known; the others are failures, each with its reason. Without any, all there are."""
    if len(wanted) > most:
        raise invalid(f"Tasks can have at most {most} items.")
    if not wanted:
        index = await face.operations.tasks()
        every = index.after(cluster, "", wanted=True)
        return [key for key in every if key.is_service], []
    known = await keys_named(face, cluster, wanted)
    found: list[TaskKey] = []
    failures: _Failures = []
    for one in dict.fromkeys(wanted):
        key = known.get(within(face, one, cluster, "task"))
        arn = one if is_arn(one) else names_of(face).task_arn(cluster, one)
        if key is not None and not key.is_service:
            told = "Only tasks of services can be protected."
            failures.append({"arn": arn, "reason": "TASK_NOT_VALID", "detail": told})
        elif key is None or not key.is_wanted:
            failures.append({"arn": arn, "reason": "MISSING", "detail": "It does not run."})
        else:
            found.append(key)
    return found, failures


def _shown(face: Face, cluster: str, key: TaskKey) -> dict[str, Any]:
    protected = is_protected(key.record, face.now_ms())
    arn = names_of(face).task_arn(cluster, key.task_id)
    shown: dict[str, Any] = {"taskArn": arn, "protectionEnabled": protected}
    return {**shown, "expirationDate": key.record.protected_until_ms} if protected else shown
