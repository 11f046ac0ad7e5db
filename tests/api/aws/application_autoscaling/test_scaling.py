"""Scalable targets and policies, with boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from portway.controller.overview import Overview
from portway.core.state import AppState
from tests.api.aws.conftest import ServedFace

SERVICE = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/c/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
TRACKING = {
    "TargetValue": 100.0,
    "PredefinedMetricSpecification": {
        "PredefinedMetricType": "ALBRequestCountPerTarget",
        "ResourceLabel": "app/web/1/targetgroup/tg/2",
    },
    "ScaleInCooldown": 60,
}


@pytest.fixture(autouse=True)
def service(face: ServedFace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service exists."""

    async def overview(stack: str = "", *, app_ids: object = None) -> Overview:
        return Overview(home_id="home", apps={"c/web": AppState(app_id="c/web", target=None)})

    monkeypatch.setattr(face.operations, "overview", overview)


async def ask(face: ServedFace, operation: str, **members: Any) -> dict[str, Any]:
    return await face.ask("application-autoscaling", operation, **members)


async def refused(face: ServedFace, operation: str, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        await ask(face, operation, **members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


async def test_a_service_is_registered_changed_and_forgotten(face: ServedFace) -> None:
    made = await ask(face, "register_scalable_target", MinCapacity=1, MaxCapacity=4, **SERVICE)
    suspended = {"DynamicScalingInSuspended": True}
    again = await ask(face, "register_scalable_target", MaxCapacity=6, SuspendedState=suspended, **SERVICE)  # fmt: skip
    assert made["ScalableTargetARN"] == again["ScalableTargetARN"]
    (target,) = (await ask(face, "describe_scalable_targets", ServiceNamespace="ecs"))["ScalableTargets"]  # fmt: skip
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 6)
    assert target["SuspendedState"] == {
        "DynamicScalingInSuspended": True,
        "DynamicScalingOutSuspended": False,
        "ScheduledScalingSuspended": False,
    }
    await ask(face, "put_scaling_policy", PolicyName="p", TargetTrackingScalingPolicyConfiguration=TRACKING, **SERVICE)  # fmt: skip
    await ask(face, "deregister_scalable_target", **SERVICE)
    assert (await refused(face, "deregister_scalable_target", **SERVICE))[0] == "ObjectNotFoundException"  # fmt: skip
    found = await ask(face, "describe_scaling_policies", ServiceNamespace="ecs")
    assert found["ScalingPolicies"] == []


async def test_a_policy_is_kept_as_given_with_the_names_of_two_alarms(face: ServedFace) -> None:
    given = {
        "PolicyName": "p",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": TRACKING,
        **SERVICE,
    }
    assert (await refused(face, "put_scaling_policy", **given))[0] == "ObjectNotFoundException"
    await ask(face, "register_scalable_target", MinCapacity=1, MaxCapacity=4, **SERVICE)
    made = await ask(face, "put_scaling_policy", **given)
    names = [alarm["AlarmName"] for alarm in made["Alarms"]]
    assert [name.split("-")[2] for name in names] == ["AlarmHigh", "AlarmLow"]
    (policy,) = (await ask(face, "describe_scaling_policies", ServiceNamespace="ecs"))["ScalingPolicies"]  # fmt: skip
    assert policy["TargetTrackingScalingPolicyConfiguration"] == TRACKING
    assert policy["PolicyARN"] == made["PolicyARN"]
    await ask(face, "delete_scaling_policy", PolicyName="p", **SERVICE)
    assert (await refused(face, "delete_scaling_policy", PolicyName="p", **SERVICE))[0] == "ObjectNotFoundException"  # fmt: skip
    activities = await ask(face, "describe_scaling_activities", ServiceNamespace="ecs")
    assert activities["ScalingActivities"] == []


async def test_what_is_not_scaled_here_is_refused_with_what_is(face: ServedFace) -> None:
    given = {"MinCapacity": 3, "MaxCapacity": 1, **SERVICE}
    assert (await refused(face, "register_scalable_target", **given))[0] == "ValidationException"
    assert (await refused(face, "register_scalable_target", **SERVICE))[1].startswith("You must specify both")  # fmt: skip
    other = {**SERVICE, "ResourceId": "service/c/none", "MinCapacity": 1, "MaxCapacity": 2}
    assert (await refused(face, "register_scalable_target", **other))[1] == "ECS service doesn't exist: service/c/none"  # fmt: skip
    await ask(face, "register_scalable_target", MinCapacity=1, MaxCapacity=4, **SERVICE)
    cpu = {**TRACKING, "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}  # fmt: skip
    asked = {"PolicyName": "p", "TargetTrackingScalingPolicyConfiguration": cpu, **SERVICE}
    await ask(face, "put_scaling_policy", **asked)
    cpu["PredefinedMetricSpecification"]["ResourceLabel"] = "app/web/1/targetgroup/tg/2"
    assert "ResourceLabel is for ALB" in (await refused(face, "put_scaling_policy", **asked))[1]
    cpu["PredefinedMetricSpecification"] = {"PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization"}  # fmt: skip
    assert "portway measures ALB" in (await refused(face, "put_scaling_policy", **asked))[1]
    steps = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": []}
    asked = {"PolicyName": "p", "PolicyType": "StepScaling", "StepScalingPolicyConfiguration": steps, **SERVICE}  # fmt: skip
    assert "use TargetTrackingScaling" in (await refused(face, "put_scaling_policy", **asked))[1]
