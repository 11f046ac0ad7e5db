"""ECS clusters: a name, and what runs under it. Every machine that portway runs on is a container instance of each."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from portway.api.aws.ecs.common import (
    ACTIVE,
    CLUSTER_KIND,
    DEFAULT_CLUSTER,
    DESCRIBED_MAX,
    INACTIVE,
    check_tags,
    cluster_named,
    clusters_of_files,
    find_cluster,
    fresh_cluster,
    invalid,
    listed,
    merged,
    missing,
    names_of,
    no_cluster,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import changed
from portway.api.aws.operation import Request, operation
from portway.controller.overview import Overview
from portway.core.aws_names import slug
from portway.core.ecs.deployments import counts_of
from portway.core.ecs.labels import SERVICE, origin_of_state
from portway.store.base import DocumentChangedError

_CONNECT = {"serviceConnectDefaults": "there is no Cloud Map here. Containers of one task find each other by links or localhost."}  # fmt: skip
_NAME_LENGTH_MAX = 255


@operation("ecs", "CreateCluster", ignores=("configuration",), refuses=_CONNECT)
async def create_cluster(face: Face, request: Request) -> dict[str, Any]:
    """Keep a cluster; one that is there already is answered as it is."""
    name = request.get("clusterName") or DEFAULT_CLUSTER
    if len(name) > _NAME_LENGTH_MAX or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise invalid("Cluster name must be at most 255 letters, numbers, hyphens and underscores.")
    check_tags(request.get("tags", []))
    body = _given(request, fresh_cluster(name, face.now_ms()))
    body["tags"] = merged([], request.get("tags", []))
    kept = await make_cluster(face, body)
    return {"cluster": await _shown(face, kept, include=("TAGS", "SETTINGS"))}


async def make_cluster(face: Face, body: dict[str, Any]) -> Mapping[str, Any]:
    """The cluster as it is kept: this one, unless there is an active one of its name."""
    key = names_of(face).cluster_arn(body["clusterName"])
    try:
        return (await face.documents.put(CLUSTER_KIND, key, body, 0)).body
    except DocumentChangedError:
        kept = await changed(
            face.documents,
            CLUSTER_KIND,
            key,
            lambda old: old if old["status"] == ACTIVE else body,
        )
        return kept.body if kept else body


async def use_cluster(face: Face, wanted: str | None) -> str:
    """Likewise find_cluster, for what is made in it: the default cluster is made at its first use."""
    name = cluster_named(face, wanted)
    if name == DEFAULT_CLUSTER:
        await make_cluster(face, fresh_cluster(name, face.now_ms()))
    return await find_cluster(face, name)


@operation("ecs", "DescribeClusters")
async def describe_clusters(face: Face, request: Request) -> dict[str, Any]:
    """Clusters by name or ARN; without any the default one."""
    wanted = request.get("clusters") or [DEFAULT_CLUSTER]
    if len(wanted) > DESCRIBED_MAX:
        raise invalid(f"Clusters can have at most {DESCRIBED_MAX} items.")
    include = request.get("include", [])
    clusters: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for one in dict.fromkeys(wanted):
        try:
            name = cluster_named(face, one)
        except AwsError:
            failures.append(missing(one))
            continue
        arn = names_of(face).cluster_arn(name)
        found = await face.documents.get(CLUSTER_KIND, arn)
        is_first = one == DEFAULT_CLUSTER and "clusters" not in request.input
        if found is None and (is_first or name in await clusters_of_files(face, name)):
            found_body: Mapping[str, Any] | None = fresh_cluster(name, face.now_ms())
        else:
            found_body = found.body if found else None
        if found_body is None:
            failures.append(missing(arn))
        else:
            clusters.append(await _shown(face, found_body, include=include))
    return {"clusters": clusters, "failures": failures}


@operation("ecs", "ListClusters")
async def list_clusters(face: Face, request: Request) -> dict[str, Any]:
    """The ARNs of the active ones."""
    found = await face.documents.list(CLUSTER_KIND)
    arns = {d.key for d in found if d.body["status"] == ACTIVE}
    arns |= {names_of(face).cluster_arn(name) for name in await clusters_of_files(face)}
    return listed(request, "clusterArns", sorted(arns))


@operation("ecs", "UpdateCluster", ignores=("configuration",), refuses=_CONNECT)
async def update_cluster(face: Face, request: Request) -> dict[str, Any]:
    """Change a cluster's settings."""
    return await _changed(face, request)


@operation("ecs", "UpdateClusterSettings")
async def update_cluster_settings(face: Face, request: Request) -> dict[str, Any]:
    """Likewise."""
    return await _changed(face, request)


@operation("ecs", "PutClusterCapacityProviders")
async def put_cluster_capacity_providers(face: Face, request: Request) -> dict[str, Any]:
    """Keep them; tasks run on the machines that there are, whatever they say."""
    return await _changed(face, request)


@operation("ecs", "DeleteCluster")
async def delete_cluster(face: Face, request: Request) -> dict[str, Any]:
    """Deactivate a cluster in which nothing runs. Its machines are those of all others, and in nobody's way."""
    name = await find_cluster(face, request["cluster"])
    overview = await face.operations.overview(slug(name))
    counts = _counts(overview, name)
    if counts["services"] or counts["draining"]:
        told = "The Cluster cannot be deleted while Services are active."
        raise AwsError("ClusterContainsServicesException", told, 400)
    if counts["running"] or counts["pending"]:
        told = "The Cluster cannot be deleted while Tasks are active."
        raise AwsError("ClusterContainsTasksException", told, 400)
    await make_cluster(face, fresh_cluster(name, face.now_ms()))
    kept = await changed(
        face.documents,
        CLUSTER_KIND,
        names_of(face).cluster_arn(name),
        lambda body: {**body, "status": INACTIVE},
    )
    if kept is None:
        raise no_cluster()
    return {"cluster": await _shown(face, kept.body, include=())}


async def _changed(face: Face, request: Request) -> dict[str, Any]:
    name = await use_cluster(face, request["cluster"])
    kept = await changed(
        face.documents,
        CLUSTER_KIND,
        names_of(face).cluster_arn(name),
        lambda body: _given(request, body),
    )
    if kept is None:
        raise no_cluster()
    return {"cluster": await _shown(face, kept.body, include=("SETTINGS", "TAGS"))}


def _given(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """The cluster with what the request says of it."""
    said = ("capacityProviders", "defaultCapacityProviderStrategy")
    given = {member: request[member] for member in said if member in request.input}
    changes: list[dict[str, Any]] = request.get("settings", [])
    if any(not setting.get("name") for setting in changes):
        raise invalid("A cluster setting must have a name.")
    settings = {s["name"]: s for s in (*body["settings"], *changes)}
    return {**body, **given, "settings": list(settings.values())}


async def _shown(
    face: Face, body: Mapping[str, Any], *, include: Collection[str]
) -> dict[str, Any]:
    name = body["clusterName"]
    is_active = body["status"] == ACTIVE
    overview = await face.operations.overview(slug(name))
    counts = _counts(overview, name)
    return {
        "clusterArn": names_of(face).cluster_arn(name),
        "clusterName": name,
        "status": body["status"],
        "registeredContainerInstancesCount": len(overview.nodes) if is_active else 0,
        "runningTasksCount": counts["running"],
        "pendingTasksCount": counts["pending"],
        "activeServicesCount": counts["services"],
        "statistics": _statistics(counts) if "STATISTICS" in include else [],
        "tags": body["tags"] if "TAGS" in include else [],
        "settings": body["settings"] if "SETTINGS" in include else [],
        "capacityProviders": body["capacityProviders"],
        "defaultCapacityProviderStrategy": body["defaultCapacityProviderStrategy"],
    }


def _counts(overview: Overview, cluster: str) -> dict[str, int]:
    """What runs under the cluster's name."""
    counts = {"running": 0, "pending": 0, "services": 0, "draining": 0}
    for state in overview.apps.values():
        origin = origin_of_state(state)
        if origin is None or origin.cluster != cluster:
            continue
        tasks = counts_of(state.live)
        counts["running"] += tasks.running
        counts["pending"] += tasks.pending
        if origin.kind == SERVICE:
            counts["services" if state.target is not None else "draining"] += 1
    return counts


def _statistics(counts: Mapping[str, int]) -> list[dict[str, str]]:
    """Everything is of launch type EC2."""
    figures = {
        "runningEC2TasksCount": counts["running"],
        "runningFargateTasksCount": 0,
        "pendingEC2TasksCount": counts["pending"],
        "pendingFargateTasksCount": 0,
        "activeEC2ServiceCount": counts["services"],
        "activeFargateServiceCount": 0,
        "drainingEC2ServiceCount": counts["draining"],
        "drainingFargateServiceCount": 0,
    }
    return [{"name": name, "value": str(value)} for name, value in figures.items()]
