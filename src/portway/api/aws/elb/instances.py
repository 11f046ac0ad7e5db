"""Instances of classic load balancers: registered and deregistered by hand, how they are checked, and how they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from portway.api.aws.elb.common import change, find, invalid, refused
from portway.api.aws.elb.load_balancers import shown_check, shown_instances
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.core.aws_names import AwsNames
from portway.core.balancing.classic import (
    ClassicBalancer,
    ClassicCheck,
    group_of,
    target_problem,
)
from portway.core.balancing.classic_serving import NOT_REGISTERED, instance_states
from portway.core.balancing.targets import (
    TargetHealth,
    TargetState,
    deregistered,
    registered,
)

_STATES = {
    TargetState.HEALTHY: "InService",
    TargetState.DRAINING: "InService",
    TargetState.UNAVAILABLE: "Unknown",
}


@operation("elb", "ConfigureHealthCheck")
async def configure_health_check(face: Face, request: Request) -> dict[str, Any]:
    """Replace the one check of the load balancer."""
    given = request["HealthCheck"]
    problem = target_problem(given["Target"])
    if problem:
        raise invalid(problem)
    if given["Timeout"] >= given["Interval"]:
        raise invalid("HealthCheck timeout must be less than interval.")
    check = ClassicCheck(
        target=given["Target"],
        interval_s=given["Interval"],
        timeout_s=given["Timeout"],
        unhealthy_threshold=given["UnhealthyThreshold"],
        healthy_threshold=given["HealthyThreshold"],
    )

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        return replace(before, check=check)

    after = await change(face, request, by)
    return {"HealthCheck": shown_check(after.check)}


@operation("elb", "RegisterInstancesWithLoadBalancer")
async def register_instances(face: Face, request: Request) -> dict[str, Any]:
    """Add instances; those that are there stay as they are."""
    asked = _asked(request)
    _check_instances(face, asked)

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        pairs = [(instance_id, 0) for instance_id in asked]
        return replace(before, instances=registered(group_of(before), pairs, now_ms=face.now_ms()))

    return {"Instances": shown_instances(face, await change(face, request, by))}


@operation("elb", "DeregisterInstancesFromLoadBalancer")
async def deregister_instances(face: Face, request: Request) -> dict[str, Any]:
    """Let instances go, with draining where the load balancer drains; one that a service's task runs on stays."""
    asked = _asked(request)
    known = [target.id for target in find(face, request["LoadBalancerName"]).instances]
    _check_instances(face, [instance_id for instance_id in asked if instance_id not in known])

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        return without_instances(before, asked, now_ms=face.now_ms())

    return {"Instances": shown_instances(face, await change(face, request, by))}


def without_instances(
    balancer: ClassicBalancer, instance_ids: Sequence[str], *, now_ms: int
) -> ClassicBalancer:
    """The load balancer once these of those registered by hand have begun to leave."""
    pairs = [(instance_id, None) for instance_id in instance_ids]
    left = deregistered(group_of(balancer), pairs, in_use=True, now_ms=now_ms)
    return replace(balancer, instances=left)


def _asked(request: Request) -> list[str]:
    return list(dict.fromkeys(each.get("InstanceId") or "" for each in request["Instances"]))


def _check_instances(face: Face, instance_ids: Sequence[str]) -> None:
    known = _node_ids(face)
    for instance_id in instance_ids:
        if instance_id not in known:
            raise refused("InvalidInstance", f"Could not find EC2 instance {instance_id}.")


def _node_ids(face: Face) -> set[str]:
    names = AwsNames(region=face.region, account_id=face.account_id, home_id=face.home_id)
    return {names.ec2_instance_id(node.name) for node in face.operations.balancing.nodes}


@operation("elb", "DescribeInstanceHealth")
async def describe_instance_health(face: Face, request: Request) -> dict[str, Any]:
    """All that are registered or leave; or those asked for, whether they are registered or not."""
    balancer = find(face, request["LoadBalancerName"])
    states = instance_states(face.operations.balancing.standings(group_of(balancer)))
    asked = [each.get("InstanceId") or "" for each in request.get("Instances") or ()]
    _check_instances(face, [instance_id for instance_id in asked if instance_id not in states])
    return {"InstanceStates": [_shown(one, states) for one in asked or states]}


def _shown(instance_id: str, states: Mapping[str, TargetHealth]) -> dict[str, Any]:
    health = states.get(instance_id, NOT_REGISTERED)
    return {
        "InstanceId": instance_id,
        "State": _STATES.get(health.state, "OutOfService"),
        "ReasonCode": health.reason,
        "Description": health.description,
    }
