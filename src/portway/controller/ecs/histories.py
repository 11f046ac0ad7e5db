"""The events of services and the stopped tasks, as they are stored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from portway.core.aws_names import service_app_id
from portway.core.ecs.history import History
from portway.store.base import DocumentChangedError, Documents
from portway.store.codec import from_body, to_body

SERVICE_KIND = "ecs.service"
PENDING_MARK = (
    "pending"  # on a service whose App is about to be put: that it is not there proves nothing
)
HISTORY_KIND = "ecs.history"
TASK_KIND = "ecs.task"
EXTRA_KIND = "ecs.task-extra"  # by the task's ARN: its tags and overrides
TOKEN_KIND = "ecs.run-token"  # noqa: S105  (a kind of document)
STOPPED_KEPT_MS = 3600 * 1000


async def history_of(documents: Documents, service_arn: str) -> History:
    """What has been told of a service."""
    found = await documents.get(HISTORY_KIND, service_arn)
    if found is None:
        return History()
    return from_body(History, found.body, where=f"{HISTORY_KIND} {service_arn}")


async def keep_history(documents: Documents, service_arn: str, history: History) -> None:
    """Store it whole."""
    await documents.put(HISTORY_KIND, service_arn, to_body(history))


async def forget_history(documents: Documents, service_arn: str) -> None:
    """A new service of the name begins anew."""
    await documents.delete(HISTORY_KIND, service_arn)


async def end_services(documents: Documents, gone_at_ms: Callable[[str], int]) -> None:
    """Mark the services whose Apps are gone, unless they were made since."""
    for document in await documents.list(SERVICE_KIND):
        body = document.body
        ended_ms = gone_at_ms(service_app_id(body["cluster"], body["name"]))
        is_there = body.get("status") == "ACTIVE" and PENDING_MARK not in body
        if is_there and body.get("created_at_ms", 0) < ended_ms:
            with suppress(DocumentChangedError):  # somebody does something with it at this moment
                ended = {**body, "status": "DRAINING"}
                await documents.put(SERVICE_KIND, document.key, ended, document.version)


async def keep_stopped(documents: Documents, task: dict[str, Any], app_id: str) -> None:
    """Store a task that has stopped, as it is shown from now on. One that is kept already stays as it is."""
    if await documents.get(TASK_KIND, task["taskArn"]) is None:
        await documents.put(TASK_KIND, task["taskArn"], {"task": task, "app_id": app_id})


async def stopped_tasks(documents: Documents, prefix: str = "") -> list[dict[str, Any]]:
    """Those whose ARN begins so."""
    return [d.body["task"] for d in await documents.list(TASK_KIND, prefix)]


async def forget_stopped(documents: Documents, *, before_ms: int) -> None:
    """Drop those that stopped before a moment."""
    for document in await documents.list(TASK_KIND):
        if document.body["task"].get("stoppedAt", 0) < before_ms:
            await documents.delete(TASK_KIND, document.key)
            await documents.delete(EXTRA_KIND, document.key)
