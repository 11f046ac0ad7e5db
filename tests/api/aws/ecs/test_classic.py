"""Services behind a classic load balancer: Convox's httpd as its documentation prints it, with boto3, over a portway in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portway.core.balancing.classic_serving import FAILED
from portway.core.instance import Phase
from tests.api.aws.conftest import serving_face
from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.pems import pair
from tests.controller.inprocess import running_portway

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/httpd-ServiceRole-1HNRHXNKGNLT9"
CERTIFICATE = f"arn:aws:iam::{ACCOUNT}:server-certificate/HttpdWeb443"
SERVICE = "httpd-web-SCELGCIYSKF"
BALANCED = {"containerName": "web", "containerPort": 80, "loadBalancerName": "httpd"}
CHECK = {
    "Target": "TCP:3245",
    "Interval": 5,
    "Timeout": 3,
    "UnhealthyThreshold": 2,
    "HealthyThreshold": 2,
}
PLAIN = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstanceProtocol": "TCP", "InstancePort": 3245}
SECURE = {
    "Protocol": "SSL",
    "LoadBalancerPort": 443,
    "InstanceProtocol": "TCP",
    "InstancePort": 56839,
    "SSLCertificateId": CERTIFICATE,
}


class Convox:
    """What `convox deploy` asks for, and what it looks at."""

    def __init__(self, ecs: Ecs) -> None:
        self.ecs = ecs

    async def elb(self, operation: str, **members: Any) -> Any:
        return await self.ecs.face.ask("elb", operation, LoadBalancerName="httpd", **members)

    async def balancer(self) -> None:
        found = await self.ecs.face.ask("ec2", "describe_subnets")
        subnets = [subnet["SubnetId"] for subnet in found["Subnets"]]
        await self.elb("create_load_balancer", Listeners=[PLAIN], Subnets=subnets)
        await self.elb("configure_health_check", HealthCheck=CHECK)
        await self.elb("create_lb_cookie_stickiness_policy", PolicyName="affinity")

    async def quick(self) -> None:
        """Check more often than AWS lets anybody."""
        balancing = self.ecs.portway.controller.balancing
        [balancer] = balancing.registry.classics.values()
        check = replace(balancer.check, interval_s=1, unhealthy_threshold=1)
        await balancing.registry.put(replace(balancer, check=check))
        balancing.touch()

    async def task_definition(self, release: str, *host_ports: int) -> str:
        container = {
            "name": "web",
            "image": "httpd-web",
            "memory": 256,
            "environment": [
                {"name": "KINESIS", "value": "httpd-Kinesis-SDLJ60GJTZ7C"},
                {"name": "PROCESS", "value": "web"},
                {"name": "RELEASE", "value": release},
            ],
            "portMappings": [{"containerPort": 80, "hostPort": number} for number in host_ports],
        }
        made = await self.ecs("register_task_definition", family="httpd-web", containerDefinitions=[container])  # fmt: skip
        return made["taskDefinition"]["taskDefinitionArn"]

    async def create(self, **members: Any) -> dict[str, Any]:
        given = {"cluster": "convox", "serviceName": SERVICE, "taskDefinition": "httpd-web", "desiredCount": 1, "loadBalancers": [BALANCED], "role": ROLE}  # fmt: skip
        return (await self.ecs("create_service", **{**given, **members}))["service"]

    async def service(self) -> dict[str, Any]:
        told = await self.ecs("describe_services", cluster="convox", services=[SERVICE])
        return told["services"][0]

    async def described(self) -> dict[str, Any]:
        told = await self.ecs.face.ask("elb", "describe_load_balancers", LoadBalancerNames=["httpd"])  # fmt: skip
        return told["LoadBalancerDescriptions"][0]

    async def until_told(self, *words: str) -> list[str]:
        """The events, oldest first, once the newest is about all of these."""
        async with asyncio.timeout(30):
            while True:
                events = (await self.service())["events"]
                if events and all(word in events[0]["message"] for word in words):
                    return [event["message"] for event in reversed(events)]
                await asyncio.sleep(0.02)

    async def nodes(self) -> list[str]:
        """The EC2 ids of the instances that tasks run on."""
        arns = (await self.ecs("list_tasks", cluster="convox"))["taskArns"]
        tasks = (await self.ecs("describe_tasks", cluster="convox", tasks=arns))["tasks"]
        at = [task["containerInstanceArn"] for task in tasks]
        told = await self.ecs("describe_container_instances", cluster="convox", containerInstances=at)  # fmt: skip
        return [one["ec2InstanceId"] for one in told["containerInstances"]]


@pytest.fixture
async def convox(tmp_path: Path) -> AsyncIterator[Convox]:
    """A rack of two machines."""
    async with running_portway(nodes=2) as portway:
        given = {"documents": portway.store.documents, "home_id": portway.world.home_id}
        async with serving_face(tmp_path, operations=portway.operations, **given) as face:
            made = Convox(Ecs(face=face, portway=portway))
            await made.ecs("create_cluster", clusterName="convox")
            await made.balancer()
            yield made


async def test_convoxs_httpd_is_told_as_its_documentation_prints_it(convox: Convox) -> None:
    first = await convox.task_definition("RUAENUMAQBS", 3245)
    nodes = await convox.ecs("list_container_instances", cluster="convox")
    told = await convox.ecs("describe_container_instances", cluster="convox", containerInstances=nodes["containerInstanceArns"])  # fmt: skip
    by_hand = [{"InstanceId": one["ec2InstanceId"]} for one in told["containerInstances"]]
    await convox.elb("register_instances_with_load_balancer", Instances=by_hand)
    await convox.create()
    messages = await convox.until_told("has reached a steady state.")
    service = await convox.service()
    events = [event["createdAt"] for event in reversed(service["events"])]
    assert [words.partition(") ")[2].partition(" (task ")[0] for words in messages] == [
        "deregistered 2 instances in (elb httpd)",
        "has started 1 tasks:",
        "registered 1 instances in (elb httpd)",
        "has reached a steady state.",
    ]
    assert events[0] == events[1]
    [deployment] = service["deployments"]
    assert not {"rolloutState", "rolloutStateReason"} & deployment.keys()
    assert [service[key] for key in ("status", "roleArn", "loadBalancers", "taskDefinition")] == ["ACTIVE", ROLE, [BALANCED], first]  # fmt: skip
    assert [service[key] for key in ("desiredCount", "runningCount", "pendingCount")] == [1, 1, 0]
    assert (deployment["status"], deployment["runningCount"]) == ("PRIMARY", 1)
    assert deployment["id"].startswith("ecs-svc/")
    shown = await convox.described()
    assert shown["ListenerDescriptions"] == [{"Listener": PLAIN, "PolicyNames": []}]
    assert shown["HealthCheck"] == CHECK
    assert [one["InstanceId"] for one in shown["Instances"]] == await convox.nodes()
    cookies = [{"PolicyName": "affinity", "CookieExpirationPeriod": 0}]
    assert shown["Policies"] == {"LBCookieStickinessPolicies": cookies, "AppCookieStickinessPolicies": [], "OtherPolicies": []}  # fmt: skip
    assert shown["CanonicalHostedZoneName"] == shown["DNSName"]
    assert shown["SourceSecurityGroup"] == {"OwnerAlias": ACCOUNT, "GroupName": "default"}
    assert shown["Scheme"] == "internet-facing"
    tags = [{"Key": "Rack", "Value": "convox"}]
    await convox.ecs.face.ask("elb", "add_tags", LoadBalancerNames=["httpd"], Tags=tags)
    found = await convox.ecs.face.ask("resourcegroupstaggingapi", "get_resources")
    [tagged] = found["ResourceTagMappingList"]
    assert tagged["ResourceARN"].endswith(f":{ACCOUNT}:loadbalancer/httpd")
    await _second_port_with_a_certificate(convox)


async def _second_port_with_a_certificate(convox: Convox) -> None:
    body, key = pair()
    await convox.ecs.face.ask("iam", "upload_server_certificate", ServerCertificateName="HttpdWeb443", CertificateBody=body, PrivateKey=key)  # fmt: skip
    await convox.elb("create_load_balancer_listeners", Listeners=[SECURE])
    second = await convox.task_definition("RXBKPDQEGDU", 3245, 56839)
    definition = (await convox.ecs("describe_task_definition", taskDefinition=second))["taskDefinition"]  # fmt: skip
    [container] = definition["containerDefinitions"]
    mappings = [{"protocol": "tcp", "containerPort": 80, "hostPort": n} for n in (3245, 56839)]
    assert container["portMappings"] == mappings
    assert [container[k] for k in ("essential", "cpu", "memory")] == [True, 0, 256]
    assert [container[k] for k in ("mountPoints", "volumesFrom")] == [[], []]
    before = await convox.nodes()
    await convox.ecs("update_service", cluster="convox", service=SERVICE, taskDefinition=second)
    async with asyncio.timeout(30):
        while (await convox.service())["events"][0]["message"].count("steady") == 0 or len((await convox.service())["deployments"]) > 1:  # fmt: skip
            await asyncio.sleep(0.02)
    shown = await convox.described()
    assert shown["ListenerDescriptions"] == [
        {"Listener": PLAIN, "PolicyNames": []},
        {"Listener": SECURE, "PolicyNames": ["ELBSecurityPolicy-2015-05"]},
    ]
    assert shown["Policies"]["OtherPolicies"] == ["ELBSecurityPolicy-2015-05"]
    # A static port: the new task runs on the other machine, so another instance is registered, as in the print.
    after = [one["InstanceId"] for one in shown["Instances"]]
    assert after == await convox.nodes() != before
    served = {
        route.key.service_port: [e.instance_id for pool in route.pools for e in pool.endpoints]
        for route in convox.ecs.portway.balancer.served.values()
    }
    assert served[80] == served[443] != []


async def test_an_unhealthy_instance_is_told_and_its_task_replaced(convox: Convox) -> None:
    await convox.quick()
    await convox.task_definition("R", 3245)
    await convox.create()
    await convox.until_told("has reached a steady state.")
    [before] = await convox.nodes()
    [state] = convox.ecs.portway.world.apps.values()
    [record] = state.live
    convox.ecs.portway.engine.set_health(record.id, passed=False)
    [told] = [m for m in await convox.until_told("steady") if "unhealthy in" in m] or [""]
    async with asyncio.timeout(30):
        while not told:
            events = (await convox.service())["events"]
            told = next((e["message"] for e in events if "unhealthy in" in e["message"]), "")
            await asyncio.sleep(0.02)
    assert told == f"(service {SERVICE}) (instance {before}) is unhealthy in (elb httpd) due to (reason {FAILED})"  # fmt: skip
    async with asyncio.timeout(30):
        while await convox.nodes() == [before]:
            await asyncio.sleep(0.02)
    messages = [event["message"] for event in (await convox.service())["events"]]
    assert any("replaced 1 tasks due to an unhealthy status." in message for message in messages)
    stopped: list[str] = []
    async with asyncio.timeout(30):
        while not stopped:  # its successor is there before it goes
            listed = await convox.ecs("list_tasks", cluster="convox", desiredStatus="STOPPED")
            stopped = listed["taskArns"]
    [task] = (await convox.ecs("describe_tasks", cluster="convox", tasks=stopped))["tasks"]
    assert task["stoppedReason"] == "Task failed ELB health checks in (elb httpd)"


async def test_an_instance_leaves_with_its_last_task(convox: Convox) -> None:
    await convox.task_definition("R", 3245)
    await convox.create()
    await convox.until_told("has reached a steady state.")
    await convox.ecs("update_service", cluster="convox", service=SERVICE, desiredCount=0)
    portway = convox.ecs.portway
    async with asyncio.timeout(30):
        while any(r.phase < Phase.GONE for s in portway.world.apps.values() for r in s.instances):
            await asyncio.sleep(0.02)
    assert (await convox.described())["Instances"] == []
    messages = await convox.until_told("steady")
    assert f"(service {SERVICE}) deregistered 1 instances in (elb httpd)" in messages


async def test_a_service_that_gets_a_load_balancer_later_takes_its_instances_over(
    convox: Convox,
) -> None:
    await convox.task_definition("R", 3245)
    await convox.create(loadBalancers=[], role="")
    nodes = await convox.ecs("list_container_instances", cluster="convox")
    told = await convox.ecs("describe_container_instances", cluster="convox", containerInstances=nodes["containerInstanceArns"])  # fmt: skip
    by_hand = [{"InstanceId": one["ec2InstanceId"]} for one in told["containerInstances"]]
    await convox.elb("register_instances_with_load_balancer", Instances=by_hand)
    assert len((await convox.described())["Instances"]) == 2
    await convox.ecs("update_service", cluster="convox", service=SERVICE, loadBalancers=[BALANCED])
    async with asyncio.timeout(30):
        while len((await convox.described())["Instances"]) != 1:
            await asyncio.sleep(0.02)


async def test_what_cannot_be_behind_a_classic_load_balancer_is_refused(convox: Convox) -> None:
    ecs = convox.ecs
    await convox.task_definition("R", 0)
    asked = {"cluster": "convox", "serviceName": "web", "desiredCount": 1}
    other = {**BALANCED, "loadBalancerName": "other"}
    told = await ecs.refusal("create_service", **asked, taskDefinition="httpd-web", loadBalancers=[BALANCED])  # fmt: skip
    assert told == ("InvalidParameterException", "A host port mapping for the container port 80 is required")  # fmt: skip
    await convox.task_definition("R", 3245)
    for balancers, words in (
        ([other], "There is no ACTIVE Load Balancer named 'other'"),
        ([BALANCED, other], "A service can use one classic load balancer, and no target groups"),
        ([{**BALANCED, "containerPort": 81}], "did not have a container port 81 defined"),
    ):
        code, said = await ecs.refusal("create_service", **asked, taskDefinition="httpd-web", loadBalancers=balancers)  # fmt: skip
        assert code == "InvalidParameterException"
        assert words in said
