"""The sentences of ECS, letter by letter."""

from __future__ import annotations

import pytest

from portway.core.ecs import words
from tests.core.ecs.made import GROUP

NO = "(service S) was unable to place a task because no container instance met all of its requirements."
GUIDE = " For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
NEAR = " The closest matching (container-instance ci) "


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.steady("S"), "(service S) has reached a steady state."),
        (words.not_placed("S"), NO),
        (words.not_placed("S", code="MEMORY", container_instance="ci"), f"{NO}{NEAR}has insufficient memory available.{GUIDE}"),
        (words.not_placed("S", code="CPU", container_instance="ci"), f"{NO}{NEAR}has insufficient CPU units available.{GUIDE}"),
        (words.not_placed("S", code="PORTS", container_instance="ci"), f"{NO}{NEAR}is already using a port required by your task.{GUIDE}"),
        (words.not_placed("S", code="ATTRIBUTE", container_instance="ci"), f"{NO}{NEAR}is missing an attribute required by your task.{GUIDE}"),
        (words.not_placed("S", code="AGENT", container_instance="ci"), f'{NO}{NEAR}encountered error "AGENT".'),
        (words.unhealthy_target("S", ec2_instance="i-1", host_port=32875, group=GROUP, reason="Health checks failed with these codes: [400]"),
         f"(service S) (instance i-1) (port 32875) is unhealthy in (target-group {GROUP}) due to (reason Health checks failed with these codes: [400])"),
        (words.unhealthy_target("S", ec2_instance="i-1", host_port=1, group="httpd", reason="R"),
         "(service S) (instance i-1) is unhealthy in (elb httpd) due to (reason R)"),
        (words.unhealthy_address("S", task="t", container_port=8080, group=GROUP, reason="Request timed out."),
         f"(service S) (task t) (port 8080) is unhealthy in (target-group {GROUP}) due to (reason Request timed out.)"),
        (words.failed_container_checks("S", "t"), "(service S) (task t) failed container health checks."),
        (words.not_starting("S"), "(service S) is unable to consistently start tasks successfully."),
        (words.throttled("S"), "(service S) operations are being throttled. Will try again later."),
        (words.bounds_in_the_way("S"), "(service S) was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again."),
        (words.not_placed_because("S", "Internal error."), "(service S) was unable to place a task. Reason: Internal error."),
        (words.no_container_instances("S"), "(service S) was unable to reach steady state. Reason: No Container Instances were found in your capacity provider."),
        (words.started("S", ["a", "b"]), "(service S) has started 2 tasks: (task a) (task b)."),
        (words.started("S", ["a"], replaced=1), "(service S) has started 1 tasks: (task a).  Amazon ECS replaced 1 tasks due to an unhealthy status."),
        (words.stopped("S", ["a"]), "(service S) has stopped 1 running tasks: (task a)."),
        (words.stopped_pending("S", 2), "(service S) stopped 2 pending tasks."),
        (words.registered("S", 1, GROUP), f"(service S) registered 1 targets in (target-group {GROUP})"),
        (words.deregistered("S", 1, GROUP), f"(service S) deregistered 1 targets in (target-group {GROUP})"),
        (words.registered("S", 1, "httpd"), "(service S) registered 1 instances in (elb httpd)"),
        (words.deregistered("S", 1, "arn:x:loadbalancer/httpd"), "(service S) deregistered 1 instances in (elb httpd)"),
        (words.draining("S", "ecs-svc/1", 1), "(service S, taskSet ecs-svc/1) has begun draining connections on 1 tasks."),
        (words.deployment_completed("S", "ecs-svc/1"), "(service S) (deployment ecs-svc/1) deployment completed."),
        (words.deployment_failed("S", "ecs-svc/1"), "(service S) (deployment ecs-svc/1) deployment failed: tasks failed to start."),
        (words.rolling_back("S", "ecs-svc/1"), "(service S) rolling back to deployment ecs-svc/1."),
        (words.in_progress("ecs-svc/1"), "ECS deployment ecs-svc/1 in progress."),
        (words.completed("ecs-svc/1"), "ECS deployment ecs-svc/1 completed."),
        (words.breaker_rolls_back("ecs-svc/1"), "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1."),
        (words.failed_balancer_checks(GROUP), f"Task failed ELB health checks in (target-group {GROUP})"),
        (words.failed_balancer_checks("httpd"), "Task failed ELB health checks in (elb httpd)"),
        (words.scaling_activity("ecs-svc/1"), "Scaling activity initiated by (deployment ecs-svc/1)"),
    ],
)  # fmt: skip
def test_a_sentence_is_as_ecs_writes_it(said: str, expected: str) -> None:
    assert said == expected


def test_of_an_unknown_want_and_of_no_instance_nothing_is_said() -> None:
    assert words.not_placed("S", code="NO_NODES", container_instance="ci") == NO
    assert words.not_placed("S", code="CPU") == NO
