"""Capacity providers: kept and shown, and named by clusters. Whatever they say, tasks run on the machines that there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from portway.api.aws.ecs.common import (
    CLUSTER_KIND,
    check_tags,
    invalid,
    is_arn,
    last_part,
    merged,
    missing,
    refused,
)
from portway.api.aws.face import Face
from portway.api.aws.objects import Body, changed
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page
from portway.store.base import DocumentChangedError

KIND = "ecs.capacity-provider"
BUILT_IN = ("FARGATE", "FARGATE_SPOT")
_KEPT_TO_AWS = ("aws", "ecs", "fargate")
_PAGE_SIZE = 10
_REFUSES = {"managedInstancesProvider": "there are no managed instances here"}


@operation("ecs", "CreateCapacityProvider", refuses=_REFUSES, ignores=("cluster",))
async def create_capacity_provider(face: Face, request: Request) -> dict[str, Any]:
    """Keep one of an Auto Scaling group."""
    name = request["name"]
    if name.lower().startswith(_KEPT_TO_AWS):
        raise invalid(f"The name {name} begins with a word that AWS keeps to itself: aws, ecs or fargate.")  # fmt: skip
    if not request.get("autoScalingGroupProvider"):
        raise invalid("autoScalingGroupProvider must be given.")
    check_tags(request.get("tags", []))
    body: Body = {
        "name": name,
        "provider": request["autoScalingGroupProvider"],
        "tags": merged([], request.get("tags", [])),
    }
    try:
        await face.documents.put(KIND, name, body, 0)
    except DocumentChangedError:
        raise refused(f"A capacity provider named {name} is there already.") from None
    return {"capacityProvider": _shown(face, body, tags=True)}


@operation("ecs", "UpdateCapacityProvider", refuses=_REFUSES, ignores=("cluster",))
async def update_capacity_provider(face: Face, request: Request) -> dict[str, Any]:
    """Change what is said of its group."""
    given = request.get("autoScalingGroupProvider") or {}
    kept = await changed(
        face.documents,
        KIND,
        request["name"],
        lambda body: {**body, "provider": {**body["provider"], **given}},
    )
    if kept is None:
        raise _unknown(request["name"])
    return {"capacityProvider": _shown(face, kept.body, tags=False)}


@operation("ecs", "DeleteCapacityProvider", ignores=("cluster",))
async def delete_capacity_provider(face: Face, request: Request) -> dict[str, Any]:
    """Forget one that no cluster names."""
    name = _name(request["capacityProvider"])
    found = await face.documents.get(KIND, name)
    if found is None:
        raise _unknown(name)
    if name in await _named_by_clusters(face):
        raise refused("The specified capacity provider is in use and cannot be removed.")
    await face.documents.delete(KIND, name)
    return {"capacityProvider": {**_shown(face, found.body, tags=False), "status": "INACTIVE"}}


@operation("ecs", "DescribeCapacityProviders", ignores=("cluster",))
async def describe_capacity_providers(face: Face, request: Request) -> dict[str, Any]:
    """By name or ARN, or all of them: AWS's own, those that were made, and those that clusters name."""
    stored = {document.key: document.body for document in await face.documents.list(KIND)}
    plain = {name: {"name": name} for name in (*BUILT_IN, *sorted(await _named_by_clusters(face)))}
    known: Mapping[str, Mapping[str, Any]] = {**plain, **stored}
    wanted = request.get("capacityProviders") or []
    taken, token = page(
        [name for name in map(_name, wanted) if name in known] if wanted else list(known),
        key=lambda name: name,
        size=request.get("maxResults") or (len(wanted) or _PAGE_SIZE),
        token=request.get("nextToken"),
        scope="DescribeCapacityProviders",
    )
    tags = "TAGS" in request.get("include", [])
    return {
        "capacityProviders": [_shown(face, known[name], tags=tags) for name in taken],
        "failures": [missing(one) for one in wanted if _name(one) not in known],
        "nextToken": token,
    }


def _name(text: str) -> str:
    return last_part(text) if is_arn(text) else text


async def _named_by_clusters(face: Face) -> frozenset[str]:
    clusters: Iterable[Mapping[str, Any]] = (
        document.body for document in await face.documents.list(CLUSTER_KIND)
    )
    return frozenset(name for body in clusters for name in body.get("capacityProviders") or ())


def _unknown(name: str) -> Exception:
    return refused(f"The specified capacity provider {name} does not exist.")


def _shown(face: Face, body: Mapping[str, Any], *, tags: bool) -> dict[str, Any]:
    shown = {
        "capacityProviderArn": face.arn("ecs", f"capacity-provider/{body['name']}"),
        "name": body["name"],
        "status": "ACTIVE",
        "tags": body.get("tags") or [] if tags else [],
    }
    if "provider" in body:
        shown["autoScalingGroupProvider"] = body["provider"]
    return shown
