"""A service as DescribeServices shows it: what was asked for, beside what runs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from portway.api.aws.ecs.service_checks import rebalances
from portway.api.aws.ecs.service_finding import as_it_runs
from portway.api.aws.ecs.service_store import Service
from portway.controller.overview import Overview
from portway.core.aws_names import AwsNames
from portway.core.ecs import words
from portway.core.ecs.deployments import (
    COMPLETED,
    FAILED,
    ServiceDeployment,
    deployments_of,
    is_steady,
    service_counts,
)
from portway.core.ecs.history import History, event_id
from portway.core.state import AppState, DeploymentStatus
from portway.manifests.ecs_service import percentages

_CONTROLLER = {"type": "ECS"}
_ECHOED = (
    "loadBalancers", "serviceRegistries", "placementConstraints", "placementStrategy",
)  # fmt: skip
_SHOWN_WHERE_SAID = (
    "capacityProviderStrategy", "platformVersion", "networkConfiguration", "healthCheckGracePeriodSeconds",
    "propagateTags",
)  # fmt: skip


def shown_service(
    service: Service,
    overview: Overview,
    names: AwsNames,
    *,
    history: History = History(),  # noqa: B008  (a frozen value)
    include: Collection[str] = (),
) -> dict[str, Any]:
    """The whole of it; times are Unix milliseconds."""
    state = overview.apps.get(service.app_id)
    service = as_it_runs(service, state)
    spec = service.spec
    deployments = deployments_of(state, names) if state else ()
    shown: dict[str, Any] = {
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": names.cluster_arn(service.cluster),
        "status": service.status_with(state),
        **_counts(service, state, overview),
        "taskDefinition": deployments[0].task_definition
        if deployments
        else service.task_definition,
        "deploymentConfiguration": deployment_configuration(spec),
        "deployments": [
            *(_shown_deployment(service, one) for one in deployments),
            *_taken_back(service, state, names),
        ],
        "events": [
            {"id": event_id(service.arn, e), "createdAt": e.at_ms, "message": e.message}
            for e in history.events
        ],
        "createdAt": service.created_at_ms,
        "schedulingStrategy": spec.get("schedulingStrategy") or "REPLICA",
        "deploymentController": spec.get("deploymentController") or _CONTROLLER,
        "availabilityZoneRebalancing": rebalances(spec),
        "enableECSManagedTags": bool(spec.get("enableECSManagedTags")),
        "enableExecuteCommand": False,
        "createdBy": service.created_by or None,
        **{member: spec.get(member) or [] for member in _ECHOED},
        **{member: spec[member] for member in _SHOWN_WHERE_SAID if spec.get(member) is not None},
        **_current(service, deployments, names),
    }
    if not spec.get("capacityProviderStrategy"):
        shown["launchType"] = spec.get("launchType") or "EC2"
    if spec.get("role"):
        role = spec["role"]
        shown["roleArn"] = role if ":" in role else f"arn:aws:iam::{names.account_id}:role/{role}"
    if "TAGS" in include:
        shown["tags"] = [dict(tag) for tag in service.tags]
    return shown


def deployment_configuration(spec: Mapping[str, Any]) -> dict[str, Any]:
    """With its defaults, as ECS gives it back."""
    said = dict(spec.get("deploymentConfiguration") or {})
    low, high = percentages(spec)
    breaker = {"enable": False, "rollback": False, **(said.get("deploymentCircuitBreaker") or {})}
    return {
        **said,
        "maximumPercent": high,
        "minimumHealthyPercent": low,
        "deploymentCircuitBreaker": breaker,
        "strategy": "ROLLING",
    }


def _counts(service: Service, state: AppState | None, overview: Overview) -> dict[str, int]:
    if state is None:
        return {"desiredCount": 0, "runningCount": 0, "pendingCount": 0}
    counts = service_counts(state)
    desired = counts.desired
    if service.is_daemon and state.target is not None:
        desired = sum(1 for node in overview.nodes if node.available and not node.draining)
    return {"desiredCount": desired, "runningCount": counts.running, "pendingCount": counts.pending}


def _shown_deployment(service: Service, one: ServiceDeployment) -> dict[str, Any]:
    spec = service.spec
    shown: dict[str, Any] = {
        "id": one.id,
        "status": one.status,
        "taskDefinition": one.task_definition,
        "desiredCount": one.counts.desired,
        "pendingCount": one.counts.pending,
        "runningCount": one.counts.running,
        "failedTasks": one.failed_tasks,
        "createdAt": one.created_at_ms,
        "updatedAt": one.updated_at_ms,
    }
    if spec.get("capacityProviderStrategy"):
        shown["capacityProviderStrategy"] = spec["capacityProviderStrategy"]
    else:
        shown["launchType"] = spec.get("launchType") or "EC2"
    if spec.get("networkConfiguration"):
        shown["networkConfiguration"] = spec["networkConfiguration"]
    if not service.is_classic:
        shown |= {"rolloutState": one.rollout_state, "rolloutStateReason": one.rollout_reason}
    return shown


def _taken_back(service: Service, state: AppState | None, names: AwsNames) -> list[dict[str, Any]]:
    """The deployment that the breaker takes back, as long as that goes on; nothing of it runs any more."""
    failed = state.deployment if state else None
    if state is None or failed is None or failed.status is not DeploymentStatus.FAILED:
        return []
    is_there = any(record.identity.revision == failed.to_revision for record in state.live)
    is_back = state.target is None or state.target.id == failed.to_revision or is_steady(state)
    if is_there or is_back or service.is_classic:
        return []
    return [
        {
            "id": names.deployment_id(state.app_id, failed.to_revision),
            "status": "ACTIVE",
            "taskDefinition": service.task_definition,
            "desiredCount": 0,
            "pendingCount": 0,
            "runningCount": 0,
            "failedTasks": sum(f.revision == failed.to_revision for f in state.failures),
            "createdAt": failed.started_at_ms,
            "updatedAt": failed.ended_at_ms or failed.started_at_ms,
            "launchType": service.spec.get("launchType") or "EC2",
            "rolloutState": FAILED,
            "rolloutStateReason": words.BREAKER_FAILED,
        }
    ]


def _current(
    service: Service, deployments: Collection[ServiceDeployment], names: AwsNames
) -> dict[str, Any]:
    """The service deployment that runs, and the revisions that have tasks."""
    revisions = [
        {
            "arn": names.service_revision_arn(service.cluster, service.name, one.id),
            "requestedTaskCount": one.counts.desired,
            "runningTaskCount": one.counts.running,
            "pendingTaskCount": one.counts.pending,
        }
        for one in deployments
    ]
    shown: dict[str, Any] = {"currentServiceRevisions": revisions}
    running = next((d for d in deployments if d.is_primary and d.rollout_state != COMPLETED), None)
    if running is not None:
        shown["currentServiceDeployment"] = names.service_deployment_arn(
            service.cluster, service.name, running.id
        )
    return shown
