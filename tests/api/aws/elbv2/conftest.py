"""A load balancer with a listener and a group, made over the wire."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from portway.core.aws_names import AwsNames
from tests.api.aws.conftest import ServedFace

NODE = AwsNames(region="", account_id="").ec2_instance_id("node-1")


class Elb:
    """Asks the service, and knows what was made."""

    def __init__(self, face: ServedFace) -> None:
        self.face = face
        self.subnets: list[str] = []
        self.vpc_id = ""

    async def ask(self, operation: str, **members: Any) -> Any:
        return await self.face.ask("elbv2", operation, **members)

    async def refusal(self, operation: str, **members: Any) -> tuple[str, str]:
        """(code, message) of what is refused."""
        with pytest.raises(ClientError) as caught:
            await self.ask(operation, **members)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]

    async def open(self) -> None:
        found = await self.face.ask("ec2", "describe_subnets")
        self.subnets = [subnet["SubnetId"] for subnet in found["Subnets"]]
        self.vpc_id = found["Subnets"][0]["VpcId"]

    async def balancer(self, name: str = "web", **members: Any) -> dict[str, Any]:
        given = {"Name": name, "Subnets": self.subnets, **members}
        return (await self.ask("create_load_balancer", **given))["LoadBalancers"][0]

    async def group(self, name: str = "tg", **members: Any) -> dict[str, Any]:
        given = {"Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc_id, **members}
        return (await self.ask("create_target_group", **given))["TargetGroups"][0]

    async def listener(self, balancer: str, *, port: int = 80, **members: Any) -> dict[str, Any]:
        given = {"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port, **members}
        return (await self.ask("create_listener", **given))["Listeners"][0]


def forward(arn: str) -> list[dict[str, Any]]:
    return [{"Type": "forward", "TargetGroupArn": arn}]


ANSWER = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


@pytest.fixture
async def elb(face: ServedFace) -> Elb:
    made = Elb(face)
    await made.open()
    return made
