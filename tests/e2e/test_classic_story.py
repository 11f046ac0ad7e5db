"""Convox's httpd behind a classic load balancer, with boto3 and the AWS CLI: static host ports, then a second listener with a certificate."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.api.aws.pems import pair
from tests.e2e.machine import Machine, free_port, free_ports, until

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(240)]

BUSYBOX = "/bin/busybox"
WORKS = "<html><body><h1>It works!</h1></body></html>"
SHELL = f"{BUSYBOX} mkdir -p /www; echo '{WORKS}' > /www/index.html; exec {BUSYBOX} httpd -f -p 80 -h /www"
STOP_FIRST = {"minimumHealthyPercent": 0, "maximumPercent": 100}


class Rack:
    """One machine, and what Convox makes on it."""

    def __init__(self, machine: Machine, image: str) -> None:
        network = f"127.{os.getpid() % 60 + 130}.{free_port() % 250}.0/24"
        machine.variables |= {
            "PORTWAY_LISTEN": f"127.0.0.1:{free_port()}",
            "PORTWAY_AWS_HOSTS_FILE": "none",
            "PORTWAY_AWS_LOAD_BALANCER_ADDRESSES": network,
            "PORTWAY_AWS_EPHEMERAL_PORTS": free_ports(4),
        }
        machine.start_server()
        self.image, self.web, self.secure = image, free_port(), free_port()
        said = machine.ok("aws", "credentials").splitlines()
        exports = (line.removeprefix("export ") for line in said if line.startswith("export "))
        self.environment = dict(line.split("=", 1) for line in exports)
        self.ecs, self.elb, self.ec2, self.iam = map(self._client, ("ecs", "elb", "ec2", "iam"))

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name=self.environment["AWS_REGION"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    def cli(self, *words: str) -> Any:
        """What the AWS CLI answers."""
        environment = {**os.environ, **self.environment, "AWS_EC2_METADATA_DISABLED": "true"}
        program = Path(sys.executable).with_name("aws")
        done = subprocess.run([str(program), *words, "--output", "json"], env=environment, capture_output=True, text=True, check=True, timeout=60)  # fmt: skip
        return json.loads(done.stdout)

    def listener(self, protocol: str, number: int, host_port: int, **members: Any) -> Any:
        return {
            "Protocol": protocol,
            "LoadBalancerPort": number,
            "InstanceProtocol": "TCP",
            "InstancePort": host_port,
            **members,
        }

    def balancer(self) -> str:
        """Its address."""
        subnets = [s["SubnetId"] for s in self.ec2.describe_subnets()["Subnets"]]
        made = self.elb.create_load_balancer(
            LoadBalancerName="httpd",
            Subnets=subnets,
            Listeners=[self.listener("TCP", 80, self.web)],
        )
        check = {
            "Target": f"TCP:{self.web}",
            "Interval": 5,
            "Timeout": 3,
            "UnhealthyThreshold": 2,
            "HealthyThreshold": 2,
        }
        self.elb.configure_health_check(LoadBalancerName="httpd", HealthCheck=check)
        return made["DNSName"]

    def register(self, *host_ports: int) -> None:
        container = {
            "name": "web",
            "image": self.image,
            "memory": 256,
            "entryPoint": [BUSYBOX, "sh", "-c"],
            "command": [SHELL],
            "linuxParameters": {"initProcessEnabled": True},
            "portMappings": [{"containerPort": 80, "hostPort": number} for number in host_ports],
        }
        self.ecs.register_task_definition(family="httpd-web", containerDefinitions=[container])

    def service(self) -> dict[str, Any]:
        return self.ecs.describe_services(services=["web"])["services"][0]

    def steady(self) -> list[str]:
        """The events once the service has said that it is, oldest first."""

        def found() -> list[str]:
            service = self.service()
            told = [event["message"] for event in reversed(service["events"])]
            is_done = len(service["deployments"]) == 1 and told and "steady state" in told[-1]
            return told if is_done else []

        return until(found, why="a steady state")


def asked(address: str, number: int, *, tls: bool = False) -> str:
    """What `curl` would print; ConnectionError where the connection is closed without an answer."""
    with socket.create_connection((address, number), timeout=10) as plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = context.wrap_socket(plain) if tls else plain
        with connection:
            connection.sendall(b"GET / HTTP/1.0\r\nHost: httpd\r\n\r\n")
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
    if not answer:
        raise ConnectionError("nothing came")
    return answer.partition(b"\r\n\r\n")[2].decode().strip()


def answers(address: str, number: int, *, tls: bool = False) -> bool:
    with suppress(OSError):
        return asked(address, number, tls=tls) == WORKS
    return False


@pytest.fixture
def rack(machine: Machine, image: str) -> Iterator[Rack]:
    made = Rack(machine, image)
    yield made
    made.elb.delete_load_balancer(LoadBalancerName="httpd")


def test_convoxs_httpd_answers_on_80_and_with_a_certificate_on_443(rack: Rack) -> None:
    address = rack.balancer()
    rack.register(rack.web)
    balanced = [{"loadBalancerName": "httpd", "containerName": "web", "containerPort": 80}]
    rack.ecs.create_service(serviceName="web", taskDefinition="httpd-web", desiredCount=1, loadBalancers=balanced, role="ecsServiceRole", deploymentConfiguration=STOP_FIRST)  # fmt: skip
    told = [words.partition(") ")[2].partition(" (task ")[0] for words in rack.steady()]
    assert told == [
        "deregistered 1 instances in (elb httpd)",
        "has started 1 tasks:",
        "registered 1 instances in (elb httpd)",
        "has reached a steady state.",
    ]
    rack.elb.get_waiter("instance_in_service").wait(LoadBalancerName="httpd")
    assert asked(address, 80) == WORKS
    # Another port, first without HTTPS; then `convox ssl create` makes of it one that ends TLS.
    rack.elb.create_load_balancer_listeners(LoadBalancerName="httpd", Listeners=[rack.listener("TCP", 443, rack.secure)])  # fmt: skip
    rack.register(rack.web, rack.secure)
    rack.ecs.update_service(service="web", taskDefinition="httpd-web")
    until(lambda: answers(address, 443), why="443 answers")
    body, key = pair("httpd")
    made = rack.iam.upload_server_certificate(ServerCertificateName="HttpdWeb443", CertificateBody=body, PrivateKey=key)  # fmt: skip
    arn = made["ServerCertificateMetadata"]["Arn"]
    secure = rack.listener("SSL", 443, rack.secure, SSLCertificateId=arn)
    rack.elb.delete_load_balancer_listeners(LoadBalancerName="httpd", LoadBalancerPorts=[443])
    rack.elb.create_load_balancer_listeners(LoadBalancerName="httpd", Listeners=[secure])
    until(lambda: answers(address, 443, tls=True), why="443 answers with TLS")
    with pytest.raises(ConnectionError):
        asked(address, 443)
    assert asked(address, 80) == WORKS
    rack.steady()
    [service] = rack.cli("ecs", "describe-services", "--services", "web")["services"]
    assert (service["runningCount"], service["loadBalancers"]) == (1, balanced)
    assert "rolloutState" not in service["deployments"][0]
    [container] = rack.cli("ecs", "describe-task-definition", "--task-definition", "httpd-web:2")["taskDefinition"]["containerDefinitions"]  # fmt: skip
    assert container["portMappings"] == [
        {"containerPort": 80, "hostPort": number, "protocol": "tcp"}
        for number in (rack.web, rack.secure)
    ]
    words = ("elb", "describe-load-balancers", "--load-balancer-names", "httpd")
    [shown] = rack.cli(*words)["LoadBalancerDescriptions"]
    assert [(one["Listener"], one["PolicyNames"]) for one in shown["ListenerDescriptions"]] == [
        (rack.listener("TCP", 80, rack.web), []),
        (secure, ["ELBSecurityPolicy-2015-05"]),
    ]
    assert len(shown["Instances"]) == 1
    rack.ecs.delete_service(service="web", force=True)
    until(lambda: rack.service()["status"] == "INACTIVE", why="the service is gone")
    rack.elb.get_waiter("instance_deregistered").wait(
        LoadBalancerName="httpd", Instances=shown["Instances"]
    )
    assert not answers(address, 80)
