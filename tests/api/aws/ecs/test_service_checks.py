"""What CreateService and UpdateService refuse before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from portway.api.aws.ecs.definitions import Definition
from portway.api.aws.ecs.service_checks import (
    TARGET_GROUP_KIND,
    USER_KINDS,
    check_balancers,
    check_name,
    check_network,
    check_spec,
    rebalances,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from tests.api.aws.faces import ARNS, made_face

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/tg/0123456789abcdef"
BALANCED = {"targetGroupArn": GROUP, "containerName": "web", "containerPort": 80}


@pytest.mark.parametrize("name", ["a", "Web_1-x", "a" * 255])
def test_a_name_of_letters_digits_hyphens_and_underscores_is_taken(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "a" * 256, "a b", "é", "a/b", "a.b", "a\n"])
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(AwsError):
        check_name(name)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "ENABLED"),
        ({"schedulingStrategy": "DAEMON"}, "DISABLED"),
        ({"loadBalancers": [{"loadBalancerName": "httpd"}]}, "DISABLED"),
        ({"loadBalancers": [BALANCED]}, "ENABLED"),
        ({"schedulingStrategy": "DAEMON", "availabilityZoneRebalancing": "ENABLED"}, "ENABLED"),
        ({"availabilityZoneRebalancing": "DISABLED"}, "DISABLED"),
    ],
)
def test_zones_are_rebalanced_where_the_service_can_have_it(spec: Any, expected: str) -> None:
    assert rebalances(spec) == expected


def spec(**fields: Any) -> dict[str, Any]:
    return {"desiredCount": 1, **fields}


def percents(low: int, high: int) -> dict[str, Any]:
    return {"minimumHealthyPercent": low, "maximumPercent": high}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "desiredCount must be given"),
        (spec(schedulingStrategy="DAEMON"), "does not support a desired count"),
        (spec(launchType="EC2", capacityProviderStrategy=[{"capacityProvider": "x"}]), "but not both"),
        (spec(deploymentConfiguration=percents(0, 100)), "does not support maximumPercent <= 100%"),
        (spec(desiredCount=-1), "desiredCount"),
    ],
)  # fmt: skip
def test_a_service_that_could_not_be_is_refused(given: Any, told: str) -> None:
    with pytest.raises(AwsError, match=told) as caught:
        check_spec(given)
    assert caught.value.code == "InvalidParameterException"


@pytest.mark.parametrize(
    "given",
    [
        spec(),
        {"schedulingStrategy": "DAEMON"},
        spec(deploymentConfiguration=percents(0, 100), availabilityZoneRebalancing="DISABLED"),
        spec(deploymentConfiguration=percents(100, 101)),
    ],
)
def test_one_that_can_be_is_not(given: Any) -> None:
    check_spec(given)


@pytest.mark.parametrize(
    ("mode", "configuration", "told"),
    [
        ("awsvpc", None, "must be provided"),
        ("awsvpc", {}, "must be provided"),
        ("bridge", {"awsvpcConfiguration": {}}, "is not valid"),
        ("host", {"awsvpcConfiguration": {}}, "is not valid"),
        ("awsvpc", {"awsvpcConfiguration": {"subnets": ["s"]}}, ""),
        ("bridge", None, ""),
    ],
)
def test_only_awsvpc_has_a_network_configuration(mode: str, configuration: Any, told: str) -> None:
    if not told:
        check_network({"networkMode": mode}, configuration)
        return
    with pytest.raises(AwsError, match=told):
        check_network({"networkMode": mode}, configuration)


def definition(mode: str = "bridge", **mapping: Any) -> Definition:
    container = {"name": "web", "image": "web", "portMappings": [{"containerPort": 80, **mapping}]}
    body = {"family": "web", "networkMode": mode, "containerDefinitions": [container]}
    return Definition(
        family="web",
        revision=1,
        arn=f"{ARNS}task-definition/web:1",
        status="ACTIVE",
        body=body,
        tags=(),
    )


async def refusal(face: Face, of: Definition, **balanced: Any) -> str:
    try:
        await check_balancers(face, spec(loadBalancers=[{**BALANCED, **balanced}]), of)
    except AwsError as error:
        return f"{error.code} {error}"
    return ""


async def with_group(used_by: str = "", **group: Any) -> Face:
    face = made_face()
    await face.documents.put(TARGET_GROUP_KIND, GROUP, {"target_type": "instance", **group})
    if used_by:
        action = {"type": "Forward", "pools": [[GROUP, 1]]}
        await face.documents.put(used_by, "arn", {"action": action})
    return face


@pytest.mark.parametrize("kind", USER_KINDS)
async def test_a_group_that_a_listener_or_a_rule_leads_to_is_taken(kind: str) -> None:
    assert await refusal(await with_group(kind), definition()) == ""


async def test_one_that_nobody_leads_to_is_refused() -> None:
    assert "does not have an associated load balancer" in await refusal(await with_group(), definition())  # fmt: skip
    assert "does not exist" in await refusal(made_face(), definition())


async def test_a_check_on_a_port_of_its_own_wants_a_static_host_port() -> None:
    face = await with_group(USER_KINDS[0], check={"number_text": "8081"})
    assert "use a dynamic host port" in await refusal(face, definition())
    assert "use a dynamic host port" in await refusal(face, definition(hostPort=0))
    assert await refusal(face, definition(hostPort=8080)) == ""
    assert await refusal(face, definition("host")) == ""


@pytest.mark.parametrize(
    ("mode", "target_type", "fits"),
    [
        ("bridge", "instance", True),
        ("host", "instance", True),
        ("awsvpc", "ip", True),
        ("awsvpc", "instance", False),
        ("bridge", "ip", False),
    ],
)
async def test_addresses_are_for_tasks_that_have_one(mode: str, target_type: str, fits: bool) -> None:  # fmt: skip
    face = await with_group(USER_KINDS[0], target_type=target_type)
    told = await refusal(face, definition(mode))
    assert told.startswith("InvalidParameterException") is not fits
    assert (
        fits or f"target type {target_type}, which is incompatible with the {mode} network" in told
    )


async def test_what_is_balanced_has_to_be_in_the_task_definition() -> None:
    face = await with_group(USER_KINDS[0])
    assert "did not have a container port 81 defined" in await refusal(face, definition(), containerPort=81)  # fmt: skip
    assert "container no does not exist" in await refusal(face, definition(), containerName="no")
