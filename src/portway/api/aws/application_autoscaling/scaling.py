"""Scalable targets, their policies, and what was done by them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import Body, changed
from portway.api.aws.operation import Handler, Request, operation
from portway.api.aws.paging import page
from portway.controller.autoscaling.measuring import app_id_of
from portway.controller.autoscaling.scaling import ACTIVITY, POLICY, TARGET
from portway.core.autoscaling import COOLDOWN_S, Metric
from portway.store.base import Document

_SERVICE = "application-autoscaling"
_DIMENSION = "ecs:service:DesiredCount"
_RESOURCE = re.compile(r"service/[A-Za-z0-9_-]{1,255}/[A-Za-z0-9_-]{1,255}")
_LABEL = re.compile(r"app/[^/]+/[^/]+/targetgroup/[^/]+/[^/]+")
_POLICIES_MAX = 50
_PAGE_SIZE = 50


def _refuse(told: str) -> AwsError:
    return AwsError("ValidationException", told)


def _resource(request: Request) -> str:
    """The service that is meant; nothing else is scaled here."""
    if request["ServiceNamespace"] != "ecs" or request["ScalableDimension"] != _DIMENSION:
        raise _refuse(f"portway scales {_DIMENSION} of the service namespace ecs, and nothing else.")  # fmt: skip
    resource_id = request["ResourceId"]
    if not _RESOURCE.fullmatch(resource_id):
        raise _refuse(f"Unsupported service namespace, resource type or scalable dimension: {resource_id}. Write service/<cluster>/<service>.")  # fmt: skip
    return resource_id


def _missing(what: str, resource_id: str) -> AwsError:
    told = f"No {what} found for service namespace: ecs, resource ID: {resource_id}, scalable dimension: {_DIMENSION}"
    return AwsError("ObjectNotFoundException", told)


def _alone(run: Handler) -> Handler:
    """Changes of what scales one service are made one after another."""

    @wraps(run)
    async def one_at_a_time(face: Face, request: Request) -> Mapping[str, Any]:
        async with face.alone(f"{_SERVICE} {request['ResourceId']}"):
            return await run(face, request)

    return one_at_a_time


@operation(_SERVICE, "RegisterScalableTarget", ignores=("RoleARN",))
@_alone
async def register_scalable_target(face: Face, request: Request) -> dict[str, Any]:
    """Let a service be scaled within bounds, or change them."""
    resource_id = _resource(request)
    stored = await face.documents.get(TARGET, resource_id)
    old: Mapping[str, Any] = stored.body if stored else {}
    least, most = request.get("MinCapacity", old.get("least")), request.get("MaxCapacity", old.get("most"))  # fmt: skip
    if least is None or most is None:
        raise _refuse("You must specify both MinCapacity and MaxCapacity when registering a scalable target.")  # fmt: skip
    if not 0 <= least <= most:
        raise _refuse("Maximum capacity cannot be less than minimum capacity.")
    await _check_there(face, resource_id)
    tags: dict[str, str] = {**old.get("tags", {}), **(request.get("Tags") or {})}
    body: Body = {
        "resource_id": resource_id,
        "tags": tags,
        "least": least,
        "most": most,
        "suspended": {**(old.get("suspended") or {}), **(request.get("SuspendedState") or {})},
    }
    await _put_target(face, resource_id, body)
    return {"ScalableTargetARN": _target_arn(face, resource_id)}


async def _put_target(face: Face, resource_id: str, body: Body) -> None:
    """Whenever the service was scaled meanwhile, that stays known."""
    if await changed(face.documents, TARGET, resource_id, lambda old: {**old, **body}) is None:
        await face.documents.put(TARGET, resource_id, {"created_at_ms": face.now_ms(), **body})


async def _check_there(face: Face, resource_id: str) -> None:
    app_id = app_id_of(resource_id)
    overview = await face.operations.overview(app_ids=(app_id,))
    if app_id not in overview.apps:
        raise _refuse(f"ECS service doesn't exist: {resource_id}")


@operation(_SERVICE, "DescribeScalableTargets")
async def describe_scalable_targets(face: Face, request: Request) -> dict[str, Any]:
    """Scalable targets by their resources."""
    wanted = request.get("ResourceIds") or ()
    found = [d for d in await _kept(face, TARGET, request) if not wanted or d.key in wanted]
    return _listing(request, "ScalableTargets", found, lambda body: _shown_target(face, body))


@operation(_SERVICE, "DeregisterScalableTarget")
@_alone
async def deregister_scalable_target(face: Face, request: Request) -> dict[str, Any]:
    """Scale a service no more; its policies go too."""
    resource_id = _resource(request)
    if not await face.documents.delete(TARGET, resource_id):
        raise _missing("scalable target", resource_id)
    for policy in await face.documents.list(POLICY, f"{resource_id}#"):
        await face.documents.delete(POLICY, policy.key)
    return {}


@operation(
    _SERVICE,
    "PutScalingPolicy",
    refuses={
        "StepScalingPolicyConfiguration": "it has no alarms to step by; use TargetTrackingScaling",
        "PredictiveScalingPolicyConfiguration": "it does not predict; use TargetTrackingScaling",
    },
)
@_alone
async def put_scaling_policy(face: Face, request: Request) -> dict[str, Any]:
    """Have a service follow the requests for each of its tasks, or the processors or memory that they use."""
    resource_id, name = _resource(request), request["PolicyName"]
    if await face.documents.get(TARGET, resource_id) is None:
        raise _missing("scalable target", resource_id)
    if request.get("PolicyType", "TargetTrackingScaling") != "TargetTrackingScaling":
        raise _refuse("portway does target tracking: PolicyType TargetTrackingScaling.")
    given = request.get("TargetTrackingScalingPolicyConfiguration") or {}
    metric, label = _checked_metric(given)
    key = f"{resource_id}#{name}"
    stored = await face.documents.get(POLICY, key)
    if stored is None and len(await face.documents.list(POLICY, f"{resource_id}#")) >= _POLICIES_MAX:  # fmt: skip
        raise AwsError("LimitExceededException", f"A service has at most {_POLICIES_MAX} policies.")
    policy_id = hashlib.sha256(key.encode()).hexdigest()[:12]
    alarm = f"TargetTracking-{resource_id}-Alarm{{}}-{policy_id}"
    body = {
        "created_at_ms": stored.body["created_at_ms"] if stored else face.now_ms(),
        "resource_id": resource_id,
        "name": name,
        "id": policy_id,
        "metric": metric.value,
        "label": label,
        "given": dict(given),
        "tracking": {
            "target_value": given["TargetValue"],
            "scale_out_cooldown_s": given.get("ScaleOutCooldown", COOLDOWN_S),
            "scale_in_cooldown_s": given.get("ScaleInCooldown", COOLDOWN_S),
            "disable_scale_in": given.get("DisableScaleIn", False),
        },
        "alarms": {side: alarm.format(side.title()) for side in ("high", "low")},
    }
    await face.documents.put(POLICY, key, body)
    return {"PolicyARN": _policy_arn(face, body), "Alarms": _alarms(face, body)}


def _checked_metric(given: Mapping[str, Any]) -> tuple[Metric, str]:
    """What is followed; of requests, with the label of their target group."""
    if not given:
        raise _refuse("TargetTrackingScalingPolicyConfiguration must be given.")
    if given["TargetValue"] <= 0:
        raise _refuse("TargetValue must be greater than 0.")
    if min(given.get("ScaleOutCooldown", 0), given.get("ScaleInCooldown", 0)) < 0:
        raise _refuse("A cooldown must not be negative.")
    said = given.get("PredefinedMetricSpecification") or {}
    if said.get("PredefinedMetricType") not in list(Metric):
        told = f"portway measures {', '.join(Metric)}: give one of them as PredefinedMetricSpecification."
        raise _refuse(told)
    metric = Metric(said["PredefinedMetricType"])
    label = said.get("ResourceLabel") or ""
    if metric is not Metric.REQUESTS:
        if label:
            raise _refuse(f"ResourceLabel is for {Metric.REQUESTS} alone, not for {metric}.")
    elif not _LABEL.fullmatch(label):
        raise _refuse("ResourceLabel must be of the form app/<load-balancer-name>/<load-balancer-id>/targetgroup/<target-group-name>/<target-group-id>.")  # fmt: skip
    return metric, label


@operation(_SERVICE, "DescribeScalingPolicies")
async def describe_scaling_policies(face: Face, request: Request) -> dict[str, Any]:
    """Policies by service and name."""
    wanted = request.get("PolicyNames") or ()
    found = [
        d for d in await _kept(face, POLICY, request) if not wanted or d.body["name"] in wanted
    ]
    return _listing(request, "ScalingPolicies", found, lambda body: _shown_policy(face, body))


@operation(_SERVICE, "DeleteScalingPolicy")
async def delete_scaling_policy(face: Face, request: Request) -> dict[str, Any]:
    """Forget a policy; the service stays as large as it is."""
    resource_id = _resource(request)
    if not await face.documents.delete(POLICY, f"{resource_id}#{request['PolicyName']}"):
        raise _missing("scaling policy", resource_id)
    return {}


@operation(_SERVICE, "DescribeScalingActivities", ignores=("IncludeNotScaledActivities",))
async def describe_scaling_activities(face: Face, request: Request) -> dict[str, Any]:
    """What was scaled, the newest first."""
    found = await _kept(face, ACTIVITY, request)
    newest = {d.key: f"{10**15 - d.body['at_ms']:016}" for d in found}
    return _listing(request, "ScalingActivities", found, _shown_activity, order=newest)


async def _kept(face: Face, kind: str, request: Request) -> list[Document]:
    if request["ServiceNamespace"] != "ecs" or request.get("ScalableDimension", _DIMENSION) != _DIMENSION:  # fmt: skip
        return []
    resource_id = request.get("ResourceId")
    return [
        document
        for document in await face.documents.list(kind)
        if not resource_id or document.body["resource_id"] == resource_id
    ]


def _listing(
    request: Request,
    member: str,
    found: list[Document],
    shown: Callable[[Mapping[str, Any]], Body],
    *,
    order: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    taken, token = page(
        found,
        key=lambda document: (order or {}).get(document.key, "") + document.key,
        size=request.get("MaxResults") or _PAGE_SIZE,
        token=request.get("NextToken"),
        scope=f"{request.operation} {request.get('ResourceId')}",
        code="InvalidNextTokenException",
        message="The token is not valid.",
    )
    return {member: [shown(document.body) for document in taken], "NextToken": token}


def _common(body: Mapping[str, Any]) -> Body:
    return {
        "ServiceNamespace": "ecs",
        "ResourceId": body["resource_id"],
        "ScalableDimension": _DIMENSION,
    }


def _shown_target(face: Face, body: Mapping[str, Any]) -> Body:
    suspended = {f"{name}Suspended": False for name in ("DynamicScalingIn", "DynamicScalingOut", "ScheduledScaling")}  # fmt: skip
    return {
        **_common(body),
        "MinCapacity": body["least"],
        "MaxCapacity": body["most"],
        "RoleARN": f"arn:aws:iam::{face.account_id}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService",
        "CreationTime": body["created_at_ms"],
        "SuspendedState": {**suspended, **body["suspended"]},
        "ScalableTargetARN": _target_arn(face, body["resource_id"]),
    }


def _shown_policy(face: Face, body: Mapping[str, Any]) -> Body:
    return {
        **_common(body),
        "PolicyARN": _policy_arn(face, body),
        "PolicyName": body["name"],
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": body["given"],
        "Alarms": _alarms(face, body),
        "CreationTime": body["created_at_ms"],
    }


def _shown_activity(body: Mapping[str, Any]) -> Body:
    text = f"{body['resource_id']}#{body['at_ms']}"
    return {
        **_common(body),
        "ActivityId": hashlib.sha256(text.encode()).hexdigest()[:32],
        "Description": f"Setting desired count to {body['count']}.",
        "Cause": body["cause"],
        "StartTime": body["at_ms"],
        "EndTime": body["at_ms"],
        "StatusCode": "Successful",
        "StatusMessage": f"Successfully set desired count to {body['count']}.",
    }


def _target_arn(face: Face, resource_id: str) -> str:
    digits = hashlib.sha256(resource_id.encode()).hexdigest()[:32]
    return face.arn(_SERVICE, f"scalable-target/{digits}")


def _policy_arn(face: Face, body: Mapping[str, Any]) -> str:
    resource = (
        f"scalingPolicy:{body['id']}:resource/ecs/{body['resource_id']}:policyName/{body['name']}"
    )
    return face.arn("autoscaling", resource)


def _alarms(face: Face, body: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"AlarmName": name, "AlarmARN": face.arn("cloudwatch", f"alarm:{name}")}
        for name in body["alarms"].values()
    ]
