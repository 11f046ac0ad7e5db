"""Tags of ECS's objects by ARN: clusters, services, task definitions and tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from portway.api.aws.ecs.common import (
    CLUSTER_KIND,
    EcsTags,
    check_tags,
    invalid,
    merged,
)
from portway.api.aws.ecs.definitions import KIND as DEFINITION_KIND
from portway.api.aws.ecs.service_store import KIND as SERVICE_KIND
from portway.api.aws.ecs.task_store import tasks_named
from portway.api.aws.ecs.task_tags import tags_of_task
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import changed
from portway.api.aws.operation import Request, operation
from portway.controller.ecs.histories import EXTRA_KIND
from portway.core.aws_names import last_part, read_arn
from portway.store.base import DocumentChangedError

_KINDS = {"cluster": CLUSTER_KIND, "service": SERVICE_KIND, "task-definition": DEFINITION_KIND, "task": EXTRA_KIND}  # fmt: skip


@operation("ecs", "TagResource")
async def tag_resource(face: Face, request: Request) -> dict[str, Any]:
    """Add tags; those of a key that is there are replaced."""
    given = request["tags"]
    check_tags(given)

    def change(tags: EcsTags) -> EcsTags:
        after = merged(tags, given)
        check_tags(after)
        return after

    await _change(face, request["resourceArn"], change)
    return {}


@operation("ecs", "UntagResource")
async def untag_resource(face: Face, request: Request) -> dict[str, Any]:
    """Take tags away."""
    gone = set(request["tagKeys"])
    await _change(face, request["resourceArn"], lambda tags: [t for t in tags if t["key"] not in gone])  # fmt: skip
    return {}


@operation("ecs", "ListTagsForResource")
async def list_tags_for_resource(face: Face, request: Request) -> dict[str, Any]:
    """All of them."""
    kind, key = await _place(face, request["resourceArn"])
    if kind == EXTRA_KIND:
        return {"tags": await tags_of_task(face, await _task(face, key))}
    found = await face.documents.get(kind, key)
    return {"tags": list(found.body.get("tags") or []) if found else []}


async def _change(face: Face, arn: str, change: Callable[[EcsTags], EcsTags]) -> None:
    kind, key = await _place(face, arn)
    if kind == EXTRA_KIND:
        handed_down = await tags_of_task(face, await _task(face, key))
        with suppress(DocumentChangedError):  # it has some already
            await face.documents.put(kind, key, {"tags": handed_down}, 0)
    await changed(
        face.documents,
        kind,
        key,
        lambda body: {**body, "tags": change(list(body.get("tags") or []))},
    )


async def _task(face: Face, arn: str) -> Mapping[str, Any]:
    """The task as it is shown; {} when it is not there."""
    named = read_arn(arn)
    cluster = named.resource.split("/")[1] if named else ""
    return (await tasks_named(face, cluster, [arn])).get(arn, {})


async def _place(face: Face, text: str) -> tuple[str, str]:
    """Where the tags of an object are kept; the refusal of an ARN that names none."""
    arn = read_arn(text)
    kind = _KINDS.get(arn.kind) if arn is not None and arn.service == "ecs" else None
    if arn is None or kind is None:
        raise invalid(f"{text} names nothing that has tags here: a cluster, service, task definition or task.")  # fmt: skip
    key = last_part(text) if kind == DEFINITION_KIND else text
    if kind == EXTRA_KIND:
        is_there = bool(await _task(face, text))
    else:
        is_there = await face.documents.get(kind, key) is not None
    if not is_there:
        told = "The specified resource wasn't found."
        raise AwsError("ResourceNotFoundException", told, 400)
    return kind, key
