"""GetTaskProtection and UpdateTaskProtection: tasks of services that neither scaling in nor a deployment stops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portway.api.aws.ecs.common import DESCRIBED_MAX, find_cluster, invalid, is_arn, names_of
from portway.api.aws.ecs.task_store import find_task, instance_of, tasks_in
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.core.aws_names import slug
from portway.core.ecs.labels import SERVICE, origin_of_state
from portway.core.instance import InstanceRecord, Phase
from portway.core.protection import is_protected
from portway.core.state import AppState

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
        "protectedTasks": [_shown(face, arn, record) for arn, _, record in found],
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
    for app_id in {state.app_id for _, state, _ in found}:
        stack, _, app = app_id.rpartition("/")
        mine = {record.id: until_ms for _, state, record in found if state.app_id == app_id}
        await face.operations.protect_instances(stack, app, mine)
    after, gone = await _found(face, cluster, [arn for arn, _, _ in found], most=UPDATED_MAX)
    return {
        "protectedTasks": [_shown(face, arn, record) for arn, _, record in after],
        "failures": [*failures, *gone],
    }


async def _found(
    face: Face, cluster: str, wanted: Sequence[str], *, most: int
) -> tuple[list[tuple[str, AppState, InstanceRecord]], _Failures]:
    """The tasks with their Apps and instances; the others are failures, each with its reason."""
    if len(wanted) > most:
        raise invalid(f"Tasks can have at most {most} items.")
    tasks = await tasks_in(face, cluster)
    overview = await face.operations.overview(slug(cluster))
    found: list[tuple[str, AppState, InstanceRecord]] = []
    failures: _Failures = []
    for one in dict.fromkeys(wanted or tasks):
        task = find_task(face, tasks, cluster, one)
        arn = one if is_arn(one) else names_of(face).task_arn(cluster, one)
        state, record = instance_of(face, overview, task) if task else (None, None)
        origin = origin_of_state(state) if state else None
        if state is not None and (origin is None or origin.kind != SERVICE):
            if wanted:
                told = "Only tasks of services can be protected."
                failures.append({"arn": arn, "reason": "TASK_NOT_VALID", "detail": told})
        elif state is None or record is None or record.phase >= Phase.DRAINING:
            if wanted:
                failures.append({"arn": arn, "reason": "MISSING", "detail": "It does not run."})
        else:
            found.append((arn, state, record))
    return found, failures


def _shown(face: Face, arn: str, record: InstanceRecord) -> dict[str, Any]:
    protected = is_protected(record, face.now_ms())
    shown: dict[str, Any] = {"taskArn": arn, "protectionEnabled": protected}
    return {**shown, "expirationDate": record.protected_until_ms} if protected else shown
