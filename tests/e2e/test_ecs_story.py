"""The tutorial of dynamic ports, with boto3 and the AWS CLI: one instance, two tasks, two host ports behind one target group."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from awscli.clidriver import create_clidriver
from botocore.config import Config

from tests.e2e.conftest import _short_home
from tests.e2e.machine import ROOT, Machine, free_port, free_ports, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(240)]

BUSYBOX = "/bin/busybox"
SHELL = f"{BUSYBOX} mkdir -p /www; {BUSYBOX} hostname > /www/index.html; exec {BUSYBOX} httpd -f -p 80 -h /www"
CHECK = {
    "HealthCheckIntervalSeconds": 5,
    "HealthCheckTimeoutSeconds": 2,
    "HealthyThresholdCount": 2,
}
AT_ONCE = [{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]


class Aws:
    """Clients of one portway, and what the tutorial makes with them."""

    def __init__(self, machine: Machine, image: str) -> None:
        listen = f"127.0.0.1:{free_port()}"
        # Not of the whole network: portways of other tests have load balancers of their own.
        network = f"127.{os.getpid() % 60 + 70}.{free_port() % 250}.0/24"
        machine.variables |= {
            "PORTWAY_LISTEN": listen,
            "PORTWAY_AWS_HOSTS_FILE": "none",
            "PORTWAY_AWS_LOAD_BALANCER_ADDRESSES": network,
            "PORTWAY_AWS_EPHEMERAL_PORTS": free_ports(40),
        }
        machine.start_server()
        self.machine, self.image = machine, image
        self.environment = dict(
            line.removeprefix("export ").split("=", 1)
            for line in machine.ok("aws", "credentials").splitlines()
            if line.startswith("export ")
        )
        self.ecs, self.elb, self.ec2 = map(self._client, ("ecs", "elbv2", "ec2"))

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def balancer(self) -> tuple[str, str]:
        """An ALB with a listener on port 80 and a target group: its URL, and the group's ARN."""
        vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = [s["SubnetId"] for s in self.ec2.describe_subnets()["Subnets"]]
        made = self.elb.create_load_balancer(Name="alb", Subnets=subnets[:2])["LoadBalancers"][0]
        group = self.elb.create_target_group(
            Name="tg", Protocol="HTTP", Port=80, VpcId=vpc, **CHECK
        )
        arn = group["TargetGroups"][0]["TargetGroupArn"]
        self.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=AT_ONCE)
        forward = [{"Type": "forward", "TargetGroupArn": arn}]
        self.elb.create_listener(
            LoadBalancerArn=made["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=forward,
        )
        return f"http://{made['DNSName']}/", arn

    def container(self) -> dict[str, Any]:
        """What the task definition runs, with a dynamic host port."""
        return {
            "name": "web",
            "image": self.image,
            "memory": 64,
            "entryPoint": [BUSYBOX, "sh", "-c"],
            "command": [SHELL],
            "linuxParameters": {"initProcessEnabled": True},  # it passes SIGTERM on
            "portMappings": [{"containerPort": 80, "hostPort": 0}],
        }

    def register(self) -> str:
        """A revision of the task definition."""
        made = self.ecs.register_task_definition(
            family="web", containerDefinitions=[self.container()]
        )
        return made["taskDefinition"]["taskDefinitionArn"]

    def service(self, name: str = "web") -> dict[str, Any]:
        return self.ecs.describe_services(services=[name])["services"][0]

    def steady(self, name: str = "web") -> dict[str, Any]:
        """The service once it has said that it is."""

        def found() -> dict[str, Any] | None:
            service = self.service(name)
            newest = service["events"][0]["message"] if service["events"] else ""
            is_done = len(service["deployments"]) == 1 and "steady state" in newest
            return service if is_done else None

        return until(found, why="a steady state")

    def bound_ports(self) -> set[int]:
        """The host ports of the running tasks, as the tasks themselves say."""
        arns = self.ecs.list_tasks(serviceName="web")["taskArns"]
        tasks = self.ecs.describe_tasks(tasks=arns)["tasks"]
        return {b["hostPort"] for t in tasks for c in t["containers"] for b in c["networkBindings"]}

    def healthy_ports(self, group: str) -> set[tuple[str, int]]:
        """The targets that are healthy."""
        health = self.elb.describe_target_health(TargetGroupArn=group)
        return {
            (t["Target"]["Id"], t["Target"]["Port"])
            for t in health["TargetHealthDescriptions"]
            if t["TargetHealth"]["State"] == "healthy"
        }

    def cli(self, *words: str) -> Any:
        """What the AWS CLI prints. It runs in this process: to start Python each time takes longer than to ask."""
        said = io.StringIO()
        variables = {**self.environment, "AWS_EC2_METADATA_DISABLED": "true"}
        with patch.dict(os.environ, variables), redirect_stdout(said):
            code = create_clidriver().main([*words, "--output", "json"])
        assert code == 0
        return json.loads(said.getvalue() or "null")  # a waiter says nothing


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Aws]:
    machine = Machine(home=_short_home(), directory=tmp_path_factory.mktemp("story") / "files")
    try:
        made = Aws(machine, image)
        yield made
        for balancer in made.elb.describe_load_balancers()["LoadBalancers"]:
            made.elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    finally:
        machine.close()


def published(task: dict[str, Any]) -> set[int]:
    """The host ports that Docker itself shows for the containers of a task."""
    words = ["docker", "port", *(c["runtimeId"] for c in task["containers"])]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return {int(line.rpartition(":")[2]) for line in said.splitlines() if "0.0.0.0:" in line}


def test_two_tasks_on_one_instance_are_two_targets_and_roll_without_a_failed_request(aws: Aws):
    url, group = aws.balancer()
    aws.register()
    balanced = [{"targetGroupArn": group, "containerName": "web", "containerPort": 80}]
    aws.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=2, loadBalancers=balanced
    )
    aws.steady()
    first = aws.bound_ports()
    targets = aws.healthy_ports(group)
    assert len({instance for instance, _ in targets}) == 1
    assert {number for _, number in targets} == first
    assert len(first) == 2
    assert len({get(url) for _ in range(8)}) == 2
    prober = Prober(url, rate_per_s=50).start()
    try:
        aws.ecs.update_service(service="web", taskDefinition=aws.register())
        until(lambda: len(aws.service()["deployments"]) == 2, why="a second deployment")
        service = aws.steady()
    finally:
        result = prober.stop()
    assert result.failures == []
    assert result.total > 10
    assert not first & aws.bound_ports()
    assert until(lambda: {n for _, n in aws.healthy_ports(group)} == aws.bound_ports())
    aws.ecs.get_waiter("services_stable").wait(services=["web"])
    messages = [e["message"] for e in service["events"]]
    assert sum(" has stopped " in m for m in messages) >= 1
    stopped = aws.ecs.list_tasks(desiredStatus="STOPPED")["taskArns"]
    reasons = {t["stoppedReason"] for t in aws.ecs.describe_tasks(tasks=stopped)["tasks"]}
    assert reasons == {
        f"Scaling activity initiated by (deployment {service['deployments'][0]['id']})"
    }
    aws.ecs.delete_service(service="web", force=True)
    until(lambda: aws.service()["status"] == "INACTIVE", why="the service is gone")


def test_the_same_steps_with_the_aws_cli(aws: Aws, tmp_path: Path) -> None:
    cli = aws.cli
    subnets = [s["SubnetId"] for s in cli("ec2", "describe-subnets")["Subnets"]]
    [balancer] = cli("elbv2", "create-load-balancer", "--name", "cli", "--subnets", *subnets)["LoadBalancers"]  # fmt: skip
    network = ("--protocol", "HTTP", "--port", "80")
    checked = ("--health-check-interval-seconds", "5", "--health-check-timeout-seconds", "2")
    made = cli("elbv2", "create-target-group", "--name", "cli", *network, "--vpc-id", balancer["VpcId"], *checked)  # fmt: skip
    group = made["TargetGroups"][0]["TargetGroupArn"]
    cli("elbv2", "modify-target-group-attributes", "--target-group-arn", group, "--attributes", "Key=deregistration_delay.timeout_seconds,Value=1")  # fmt: skip
    cli("elbv2", "create-listener", "--load-balancer-arn", balancer["LoadBalancerArn"], *network, "--default-actions", f"Type=forward,TargetGroupArn={group}")  # fmt: skip
    definition = tmp_path / "taskdef.json"
    definition.write_text(json.dumps({"family": "cli", "containerDefinitions": [aws.container()]}))
    registered = ("ecs", "register-task-definition", "--cli-input-json", f"file://{definition}")
    cli(*registered)
    cli("ecs", "create-service", "--service-name", "cli", "--task-definition", "cli", "--desired-count", "2", "--load-balancers", f"targetGroupArn={group},containerName=web,containerPort=80")  # fmt: skip
    aws.steady("cli")
    url = f"http://{balancer['DNSName']}/"
    before = _both_ports(aws, group, url)
    prober = Prober(url, rate_per_s=50).start()
    try:
        cli(*registered)
        cli("ecs", "update-service", "--service", "cli", "--task-definition", "cli")
        aws.steady("cli")
    finally:
        result = prober.stop()
    assert result.failures == []
    assert result.total > 10
    cli("ecs", "wait", "services-stable", "--services", "cli")
    assert not before & _both_ports(aws, group, url)
    [shown] = cli("ecs", "describe-services", "--services", "cli")["services"]
    assert (shown["runningCount"], len(shown["deployments"])) == (2, 1)
    cli("ecs", "delete-service", "--service", "cli", "--force")
    until(lambda: aws.service("cli")["status"] == "INACTIVE", why="the service is gone")


def _both_ports(aws: Aws, group: str, url: str) -> set[int]:
    """One instance twice with two ports, in the target group and at Docker; both answer behind the load balancer."""
    health = aws.cli("elbv2", "describe-target-health", "--target-group-arn", group)
    healthy = [t for t in health["TargetHealthDescriptions"] if t["TargetHealth"]["State"] == "healthy"]  # fmt: skip
    ports = {t["Target"]["Port"] for t in healthy}
    assert len({t["Target"]["Id"] for t in healthy}) == 1
    arns = aws.cli("ecs", "list-tasks", "--service-name", "cli")["taskArns"]
    tasks = aws.cli("ecs", "describe-tasks", "--tasks", *arns)["tasks"]
    assert set[int]().union(*map(published, tasks)) == ports
    assert len(ports) == 2
    assert len({get(url) for _ in range(8)}) == 2
    return ports
