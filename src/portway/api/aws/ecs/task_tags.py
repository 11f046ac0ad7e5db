"""The tags of tasks: their own, those that their service or task definition hands down, and those that ECS manages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portway.api.aws.ecs.common import EcsTags, merged, names_of
from portway.api.aws.ecs.definitions import find_definition
from portway.api.aws.ecs.service_store import KIND, service_of
from portway.api.aws.face import Face
from portway.controller.ecs.histories import EXTRA_KIND
from portway.core.aws_names import last_part

CLUSTER_TAG, SERVICE_TAG = "aws:ecs:clusterName", "aws:ecs:serviceName"
_GROUP = "service:"


async def tags_of_task(face: Face, task: Mapping[str, Any]) -> EcsTags:
    """Those that it was given; else what its service hands down."""
    found = await face.documents.get(EXTRA_KIND, task["taskArn"])
    if found is not None and "tags" in found.body:
        return list(found.body["tags"] or [])
    return await _handed_down(face, task)


def managed_tags(cluster: str, service: str = "") -> EcsTags:
    """What ECS adds where it is asked to manage tags."""
    said = {CLUSTER_TAG: cluster, **({SERVICE_TAG: service} if service else {})}
    return [{"key": key, "value": value} for key, value in said.items()]


async def _handed_down(face: Face, task: Mapping[str, Any]) -> EcsTags:
    group = task.get("group") or ""
    if not group.startswith(_GROUP):
        return []
    cluster, name = last_part(task["clusterArn"]), group.removeprefix(_GROUP)
    document = await face.documents.get(KIND, names_of(face).service_arn(cluster, name))
    if document is None:
        return []
    service = service_of(document)
    tags: EcsTags = []
    if service.spec.get("propagateTags") == "SERVICE":
        tags = merged(tags, service.tags)
    elif service.spec.get("propagateTags") == "TASK_DEFINITION":
        definition = await find_definition(face, task["taskDefinitionArn"])
        tags = merged(tags, definition.tags if definition else ())
    if service.spec.get("enableECSManagedTags"):
        tags = merged(tags, managed_tags(cluster, name))
    return tags
