"""Service deployments and revisions, with boto3, over a portway in memory."""

from __future__ import annotations

from portway.engines.memory.world import Fault
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


async def test_a_deployment_that_ended_is_listed_beside_the_newer_one(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    await create(ecs, desiredCount=1)
    await settled(ecs)
    await ecs("update_service", cluster="c", service="web", taskDefinition=await register(ecs))
    await settled(ecs)
    listed = (await ecs("list_service_deployments", service="web", cluster="c"))["serviceDeployments"]  # fmt: skip
    assert [one["status"] for one in listed] == ["SUCCESSFUL", "SUCCESSFUL"]
    found = await ecs("describe_service_deployments", serviceDeploymentArns=[listed[0]["serviceDeploymentArn"]])  # fmt: skip
    [source] = found["serviceDeployments"][0]["sourceServiceRevisions"]
    assert source["arn"] == listed[1]["targetServiceRevisionArn"]
    revisions = await ecs("describe_service_revisions", serviceRevisionArns=[source["arn"]])
    assert revisions["serviceRevisions"][0]["taskDefinition"].endswith("web:1")


async def test_a_deployment_that_is_stopped_goes_back(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    await create(ecs, desiredCount=1)
    await settled(ecs)
    ecs.portway.engine.inject(Fault(operation="start", times=0))
    await ecs("update_service", cluster="c", service="web", taskDefinition=await register(ecs))
    running, first = (await ecs("list_service_deployments", service="web", cluster="c"))["serviceDeployments"]  # fmt: skip
    arn = running["serviceDeploymentArn"]
    stopped = await ecs("stop_service_deployment", serviceDeploymentArn=arn)
    assert stopped["serviceDeploymentArn"] == arn
    ecs.portway.engine.clear_faults()
    service = await settled(ecs)
    assert service["taskDefinition"].endswith("web:1")
    [shown] = (await ecs("describe_service_deployments", serviceDeploymentArns=[arn]))["serviceDeployments"]  # fmt: skip
    assert shown["status"].startswith("ROLLBACK_")
    assert shown["rollback"]["serviceRevisionArn"] == first["targetServiceRevisionArn"]
    code, told = await ecs.refusal("stop_service_deployment", serviceDeploymentArn=arn)
    assert (code, "cannot be stopped" in told) == ("ConflictException", True)
    code, _ = await ecs.refusal("stop_service_deployment", serviceDeploymentArn=f"{arn[:-4]}none")
    assert code == "ServiceDeploymentNotFoundException"


async def test_the_first_deployment_has_nothing_to_go_back_to(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    ecs.portway.engine.inject(Fault(operation="start", times=0))
    await create(ecs)
    [running] = (await ecs("list_service_deployments", service="web", cluster="c"))["serviceDeployments"]  # fmt: skip
    code, told = await ecs.refusal("stop_service_deployment", serviceDeploymentArn=running["serviceDeploymentArn"])  # fmt: skip
    assert code == "ClientException"
    assert "no revision to go back to" in told
