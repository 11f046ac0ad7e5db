"""A classic load balancer, made in botocore's words, without a socket."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import xform_name

from portway.controller.clock import SystemClock
from portway.core.aws_names import AwsNames
from tests.api.aws.direct import Direct, RefusedError, model_of
from tests.api.fakes import FakeOperations

NODE = AwsNames(region="", account_id="").ec2_instance_id("node-1")
TCP = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 3245}
HTTP = {"Protocol": "HTTP", "LoadBalancerPort": 8080, "InstancePort": 3245}


class Face:
    """Asks any service, operations called as boto3 calls them."""

    def __init__(self) -> None:
        self.operations = FakeOperations()
        self.documents = self.operations.documents
        now_ms = SystemClock().now_ms
        self.direct = Direct(self.operations, documents=self.documents, now_ms=now_ms)

    async def ask(self, service: str, operation: str, /, **members: Any) -> Any:
        names = {xform_name(name): name for name in model_of(service).operation_names}
        return await self.direct.ask(service, names[operation], **members)


class Classic:
    """Asks the service, and knows the network."""

    def __init__(self, face: Face) -> None:
        self.face = face
        self.subnets: list[str] = []
        self.vpc_id = ""

    async def ask(self, operation: str, **members: Any) -> Any:
        return await self.face.ask("elb", operation, **members)

    async def of(self, operation: str, **members: Any) -> Any:
        """An operation on the load balancer httpd."""
        return await self.ask(operation, LoadBalancerName="httpd", **members)

    async def refusal(self, operation: str, **members: Any) -> tuple[str, str]:
        """(code, message) of what is refused, of httpd where nothing else is said."""
        given = {"LoadBalancerName": "httpd", **members}
        with pytest.raises(RefusedError) as caught:
            await self.ask(operation, **{k: v for k, v in given.items() if v is not None})
        return caught.value.code, caught.value.message

    async def open(self) -> None:
        found = await self.face.ask("ec2", "describe_subnets")
        self.subnets = [subnet["SubnetId"] for subnet in found["Subnets"]]
        self.vpc_id = found["Subnets"][0]["VpcId"]

    async def balancer(self, name: str = "httpd", **members: Any) -> str:
        given = {"LoadBalancerName": name, "Subnets": self.subnets, "Listeners": [TCP], **members}
        return (await self.ask("create_load_balancer", **given))["DNSName"]

    async def described(self, name: str = "httpd") -> dict[str, Any]:
        told = await self.ask("describe_load_balancers", LoadBalancerNames=[name])
        return told["LoadBalancerDescriptions"][0]

    async def states(self, *instance_ids: str) -> list[tuple[str, str, str]]:
        """(state, reason, description) of each."""
        given = {"Instances": [{"InstanceId": i} for i in instance_ids]} if instance_ids else {}
        told = await self.of("describe_instance_health", **given)
        return [(s["State"], s["ReasonCode"], s["Description"]) for s in told["InstanceStates"]]


@pytest.fixture
async def classic() -> Classic:
    made = Classic(Face())
    await made.open()
    return made


@pytest.fixture
async def httpd(classic: Classic) -> Classic:
    await classic.balancer()
    return classic
