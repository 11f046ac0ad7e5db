"""Service deployments and revisions, with boto3, over a portway in memory."""

from __future__ import annotations

from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.ecs.test_services import create, register, settled


async def test_the_deployments_of_a_service_are_listed_and_described(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    definition = await register(ecs)
    await create(ecs)
    service = await settled(ecs)
    [listed] = (await ecs("list_service_deployments", service="web", cluster="c"))["serviceDeployments"]  # fmt: skip
    assert (listed["status"], listed["serviceArn"]) == ("SUCCESSFUL", service["serviceArn"])
    by_arn = await ecs("list_service_deployments", service=service["serviceArn"])
    assert by_arn["serviceDeployments"] == [listed]
    none = await ecs("list_service_deployments", service="web", cluster="c", status=["PENDING"])
    assert none["serviceDeployments"] == []
    arn = listed["serviceDeploymentArn"]
    found = await ecs("describe_service_deployments", serviceDeploymentArns=[arn, f"{arn[:-4]}none"])  # fmt: skip
    [shown] = found["serviceDeployments"]
    assert shown["deploymentCircuitBreaker"] == {"status": "DISABLED", "failureCount": 0, "threshold": 3}  # fmt: skip
    assert [f["reason"] for f in found["failures"]] == ["MISSING"]
    revision = shown["targetServiceRevision"]["arn"]
    [described] = (await ecs("describe_service_revisions", serviceRevisionArns=[revision]))["serviceRevisions"]  # fmt: skip
    assert described["taskDefinition"] == definition
    assert [c["containerName"] for c in described["containerImages"]] == ["web"]


async def test_of_a_service_that_is_not_there_there_are_none(ecs: Ecs) -> None:
    code, _ = await ecs.refusal("list_service_deployments", service="nope")
    assert code == "ServiceNotFoundException"
    wrong = {"serviceDeploymentArns": ["arn:aws:ecs:us-east-1:000000000000:service/c/x"]}
    code, _ = await ecs.refusal("describe_service_deployments", **wrong)
    assert code == "InvalidParameterException"
