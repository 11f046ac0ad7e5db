"""What goes wrong with ECS services on real Docker behind a real load balancer. One server; all services run beside each other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import _short_home
from tests.e2e.machine import ROOT, Machine, free_port, get, until
from tests.e2e.test_ecs_story import AT_ONCE, BUSYBOX, Aws

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(240)]

SERVES = f"{BUSYBOX} mkdir -p /www; echo ok > /www/ok; {BUSYBOX} hostname > /www/index.html; exec {BUSYBOX} httpd -f -p 80 -h /www"
GROWS = "x=portway; while :; do x=$x$x; done"
CHECK = {
    "HealthCheckPath": "/ok",
    "HealthCheckIntervalSeconds": 5,
    "HealthCheckTimeoutSeconds": 2,
    "HealthyThresholdCount": 2,
    "UnhealthyThresholdCount": 2,
}
DYNAMIC = [{"containerPort": 80, "hostPort": 0}]
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


class Cluster(Aws):
    """The services of this module, and what is asked about them."""

    def __init__(self, machine: Machine, image: str) -> None:
        super().__init__(machine, image)
        self.logs, self.scaling = map(self._client, ("logs", "application-autoscaling"))
        self.ec2_vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        self.subnets = [s["SubnetId"] for s in self.ec2.describe_subnets()["Subnets"]][:2]
        [made] = self.elb.create_load_balancer(Name="alb", Subnets=self.subnets)["LoadBalancers"]
        self.alb, self.name = made["LoadBalancerArn"], made["DNSName"]
        self.static = free_port()
        self.groups: dict[str, str] = {}
        self.probers: dict[str, Prober] = {}

    def url(self, listener: int) -> str:
        return f"http://{self.name}:{listener}/"

    def group(self, name: str, listener: int, **given: Any) -> str:
        """A target group behind a listener of its own."""
        wanted = {"Protocol": "HTTP", "Port": 80, "VpcId": self.ec2_vpc, **CHECK, **given}
        [made] = self.elb.create_target_group(Name=name, **wanted)["TargetGroups"]
        arn = self.groups[name] = made["TargetGroupArn"]
        self.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=AT_ONCE)
        forward = [{"Type": "forward", "TargetGroupArn": arn}]
        self.elb.create_listener(LoadBalancerArn=self.alb, Protocol="HTTP", Port=listener, DefaultActions=forward)  # fmt: skip
        return arn

    def define(self, family: str, script: str, ports: Any = (), **given: Any) -> None:
        """A revision that runs a line of shell."""
        container = {
            "name": "web",
            "image": self.image,
            "memory": 64,
            "entryPoint": [BUSYBOX, "sh", "-c"],
            "command": [script],
            "linuxParameters": {"initProcessEnabled": True},
            "portMappings": ports,
        }
        task = {k: given.pop(k) for k in ("networkMode",) if k in given}
        self.ecs.register_task_definition(family=family, containerDefinitions=[{**container, **given}], **task)  # fmt: skip

    def run(self, name: str, *, count: int = 1, **given: Any) -> None:
        """A service of that name, of the family of that name, behind its group if it has one."""
        group = self.groups.get(name)
        balanced = [{"targetGroupArn": group, "containerName": "web", "containerPort": 80}]
        self.ecs.create_service(
            serviceName=name,
            taskDefinition=name,
            desiredCount=count,
            loadBalancers=balanced if group else [],
            **given,
        )

    def shown(self, name: str) -> dict[str, Any]:
        return self.ecs.describe_services(services=[name])["services"][0]

    def events(self, name: str) -> list[str]:
        """Oldest first, without the service's name."""
        told = [e["message"].removeprefix(f"(service {name}") for e in self.shown(name)["events"]]
        return [message.lstrip(") ") for message in reversed(told)]

    def told(self, name: str, *parts: str) -> str:
        """The first event with all these parts, once there is one."""

        def found() -> str:
            return next((e for e in self.events(name) if all(part in e for part in parts)), "")

        return until(found, why=f"{name} tells of {parts}")

    def tasks(self, name: str, status: str = "RUNNING") -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(serviceName=name, desiredStatus=status)["taskArns"]
        return self.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []

    def stopped(self, name: str, *parts: str) -> dict[str, Any]:
        """A task of the service that has stopped for a reason with these parts, once there is one."""

        def found() -> dict[str, Any] | None:
            for task in self.tasks(name, "STOPPED"):
                why = f"{task['stoppedReason']} {[c.get('reason') for c in task['containers']]}"
                if task["lastStatus"] == "STOPPED" and all(part in why for part in parts):
                    return task
            return None

        return until(found, why=f"a task of {name} stopped with {parts}")

    def is_completed(self, name: str) -> bool:
        return [d["rolloutState"] for d in self.shown(name)["deployments"]] == ["COMPLETED"]

    def serves(self, listener: int) -> None:
        until(lambda: get(self.url(listener)), why=f"listener {listener} answers")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Cluster]:
    machine = Machine(home=_short_home(), directory=tmp_path_factory.mktemp("ecs") / "files")
    try:
        made = Cluster(machine, image)
        _begin(made)
        yield made
        for prober in made.probers.values():
            prober.stop()
        made.elb.delete_load_balancer(LoadBalancerArn=made.alb)
    finally:
        machine.close()


def _begin(made: Cluster) -> None:
    """Everything at once: what the tests wait for happens meanwhile."""
    made.define("hungry", GROWS, memory=16)
    made.run("hungry")
    options = {
        "awslogs-group": "/ecs/static",
        "awslogs-create-group": "true",
        "awslogs-stream-prefix": "p",
        "awslogs-region": "us-east-1",
    }
    static = [{"containerPort": 80, "hostPort": made.static}]
    log = {"logDriver": "awslogs", "options": options}
    made.define("static", f"echo hello from $0; {SERVES}", static, logConfiguration=log)
    made.run("static", count=2)
    for name, listener in (("sick", 80), ("bad", 81), ("busy", 82)):
        made.group(name, listener)
        made.define(name, SERVES, DYNAMIC)
        made.run(name, deploymentConfiguration=BREAKER)
    made.group("own", 83, TargetType="ip")
    made.define("own", SERVES, [{"containerPort": 80}], networkMode="awsvpc")
    own = {"awsvpcConfiguration": {"subnets": made.subnets[:1]}}
    made.run("own", networkConfiguration=own)
    resource = {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/default/busy",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    made.scaling.register_scalable_target(MinCapacity=1, MaxCapacity=3, **resource)
    label = "/".join((made.alb.partition("loadbalancer/")[2], made.groups["busy"].rpartition(":")[2]))  # fmt: skip
    metric = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label}
    made.scaling.put_scaling_policy(
        PolicyName="requests",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 60,
            "PredefinedMetricSpecification": metric,
        },
        **resource,
    )
    for name, listener in (("busy", 82), ("sick", 80), ("bad", 81)):
        made.serves(listener)
        if name != "sick":
            made.probers[name] = Prober(made.url(listener), rate_per_s=20).start()
    # Answers may come before the target is found healthy, and only what was completed can be gone back to.
    until(lambda: made.is_completed("bad"), why="the first deployment is completed")
    made.define("bad", "exit 3", DYNAMIC)
    made.ecs.update_service(service="bad", taskDefinition="bad")
    [task] = made.tasks("sick")
    until(lambda: "steady state" in " ".join(made.events("sick")), why="sick is steady")
    container = task["containers"][0]["runtimeId"]
    remove = ["docker", "exec", container, BUSYBOX, "rm", "/www/ok"]
    subprocess.run(remove, check=True, capture_output=True)


def test_a_port_that_is_taken_is_an_event_and_a_failure(cluster: Cluster) -> None:
    said = cluster.told("static", "was unable to place a task")
    assert "is already using a port required by your task." in said
    answer = cluster.ecs.run_task(taskDefinition="static")
    assert [f["reason"] for f in answer["failures"]] == ["RESOURCE:PORTS"]
    assert answer["tasks"] == []


def test_what_a_container_says_is_read_back(cluster: Cluster) -> None:
    def found() -> list[dict[str, Any]]:
        return cluster.logs.filter_log_events(logGroupName="/ecs/static", filterPattern="hello")["events"]  # fmt: skip

    until(
        lambda: cluster.logs.describe_log_groups(logGroupNamePrefix="/ecs/static")["logGroups"],
        why="the group is made",
    )
    [event] = until(found, why="the line is there")
    [task] = cluster.tasks("static")
    assert event["logStreamName"] == f"p/web/{Path(task['taskArn']).name}"
    lines = cluster.logs.get_log_events(logGroupName="/ecs/static", logStreamName=event["logStreamName"])  # fmt: skip
    assert lines["events"][0]["message"].startswith("hello from")


def test_a_container_over_its_limit_dies_of_it_and_is_replaced(cluster: Cluster) -> None:
    task = cluster.stopped("hungry", "OutOfMemoryError: Container killed due to memory usage")
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["containers"][0]["exitCode"] == 137
    until(
        lambda: len([e for e in cluster.events("hungry") if e.startswith("has started")]) > 1,
        why="another is started",
    )


def test_a_revision_that_does_not_run_is_rolled_back_while_the_old_one_serves(
    cluster: Cluster,
) -> None:
    cluster.told("bad", "deployment failed: tasks failed to start.")
    cluster.told("bad", "rolling back to deployment ecs-svc/")
    until(lambda: len(cluster.shown("bad")["deployments"]) == 1, why="one deployment is left")
    shown = cluster.shown("bad")
    assert shown["taskDefinition"].endswith("bad:1")
    assert shown["runningCount"] == 1
    result = cluster.probers.pop("bad").stop()
    assert result.failures == []
    assert result.total > 10


def test_a_task_that_its_target_group_finds_unhealthy_is_replaced_and_then_stopped(
    cluster: Cluster,
) -> None:
    group = cluster.groups["sick"]
    sick = cluster.told("sick", f"is unhealthy in (target-group {group})")
    assert sick.startswith("(instance i-")
    assert sick.endswith("due to (reason Health checks failed with these codes: [404])")
    cluster.told("sick", "has started 1 tasks", "replaced 1 tasks due to an unhealthy status.")
    task = cluster.stopped("sick", f"Task failed ELB health checks in (target-group {group})")
    assert task["stopCode"] == "ServiceSchedulerInitiated"
    events = cluster.events("sick")
    [begun] = [i for i, e in enumerate(events) if "due to an unhealthy status." in e]
    [ended] = [i for i, e in enumerate(events) if e.startswith("has stopped")]
    assert events.index(sick) < begun < ended


def test_more_requests_for_each_task_bring_more_tasks(cluster: Cluster) -> None:
    until(lambda: cluster.shown("busy")["runningCount"] > 1, why="a task is added")
    activities = cluster.scaling.describe_scaling_activities(ServiceNamespace="ecs")
    newest = activities["ScalingActivities"][0]
    assert newest["StatusCode"] == "Successful"
    assert newest["Cause"].endswith("triggered policy requests")
    assert cluster.probers.pop("busy").stop().failures == []


def test_a_task_with_an_address_of_its_own_is_served_and_has_no_host_port(cluster: Cluster) -> None:
    cluster.serves(83)
    [task] = cluster.tasks("own")
    [container] = task["containers"]
    assert container["networkBindings"] == []
    address = container["networkInterfaces"][0]["privateIpv4Address"]
    health = cluster.elb.describe_target_health(TargetGroupArn=cluster.groups["own"])
    [target] = [t["Target"] for t in health["TargetHealthDescriptions"]]
    assert (target["Id"], target["Port"]) == (address, 80)
    bound = ["docker", "port", container["runtimeId"]]
    assert subprocess.run(bound, capture_output=True, text=True, check=True).stdout == ""
