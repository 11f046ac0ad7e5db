"""networkConfiguration: what it names must be there and fit, and it is shown with its defaults."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from portway.api.aws.ecs.awsvpc import checked_network, in_network, shown_network
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.controller.network.reading import ensure_network
from portway.core.ecs.labels import TASK, Origin
from portway.core.network.defaults import (
    GROUP,
    ZONES,
    default_group_id,
    default_subnet_id,
    default_vpc_id,
    security_group,
)
from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.faces import made_face

OWN = {"networkMode": "awsvpc"}
NEAR, FAR = (default_subnet_id("h", zone) for zone in ZONES)
DEFAULT = default_group_id(default_vpc_id("h"))


@pytest.fixture
async def face() -> Face:
    made = made_face(home_id="h")
    await ensure_network(made.documents, home_id="h", region=made.region)
    kind, key, body = security_group("sg-far", "vpc-far", name="far", description="", rules=[])
    await made.documents.put(kind, key, body, 0)
    return made


def asked(launch_type: str = "EC2", **own: Any) -> dict[str, Any]:
    return {"launchType": launch_type, "networkConfiguration": {"awsvpcConfiguration": own}}


async def test_it_is_given_back_with_its_defaults(face: Face) -> None:
    found = await checked_network(face, OWN, asked(subnets=[NEAR, NEAR]))
    assert found == {
        "awsvpcConfiguration": {"subnets": [NEAR], "securityGroups": [], "assignPublicIp": "DISABLED"}
    }  # fmt: skip
    assert shown_network(found) == found
    assert await checked_network(face, {"networkMode": "bridge"}, {}) is None


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"subnets": []}, "subnets can not be empty."),
        ({"subnets": [NEAR, "subnet-x"]},
         f"Error retrieving subnet information for [{NEAR}, subnet-x]: The subnet ID 'subnet-x' does not exist (ErrorCode: InvalidSubnetID.NotFound)"),
        ({"subnets": [NEAR], "securityGroups": ["sg-x"]},
         "Error retrieving security group information for [sg-x]: The security group 'sg-x' does not exist (ErrorCode: InvalidGroup.NotFound)"),
        ({"subnets": [NEAR], "securityGroups": ["sg-far"]},
         "Security group sg-far does not appear to belong to the same VPC as the input subnets."),
        ({"subnets": [f"s{n}" for n in range(17)]}, "subnets can have at most 16 items."),
        ({"subnets": [NEAR], "securityGroups": [f"g{n}" for n in range(6)]}, "security groups can have at most 5 items."),
        ({"subnets": [NEAR], "assignPublicIp": "ENABLED"}, "Assign public IP is not supported for this launch type."),
    ],
)  # fmt: skip
async def test_what_is_not_there_or_does_not_fit_is_refused(
    face: Face, own: dict[str, Any], told: str
) -> None:
    with pytest.raises(AwsError) as caught:
        await checked_network(face, OWN, asked(**own))
    assert (caught.value.code, caught.value.message) == ("InvalidParameterException", told)


async def test_a_public_address_is_for_fargate(face: Face) -> None:
    given = asked("FARGATE", subnets=[FAR], assignPublicIp="ENABLED")
    found = await checked_network(face, OWN, given)
    assert found is not None
    assert found["awsvpcConfiguration"]["assignPublicIp"] == "ENABLED"


async def test_tasks_are_in_the_first_subnet_and_without_a_group_in_the_default_one(face: Face) -> None:  # fmt: skip
    alone = Origin(kind=TASK, cluster="c")
    assert await in_network(face, alone, None) is alone
    made = await in_network(face, alone, await checked_network(face, OWN, asked(subnets=[FAR, NEAR])))  # fmt: skip
    assert (made.subnet, made.security_groups) == (FAR, (DEFAULT,))
    given = await checked_network(face, OWN, asked(subnets=[NEAR], securityGroups=[DEFAULT]))
    assert (await in_network(face, alone, given)).security_groups == (DEFAULT,)
    assert await face.documents.get(GROUP, DEFAULT)


async def test_a_service_shows_its_network_and_its_tasks_are_in_it(ecs: Ecs) -> None:
    ask = ecs.face.ask
    subnet, other = [s["SubnetId"] for s in (await ask("ec2", "describe_subnets"))["Subnets"]]
    group = (await ask("ec2", "create_security_group", GroupName="t", Description="d"))["GroupId"]
    await ecs("create_cluster", clusterName="c")
    container = {"name": "web", "image": "web", "memory": 64}
    await ecs("register_task_definition", family="web", networkMode="awsvpc", containerDefinitions=[container])  # fmt: skip
    own = {"subnets": [subnet], "securityGroups": [group]}
    given = {"networkConfiguration": {"awsvpcConfiguration": own}}
    await ecs("create_service", cluster="c", serviceName="s", taskDefinition="web", desiredCount=1, **given)  # fmt: skip
    await ecs.portway.settled("c")
    [service] = (await ecs("describe_services", cluster="c", services=["s"]))["services"]
    shown = {"awsvpcConfiguration": {**own, "assignPublicIp": "DISABLED"}}
    assert service["networkConfiguration"] == shown
    assert service["deployments"][0]["networkConfiguration"] == shown
    [arn] = (await ecs("list_tasks", cluster="c"))["taskArns"]
    [task] = (await ecs("describe_tasks", cluster="c", tasks=[arn]))["tasks"]
    assert {"name": "subnetId", "value": subnet} in task["attachments"][0]["details"]
    for operation, member, key in (("delete_security_group", "GroupId", group), ("delete_subnet", "SubnetId", subnet)):  # fmt: skip
        with pytest.raises(ClientError, match="DependencyViolation"):
            await ask("ec2", operation, **{member: key})
    await ecs("update_service", cluster="c", service="s", **given)
    assert ecs.portway.live("c/s") == ["c/s.1.1"]
    moved = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [other]}}}
    await ecs("update_service", cluster="c", service="s", **moved)
    await ecs.portway.settled("c")
    assert ecs.portway.live("c/s") == ["c/s.1.2"]
