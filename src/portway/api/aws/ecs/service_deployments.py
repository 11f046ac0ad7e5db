"""Service deployments and revisions: the deployments that a service has now, under their long names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from portway.api.aws.ecs.common import find_cluster, invalid, missing, names_of
from portway.api.aws.ecs.service_finding import find_service
from portway.api.aws.ecs.service_store import Service
from portway.api.aws.ecs.service_view import deployment_configuration
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page
from portway.core.aws_names import is_arn, read_arn
from portway.core.capacity import failure_threshold
from portway.core.ecs import words
from portway.core.ecs.deployments import FAILED, IN_PROGRESS, ServiceDeployment, deployments_of
from portway.core.state import AppState

_DESCRIBED_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One deployment of a service, with the names of it and of what it brings."""

    service: Service
    state: AppState
    deployment: ServiceDeployment
    arn: str
    revision_arn: str


@operation("ecs", "ListServiceDeployments")
async def list_service_deployments(face: Face, request: Request) -> dict[str, Any]:
    """Those that the service has now, the newest first."""
    wanted = request["service"]
    arn = read_arn(wanted) if is_arn(wanted) else None
    parts = arn.resource.split("/") if arn else []
    cluster = await find_cluster(face, request.get("cluster") or (parts[1] if len(parts) == 3 else None))  # fmt: skip
    service = await find_service(face, cluster, wanted)
    if service is None:
        raise AwsError("ServiceNotFoundException", "Service not found.", 400)
    statuses, when = request.get("status"), request.get("createdAt") or {}
    found = [
        one
        for one in await _of(face, service)
        if (not statuses or _status(one) in statuses)
        and when.get("after", 0) <= one.deployment.created_at_ms <= when.get("before", 1 << 62)
    ]
    taken, token = page(
        found,
        key=lambda one: f"{(1 << 62) - one.deployment.created_at_ms:020}{one.arn}",
        size=request.get("maxResults") or _DESCRIBED_MAX,
        token=request.get("nextToken"),
        scope=f"ListServiceDeployments {service.arn} {statuses}",
    )
    brief = ("serviceDeploymentArn", "serviceArn", "clusterArn", "startedAt", "createdAt", "finishedAt", "status", "statusReason")  # fmt: skip
    shown = [_shown(face, one) for one in taken]
    return {
        "serviceDeployments": [
            {**{k: one[k] for k in brief if k in one}, "targetServiceRevisionArn": one["targetServiceRevision"]["arn"]}
            for one in shown
        ],
        "nextToken": token,
    }  # fmt: skip


@operation("ecs", "DescribeServiceDeployments")
async def describe_service_deployments(face: Face, request: Request) -> dict[str, Any]:
    """Up to twenty by ARN."""
    wanted = request["serviceDeploymentArns"]
    if len(wanted) > _DESCRIBED_MAX:
        raise invalid(f"serviceDeploymentArns can have at most {_DESCRIBED_MAX} items.")
    found = {arn: next((o for o in await _named(face, arn) if o.arn == arn), None) for arn in wanted}  # fmt: skip
    return {
        "serviceDeployments": [_shown(face, one) for one in found.values() if one],
        "failures": [missing(arn) for arn, one in found.items() if one is None],
    }


@operation("ecs", "DescribeServiceRevisions")
async def describe_service_revisions(face: Face, request: Request) -> dict[str, Any]:
    """Up to twenty by ARN."""
    wanted = request["serviceRevisionArns"]
    if len(wanted) > _DESCRIBED_MAX:
        raise invalid(f"serviceRevisionArns can have at most {_DESCRIBED_MAX} items.")
    found = {arn: next((o for o in await _named(face, arn) if o.revision_arn == arn), None) for arn in wanted}  # fmt: skip
    return {
        "serviceRevisions": [_revision(face, one) for one in found.values() if one],
        "failures": [missing(arn) for arn, one in found.items() if one is None],
    }


async def _named(face: Face, text: str) -> list[_Found]:
    """Every deployment of the service that an ARN is about."""
    arn = read_arn(text)
    parts = arn.resource.split("/") if arn else []
    if len(parts) != 4 or parts[0] not in ("service-deployment", "service-revision"):
        raise invalid(f"Invalid identifier: {text}")
    service = await find_service(face, parts[1], parts[2])
    return await _of(face, service) if service else []


async def _of(face: Face, service: Service) -> list[_Found]:
    names = names_of(face)
    overview = await face.operations.overview(app_ids=(service.app_id,))
    state = overview.apps.get(service.app_id)
    if state is None:
        return []
    return [
        _Found(
            service=service,
            state=state,
            deployment=one,
            arn=names.service_deployment_arn(service.cluster, service.name, one.id),
            revision_arn=names.service_revision_arn(service.cluster, service.name, one.id),
        )
        for one in deployments_of(state, names)
    ]


def _status(one: _Found) -> str:
    rolls_back = one.deployment.rollout_reason.startswith(words.breaker_rolls_back("")[:-1])
    if one.deployment.rollout_state == IN_PROGRESS:
        return "ROLLBACK_IN_PROGRESS" if rolls_back else "IN_PROGRESS"
    if one.deployment.rollout_state == FAILED:
        return "ROLLBACK_SUCCESSFUL" if not one.deployment.is_primary else "STOPPED"
    return "SUCCESSFUL"


def _shown(face: Face, one: _Found) -> dict[str, Any]:
    deployment, service = one.deployment, one.service
    breaker = deployment_configuration(service.spec)["deploymentCircuitBreaker"]
    watches = "MONITORING" if deployment.rollout_state == IN_PROGRESS else "MONITORING_COMPLETE"
    status = "TRIGGERED" if deployment.rollout_state == FAILED else watches
    counts = deployment.counts
    shown = {
        "serviceDeploymentArn": one.arn,
        "serviceArn": service.arn,
        "clusterArn": names_of(face).cluster_arn(service.cluster),
        "createdAt": deployment.created_at_ms,
        "startedAt": deployment.created_at_ms,
        "updatedAt": deployment.updated_at_ms,
        "targetServiceRevision": {
            "arn": one.revision_arn,
            "requestedTaskCount": counts.desired,
            "runningTaskCount": counts.running,
            "pendingTaskCount": counts.pending,
        },
        "status": _status(one),
        "statusReason": deployment.rollout_reason,
        "deploymentConfiguration": deployment_configuration(service.spec),
        "deploymentCircuitBreaker": {
            "status": status if breaker["enable"] else "DISABLED",
            "failureCount": deployment.failed_tasks,
            "threshold": failure_threshold(one.state.count),
        },
    }
    if deployment.rollout_state != IN_PROGRESS:
        shown["finishedAt"] = deployment.updated_at_ms
    return shown


def _revision(face: Face, one: _Found) -> dict[str, Any]:
    app, spec = one.deployment.revision.app, one.service.spec
    first = {"containerName": app.container_name or app.name, "image": app.image or "", "imageDigest": app.image_id or None}  # fmt: skip
    others = [{"containerName": c.name, "image": c.image, "imageDigest": c.image_id or None} for c in app.containers]  # fmt: skip
    return {
        "serviceRevisionArn": one.revision_arn,
        "serviceArn": one.service.arn,
        "clusterArn": names_of(face).cluster_arn(one.service.cluster),
        "taskDefinition": one.deployment.task_definition,
        "launchType": spec.get("launchType") or "EC2",
        "loadBalancers": spec.get("loadBalancers") or [],
        "serviceRegistries": [],
        "networkConfiguration": spec.get("networkConfiguration"),
        "containerImages": [first, *others],
        "createdAt": one.deployment.created_at_ms,
    }
