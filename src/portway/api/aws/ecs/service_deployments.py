"""Service deployments and revisions: those that a service has had, under their long names, and how one is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portway.api.aws.ecs.common import find_cluster, invalid, missing, names_of, refused
from portway.api.aws.ecs.service_finding import find_service
from portway.api.aws.ecs.service_store import Service
from portway.api.aws.ecs.service_view import deployment_configuration
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page
from portway.controller.ecs.deployments import stored_deployments
from portway.core.aws_names import is_arn, read_arn
from portway.core.balancing.model import is_classic
from portway.core.capacity import failure_threshold
from portway.core.ecs.deployments import ServiceDeployment, deployments_of
from portway.core.ecs.past import IN_PROGRESS, OPEN, PastDeployment, follow_deployments
from portway.core.errors import RequestError
from portway.core.state import AppState

_DESCRIBED_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One deployment of a service. `live`: what it has of tasks, while it has any or should have some."""

    service: Service
    state: AppState | None
    past: PastDeployment
    live: ServiceDeployment | None
    arn: str
    revision_arn: str


@operation("ecs", "ListServiceDeployments")
async def list_service_deployments(face: Face, request: Request) -> dict[str, Any]:
    """Those that the service has had, the newest first."""
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
        if (not statuses or one.past.status in statuses)
        and when.get("after", 0) <= one.past.began_at_ms <= when.get("before", 1 << 62)
    ]
    taken, token = page(
        found,
        key=lambda one: f"{(1 << 62) - one.past.began_at_ms:020}{one.arn}",
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


@operation("ecs", "StopServiceDeployment")
async def stop_service_deployment(face: Face, request: Request) -> dict[str, Any]:
    """Roll a deployment that is under way back to the revision before it."""
    arn = request["serviceDeploymentArn"]
    if request.get("stopType", "ROLLBACK") != "ROLLBACK":
        raise invalid("stopType is ROLLBACK: the service goes back to the revision before.")
    found = next((one for one in await _named(face, arn) if one.arn == arn), None)
    if found is None:
        raise AwsError("ServiceDeploymentNotFoundException", "The service deployment was not found.", 400)  # fmt: skip
    if found.past.status != IN_PROGRESS:
        told = f"The service deployment is {found.past.status} and cannot be stopped."
        raise AwsError("ConflictException", told, 400)
    if not found.past.before:
        raise refused("The first deployment of a service has no revision to go back to. Scale the service to 0, or delete it.")  # fmt: skip
    stack, _, app = found.service.app_id.rpartition("/")
    try:
        await face.operations.cancel_app(stack, app)
    except RequestError as error:
        raise AwsError("ConflictException", str(error), 400) from error
    return {"serviceDeploymentArn": arn}


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
    known = await stored_deployments(face.documents, service.arn)
    live: dict[str, ServiceDeployment] = {}
    if state is not None:
        known = follow_deployments(known, state, names, now_ms=face.now_ms())
        live = {one.revision.id: one for one in deployments_of(state, names)}
    found: list[_Found] = []
    for past in known:
        deployment_id = names.deployment_id(service.app_id, past.revision)
        found.append(
            _Found(
                service=service,
                state=state,
                past=past,
                live=live.get(past.revision),
                arn=names.service_deployment_arn(service.cluster, service.name, deployment_id),
                revision_arn=_revision_arn(face, service, past.revision),
            )
        )
    return found


def _revision_arn(face: Face, service: Service, revision: str) -> str:
    names = names_of(face)
    deployment_id = names.deployment_id(service.app_id, revision)
    return names.service_revision_arn(service.cluster, service.name, deployment_id)


def _counted(face: Face, service: Service, revision: str, live: ServiceDeployment | None, count: int = 0) -> dict[str, Any]:  # fmt: skip
    counts = live.counts if live else None
    return {
        "arn": _revision_arn(face, service, revision),
        "requestedTaskCount": counts.desired if counts else count,
        "runningTaskCount": counts.running if counts else 0,
        "pendingTaskCount": counts.pending if counts else 0,
    }


def _shown(face: Face, one: _Found) -> dict[str, Any]:
    past, service = one.past, one.service
    shown: dict[str, Any] = {
        "serviceDeploymentArn": one.arn,
        "serviceArn": service.arn,
        "clusterArn": names_of(face).cluster_arn(service.cluster),
        "createdAt": past.began_at_ms,
        "startedAt": past.began_at_ms,
        "updatedAt": past.ended_at_ms or (one.live.updated_at_ms if one.live else past.began_at_ms),
        "targetServiceRevision": _counted(face, service, past.revision, one.live, past.count),
        "status": past.status,
        "statusReason": past.reason,
        "deploymentConfiguration": deployment_configuration(service.spec),
        "deploymentCircuitBreaker": _breaker(one),
    }
    if past.before:
        before = None
        if one.state is not None:
            live = deployments_of(one.state, names_of(face))
            before = next((each for each in live if each.revision.id == past.before), None)
        shown["sourceServiceRevisions"] = [_counted(face, service, past.before, before)]
    if past.back_to:
        shown["rollback"] = {
            "reason": past.reason,
            "startedAt": past.back_at_ms,
            "serviceRevisionArn": _revision_arn(face, service, past.back_to),
        }
    if past.ended_at_ms is not None:
        shown["finishedAt"] = past.ended_at_ms
        if past.status == "STOPPED":
            shown["stoppedAt"] = past.ended_at_ms
    return shown


def _breaker(one: _Found) -> Mapping[str, Any]:
    enabled = deployment_configuration(one.service.spec)["deploymentCircuitBreaker"]["enable"]
    watches = "MONITORING" if one.past.status == IN_PROGRESS else "MONITORING_COMPLETE"
    status = "TRIGGERED" if one.past.is_tripped else watches
    return {
        "status": status if enabled else "DISABLED",
        "failureCount": one.live.failed_tasks if one.live and one.past.status in OPEN else 0,
        "threshold": failure_threshold(one.past.count),
    }


def _revision(face: Face, one: _Found) -> dict[str, Any]:
    past, spec = one.past, one.service.spec
    return {
        "serviceRevisionArn": one.revision_arn,
        "serviceArn": one.service.arn,
        "clusterArn": names_of(face).cluster_arn(one.service.cluster),
        "taskDefinition": past.task_definition,
        "launchType": spec.get("launchType") or "EC2",
        "loadBalancers": [
            {
                "loadBalancerName" if is_classic(bound.group) else "targetGroupArn": bound.group,
                "containerName": bound.container,
                "containerPort": bound.container_port,
            }
            for bound in past.targets
        ],
        "serviceRegistries": [],
        "networkConfiguration": spec.get("networkConfiguration"),
        "containerImages": [
            {"containerName": name, "image": image, "imageDigest": image_id or None}
            for name, image, image_id in past.containers
        ],
        "createdAt": past.began_at_ms,
    }
