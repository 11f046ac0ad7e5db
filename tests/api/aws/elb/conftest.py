"""A classic load balancer, made over the wire."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from portway.core.aws_names import AwsNames
from tests.api.aws.conftest import ServedFace

NODE = AwsNames(region="", account_id="").ec2_instance_id("node-1")
TCP = {"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 3245}
HTTP = {"Protocol": "HTTP", "LoadBalancerPort": 8080, "InstancePort": 3245}


class Classic:
    """Asks the service, and knows the network."""

    def __init__(self, face: ServedFace) -> None:
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
        with pytest.raises(ClientError) as caught:
            await self.ask(operation, **{k: v for k, v in given.items() if v is not None})
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

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
async def classic(face: ServedFace) -> Classic:
    made = Classic(face)
    await made.open()
    return made


@pytest.fixture
async def httpd(classic: Classic) -> Classic:
    await classic.balancer()
    return classic
