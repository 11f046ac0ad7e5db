"""Service -> App: count, bounds, breaker, targets, placement; and what a service may not say."""

from __future__ import annotations

from typing import Any

import pytest

from portway.core.app import Exposure, SpreadKind, TargetBinding
from portway.manifests.ecs_app import Making, app_of
from portway.manifests.ecs_ports import Reach
from portway.manifests.ecs_service import (
    balancer_faults,
    check_service,
    family_of,
    percentages,
    with_service,
)

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/1"
DEFINITION: dict[str, Any] = {
    "family": "web",
    "containerDefinitions": [
        {"name": "web", "image": "x", "memory": 64, "portMappings": [{"containerPort": 80}]}
    ],
}
BALANCED = [{"targetGroupArn": GROUP, "containerName": "web", "containerPort": 80}]


def made(reach: Reach = Reach.NODE, **service: Any):  # noqa: ANN201
    checked = check_service(service)
    assert checked.faults == ()
    return with_service(
        app_of(DEFINITION, Making(app_id="c/web", reach=reach)), checked.body, reach=reach
    )


def test_a_service_of_the_api_rolls_as_ecs_does() -> None:
    rollout = made(desiredCount=2).rollout
    assert (rollout.minimum_percent, rollout.maximum_percent) == (100, 200)
    assert rollout.strict_bounds
    assert rollout.is_patient
    assert not rollout.breaker.enabled


def test_a_service_of_a_file_goes_back_when_it_fails_unless_it_says_otherwise() -> None:
    rollout = made(Reach.LISTENER, desiredCount=2).rollout
    assert not rollout.is_patient
    assert rollout.breaker.rollback
    off = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
    assert not made(Reach.LISTENER, deploymentConfiguration=off).rollout.breaker.enabled


@pytest.mark.parametrize(
    ("threshold", "count", "wanted"),
    [
        (None, 10, None),
        ({"type": "COUNT", "value": 7}, 10, 7),
        ({"type": "BOUNDED_PERCENT", "value": 50}, 10, None),
        ({"type": "BOUNDED_PERCENT", "value": 10}, 10, 3),
        ({"type": "UNBOUNDED_PERCENT", "value": 10}, 10, 1),
    ],
)
def test_the_breaker_counts_as_it_is_told(threshold: Any, count: int, wanted: int | None) -> None:
    breaker = {"enable": True, "rollback": True, "thresholdConfiguration": threshold}
    app = made(desiredCount=count, deploymentConfiguration={"deploymentCircuitBreaker": breaker})
    assert (app.rollout.breaker.enabled, app.rollout.breaker.threshold) == (True, wanted)


def test_a_daemon_runs_once_everywhere_and_has_other_bounds() -> None:
    app = made(schedulingStrategy="DAEMON")
    assert app.placement.daemon
    assert app.count is None
    assert percentages({"schedulingStrategy": "DAEMON"}) == (0, 100)


def test_placement_is_kept_in_order() -> None:
    app = made(
        placementStrategy=[{"type": "spread", "field": "instanceId"}, {"type": "random"}],
        placementConstraints=[
            {"type": "distinctInstance"},
            {"type": "memberOf", "expression": "attribute:x == y"},
        ],
    )
    assert app.placement.strategies == (
        (SpreadKind.SPREAD, "instanceId"),
        (SpreadKind.RANDOM, ""),
    )
    assert app.placement.distinct
    assert app.placement.members == ("attribute:x == y",)


def test_a_load_balancer_makes_each_instance_a_target() -> None:
    app = made(desiredCount=1, loadBalancers=BALANCED, healthCheckGracePeriodSeconds=9)
    assert app.targets == (TargetBinding(group=GROUP, container="web", container_port=80),)
    assert app.health_grace_s == 9.0


def test_a_port_of_a_files_target_group_has_no_listener_of_its_own() -> None:
    app = made(Reach.LISTENER, loadBalancers=BALANCED)
    assert [(s.exposure, s.ephemeral) for s in app.ports] == [(Exposure.HOST, True)]


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ({"desiredCount": -1}, "0 to 5000"),
        ({"healthCheckGracePeriodSeconds": 5}, "Health check grace period is only valid for services configured to use load balancers"),
        ({"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}}, "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."),
        ({"deploymentConfiguration": {"maximumPercent": 300}}, "100 to 200"),
        ({"deploymentConfiguration": {"strategy": "CANARY"}}, "CANARY is not supported"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "CODE_DEPLOY is not supported"),
        ({"placementStrategy": [{"type": "binpack", "field": "x"}]}, "binpack is by cpu or by memory"),
        ({"placementStrategy": [{"type": "spread"}]}, "spread is by"),
        ({"placementStrategy": [{"type": "random"}] * 6}, "at most 5"),
        ({"schedulingStrategy": "DAEMON", "placementStrategy": [{"type": "random"}]}, "once on every node"),
        ({"placementConstraints": [{"type": "memberOf"}]}, "needs an expression"),
        ({"loadBalancers": [{"loadBalancerName": "x"}]}, "over the AWS API"),
        ("x", "must be an object"),
    ],
)  # fmt: skip
def test_what_a_service_may_not_say_is_refused(service: Any, words: str) -> None:
    told = [fault.message for fault in check_service(service).faults]
    assert any(words in message for message in told), told


def test_a_load_balancer_must_fit_the_task_definition() -> None:
    for change, words in (
        ({"containerName": "x"}, "The container x does not exist in the task definition."),
        ({"containerPort": 81}, "The container web did not have a container port 81 defined."),
        ({"targetGroupArn": None}, "named by its targetGroupArn"),
    ):
        body = {"loadBalancers": [{**BALANCED[0], **change}]}
        assert [words in f.message for f in balancer_faults(body, DEFINITION)] == [True]


def test_the_family_is_what_precedes_the_revision() -> None:
    assert [family_of(n) for n in ("web", "web:3", "arn:aws:ecs:x:1:task-definition/web:3")] == ["web"] * 3  # fmt: skip
