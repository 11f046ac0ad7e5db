"""ECS services, with boto3, over a portway in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError

from portway.api.aws.ecs.service_checks import TARGET_GROUP_KIND
from tests.api.aws.ecs.conftest import Ecs

ARNS = "arn:aws:ecs:us-east-1:000000000000:"
GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/tg/0123456789abcdef"
BALANCED = {"targetGroupArn": GROUP, "containerName": "web", "containerPort": 80}


async def register(ecs: Ecs, family: str = "web", *, mode: str = "bridge", host_port: int = 0) -> str:  # fmt: skip
    mapping = {"containerPort": 80} | ({"hostPort": host_port} if host_port else {})
    container = {"name": "web", "image": "web", "memory": 64, "portMappings": [mapping]}
    made = await ecs("register_task_definition", family=family, networkMode=mode, containerDefinitions=[container])  # fmt: skip
    return made["taskDefinition"]["taskDefinitionArn"]


async def create(ecs: Ecs, name: str = "web", **given: Any) -> dict[str, Any]:
    asked = {"cluster": "c", "serviceName": name, "taskDefinition": "web", "desiredCount": 2}
    return (await ecs("create_service", **{**asked, **given}))["service"]


async def described(ecs: Ecs, name: str = "web", **given: Any) -> dict[str, Any]:
    [service] = (await ecs("describe_services", cluster="c", services=[name], **given))["services"]
    return service


async def settled(ecs: Ecs, name: str = "web") -> dict[str, Any]:
    """The service once it rests and everything has been told."""
    await ecs.portway.settled("c")
    async with asyncio.timeout(30):
        while True:
            service = await described(ecs, name)
            if service["events"] and service["events"][0]["message"].endswith("steady state."):
                return service


@pytest.fixture
async def with_cluster(ecs: Ecs) -> Ecs:
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    return ecs


async def test_a_service_runs_and_is_shown_as_it_was_made(with_cluster: Ecs) -> None:
    ecs = with_cluster
    made = await create(ecs, tags=[{"key": "k", "value": "v"}])
    assert (made["serviceArn"], made["status"]) == (f"{ARNS}service/c/web", "ACTIVE")
    assert made["taskDefinition"] == f"{ARNS}task-definition/web:1"
    assert made["deploymentConfiguration"]["maximumPercent"] == 200
    assert made["deploymentConfiguration"]["minimumHealthyPercent"] == 100
    assert (made["schedulingStrategy"], made["deploymentController"]) == ("REPLICA", {"type": "ECS"})  # fmt: skip
    assert made["availabilityZoneRebalancing"] == "ENABLED"
    assert made["tags"] == [{"key": "k", "value": "v"}]
    service = await settled(ecs)
    assert [service[n] for n in ("desiredCount", "runningCount", "pendingCount")] == [2, 2, 0]
    [deployment] = service["deployments"]
    assert (deployment["status"], deployment["rolloutState"]) == ("PRIMARY", "COMPLETED")
    assert "tags" not in service
    assert (await described(ecs, service["serviceArn"], include=["TAGS"]))["tags"] == made["tags"]


async def test_what_happens_is_told_as_events(with_cluster: Ecs) -> None:
    ecs = with_cluster
    await create(ecs, desiredCount=1)
    service = await settled(ecs)
    [deployment] = service["deployments"]
    messages = [event["message"] for event in reversed(service["events"])]
    assert messages[0].startswith("(service web) has started 1 tasks: (task ")
    assert messages[1:] == [
        f"(service web) (deployment {deployment['id']}) deployment completed.",
        "(service web) has reached a steady state.",
    ]
    assert len({event["id"] for event in service["events"]}) == len(messages)


async def test_a_new_revision_replaces_the_old_one(with_cluster: Ecs) -> None:
    ecs = with_cluster
    await create(ecs)
    first = await settled(ecs)
    second = await register(ecs)
    updated = (await ecs("update_service", cluster="c", service="web", taskDefinition=second))["service"]  # fmt: skip
    assert updated["taskDefinition"] == second
    assert [d["status"] for d in updated["deployments"]] == ["PRIMARY", "ACTIVE"]
    assert updated["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    service = await settled(ecs)
    assert [d["taskDefinition"] for d in service["deployments"]] == [second]
    assert service["deployments"][0]["id"] != first["deployments"][0]["id"]
    assert any(" has stopped " in event["message"] for event in service["events"])


async def test_a_forced_deployment_replaces_and_a_count_does_not(with_cluster: Ecs) -> None:
    ecs = with_cluster
    await create(ecs)
    before = (await settled(ecs))["deployments"][0]["id"]
    scaled = (await ecs("update_service", cluster="c", service="web", desiredCount=3))["service"]
    assert [d["id"] for d in scaled["deployments"]] == [before]
    assert (await settled(ecs))["runningCount"] == 3
    await ecs("update_service", cluster="c", service="web", forceNewDeployment=True)
    after = await settled(ecs)
    assert [d["id"] for d in after["deployments"]] != [before]
    assert after["desiredCount"] == 3


async def test_a_service_is_deleted_when_it_is_scaled_to_none_or_by_force(with_cluster: Ecs) -> None:  # fmt: skip
    ecs = with_cluster
    await create(ecs)
    await settled(ecs)
    code, told = await ecs.refusal("delete_service", cluster="c", service="web")
    assert code == "InvalidParameterException"
    assert told == "The service cannot be stopped while it is scaled above 0."
    gone = (await ecs("delete_service", cluster="c", service="web", force=True))["service"]
    assert gone["status"] == "DRAINING"
    assert (await ecs("list_services", cluster="c"))["serviceArns"] == []
    await ecs.portway.until(lambda: "c/web" not in ecs.portway.world.apps)
    assert (await described(ecs))["status"] == "INACTIVE"
    code, told = await ecs.refusal("delete_service", cluster="c", service="web")
    assert (code, told) == ("ServiceNotFoundException", "Service not found.")
    code, told = await ecs.refusal("update_service", cluster="c", service="web")
    assert code == "ServiceNotFoundException"
    again = await create(ecs, desiredCount=1)
    assert (again["status"], again["events"]) == ("ACTIVE", [])


async def test_the_same_service_again_is_the_same_and_another_is_refused(with_cluster: Ecs) -> None:
    ecs = with_cluster
    made = await create(ecs, clientToken="a")  # noqa: S106
    assert (await create(ecs, clientToken="b"))["createdAt"] == made["createdAt"]  # noqa: S106
    code, told = await ecs.refusal("create_service", cluster="c", serviceName="web", taskDefinition="web", desiredCount=3)  # fmt: skip
    assert (code, told) == ("InvalidParameterException", "Creation of service was not idempotent.")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"healthCheckGracePeriodSeconds": 30}, "Health check grace period is only valid for services configured to use load balancers"),
        ({"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}, "availabilityZoneRebalancing": "DISABLED"},
         "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."),
        ({"deploymentConfiguration": {"minimumHealthyPercent": 0, "maximumPercent": 100}},
         "Availability Zone Rebalancing does not support maximumPercent <= 100%"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}}, "Network Configuration is not valid for the given networkMode of this task definition."),
        ({"launchType": "EC2", "capacityProviderStrategy": [{"capacityProvider": "x"}]}, "Specify either Launch Type or Capacity Provider Strategy, but not both."),
        ({"loadBalancers": [{**BALANCED, "containerPort": 8080}]}, "The container web did not have a container port 8080 defined."),
        ({"loadBalancers": [{**BALANCED, "containerName": "no"}]}, "The container no does not exist in the task definition."),
        ({"loadBalancers": [{"loadBalancerName": "httpd", "containerName": "web", "containerPort": 80}]}, "A host port mapping for the container port 80 is required"),
        ({"loadBalancers": [BALANCED]}, f"The specified target group {GROUP} does not exist."),
        ({"loadBalancers": [BALANCED] * 6}, "load balancers can have at most 5 items."),
        ({"serviceName": "a b"}, "Service name must be 1 to 255 letters, numbers, hyphens and underscores."),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_in_awss_words(
    with_cluster: Ecs, given: dict[str, Any], told: str
) -> None:
    asked = {"cluster": "c", "serviceName": "web", "taskDefinition": "web", "desiredCount": 2}
    refusal = await with_cluster.refusal("create_service", **{**asked, **given})
    assert refusal == ("InvalidParameterException", told)
    assert (await with_cluster("list_services", cluster="c"))["serviceArns"] == []


@pytest.mark.parametrize(
    ("group", "mode", "told"),
    [
        ({"check": {"number_text": "8081"}}, "bridge",
         f"The task definition is configured to use a dynamic host port, but the target group with targetGroupArn {GROUP} has a health check port specified."),
        ({}, "bridge", f"The target group with targetGroupArn {GROUP} does not have an associated load balancer."),
        ({"target_type": "ip"}, "bridge",
         f"The provided target group {GROUP} has target type ip, which is incompatible with the bridge network mode specified in the task definition."),
        ({"target_type": "instance"}, "awsvpc",
         f"The provided target group {GROUP} has target type instance, which is incompatible with the awsvpc network mode specified in the task definition."),
    ],
)  # fmt: skip
async def test_a_target_group_has_to_fit(
    with_cluster: Ecs, group: dict[str, Any], mode: str, told: str
) -> None:
    ecs = with_cluster
    await register(ecs, "other", mode=mode)
    await ecs.face.documents.put(TARGET_GROUP_KIND, GROUP, {"target_type": "instance", **group})
    [subnet, *_] = (await ecs.face.ask("ec2", "describe_subnets"))["Subnets"]
    own = {"subnets": [subnet["SubnetId"]]}
    network = {"networkConfiguration": {"awsvpcConfiguration": own}}
    refusal = await ecs.refusal(
        "create_service",
        **{"cluster": "c", "serviceName": "web", "taskDefinition": "other", "desiredCount": 1},
        loadBalancers=[BALANCED],
        **(network if mode == "awsvpc" else {}),
    )
    assert refusal == ("InvalidParameterException", told)


async def test_what_is_not_there_is_said_to_be_missing(with_cluster: Ecs) -> None:
    ecs = with_cluster
    found = await ecs("describe_services", cluster="c", services=["nope"])
    assert found["failures"] == [{"arn": f"{ARNS}service/c/nope", "reason": "MISSING"}]
    of_another = "arn:aws:ecs:us-east-1:111111111111:service/c/web"
    found = await ecs("describe_services", cluster="c", services=[of_another])
    assert found["failures"] == [{"arn": of_another, "reason": "MISSING"}]
    code, told = await ecs.refusal("describe_services", cluster="nope", services=["x"])
    assert (code, told) == ("ClusterNotFoundException", "Cluster not found.")
    names = [f"s{n}" for n in range(11)]
    code, told = await ecs.refusal("describe_services", cluster="c", services=names)
    assert code == "InvalidParameterException"
    code, told = await ecs.refusal("update_service", cluster="c", service="nope")
    assert (code, told) == ("ServiceNotFoundException", "Service not found.")


async def test_only_an_active_task_definition_is_run(with_cluster: Ecs) -> None:
    ecs = with_cluster
    asked = {"cluster": "c", "serviceName": "web", "desiredCount": 1}
    refusal = await ecs.refusal("create_service", **asked, taskDefinition="nope")
    assert refusal == ("ClientException", "TaskDefinition not found.")
    await ecs("deregister_task_definition", taskDefinition="web:1")
    refusal = await ecs.refusal("create_service", **asked, taskDefinition="web:1")
    assert refusal == ("ClientException", "TaskDefinition is inactive")


async def test_services_are_listed_in_pages_of_ten(with_cluster: Ecs) -> None:
    ecs = with_cluster
    for nth in range(11):
        await create(ecs, f"s{nth:02}", desiredCount=0)
    first = await ecs("list_services", cluster="c")
    assert len(first["serviceArns"]) == 10
    rest = await ecs("list_services", cluster="c", nextToken=first["nextToken"])
    assert rest["serviceArns"] == [f"{ARNS}service/c/s10"]
    none = await ecs("list_services", cluster="c", schedulingStrategy="DAEMON")
    assert none["serviceArns"] == []


async def test_names_that_are_no_slugs_are_shown_as_they_were_given(with_cluster: Ecs) -> None:
    ecs = with_cluster
    made = await create(ecs, "My_Service", desiredCount=1)
    assert made["serviceName"] == "My_Service"
    assert (await settled(ecs, "My_Service"))["runningCount"] == 1


async def test_a_static_port_that_is_taken_is_told_and_the_old_revision_stays(with_cluster: Ecs) -> None:  # fmt: skip
    ecs = with_cluster
    await register(ecs, "static", host_port=8080)
    await create(ecs, desiredCount=1, taskDefinition="static")
    await settled(ecs)
    await register(ecs, "static", host_port=8080)
    await ecs("update_service", cluster="c", service="web", taskDefinition="static:2")
    said = await until_told(ecs, "was unable to place a task")
    assert said.endswith(
        "is already using a port required by your task. For more information, see the "
        "Troubleshooting section of the Amazon ECS Developer Guide."
    )
    service = await described(ecs)
    assert service["runningCount"] == 1
    assert [d["runningCount"] for d in service["deployments"]] == [0, 1]


async def until_told(ecs: Ecs, part: str) -> str:
    """The newest event of a service with these words."""
    async with asyncio.timeout(30):
        while True:
            told = [e["message"] for e in (await described(ecs))["events"] if part in e["message"]]
            if told:
                return told[0]
            await ecs.portway.idle(0.02)


async def test_a_breaker_takes_a_revision_that_never_starts_back(with_cluster: Ecs) -> None:
    ecs = with_cluster
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 1}}}  # fmt: skip
    await create(ecs, desiredCount=1, deploymentConfiguration=breaker)
    good = (await settled(ecs))["deployments"][0]
    container = {"name": "web", "image": "missing", "memory": 64}
    await ecs("register_task_definition", family="web", containerDefinitions=[container])
    await ecs("update_service", cluster="c", service="web", taskDefinition="web:2")
    failed = await until_told(ecs, "deployment failed")
    assert failed.endswith("deployment failed: tasks failed to start.")
    assert await until_told(ecs, "rolling back") == f"(service web) rolling back to deployment {good['id']}."  # fmt: skip
    back = await settled(ecs)
    assert [d["id"] for d in back["deployments"]] == [good["id"]]
    assert back["taskDefinition"].endswith("web:1")


async def test_of_changes_at_the_same_moment_none_is_lost(with_cluster: Ecs) -> None:
    ecs = with_cluster
    await create(ecs, desiredCount=1)
    await register(ecs)
    changes = (
        {"desiredCount": 3},
        {"taskDefinition": "web:2"},
        {"deploymentConfiguration": {"maximumPercent": 150}},
        {"deploymentConfiguration": {"minimumHealthyPercent": 50}},
        {"propagateTags": "SERVICE"},
    )
    await asyncio.gather(
        *(ecs("update_service", cluster="c", service="web", **one) for one in changes)
    )
    service = await described(ecs)
    assert (service["desiredCount"], service["taskDefinition"][-6:]) == (3, "/web:2")
    percents = service["deploymentConfiguration"]
    assert (percents["maximumPercent"], percents["minimumHealthyPercent"]) == (150, 50)
    assert service["propagateTags"] == "SERVICE"


async def test_the_same_service_made_many_times_at_once_is_one(with_cluster: Ecs) -> None:
    ecs = with_cluster
    made = await asyncio.gather(*(create(ecs, clientToken=f"t{n}") for n in range(5)))
    assert len({one["createdAt"] for one in made}) == 1
    given = {"cluster": "c", "serviceName": "other", "taskDefinition": "web"}
    answers = await asyncio.gather(
        *(ecs("create_service", **given, desiredCount=n) for n in range(2)), return_exceptions=True
    )
    [refusal] = [one for one in answers if isinstance(one, ClientError)]
    assert refusal.response["Error"]["Message"] == "Creation of service was not idempotent."
