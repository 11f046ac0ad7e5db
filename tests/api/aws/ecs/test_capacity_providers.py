"""Capacity providers, with boto3: they are kept, named and shown, and decide nothing."""

from __future__ import annotations

from tests.api.aws.ecs.conftest import Ecs

GROUP = {"autoScalingGroupArn": "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1:autoScalingGroupName/g"}  # fmt: skip


async def test_a_capacity_provider_is_made_changed_shown_and_forgotten(ecs: Ecs) -> None:
    tags = [{"key": "k", "value": "v"}]
    made = await ecs("create_capacity_provider", name="p", autoScalingGroupProvider=GROUP, tags=tags)  # fmt: skip
    arn = made["capacityProvider"]["capacityProviderArn"]
    assert made["capacityProvider"]["tags"] == tags
    given = {"managedScaling": {"status": "ENABLED"}}
    await ecs("update_capacity_provider", name="p", autoScalingGroupProvider=given)
    found = await ecs("describe_capacity_providers", capacityProviders=[arn, "nobody"], include=["TAGS"])  # fmt: skip
    [shown] = found["capacityProviders"]
    assert shown["autoScalingGroupProvider"] == {**GROUP, **given}
    assert (shown["status"], shown["tags"]) == ("ACTIVE", tags)
    assert [f["reason"] for f in found["failures"]] == ["MISSING"]
    strategy = [{"capacityProvider": "p", "weight": 1}]
    cluster = {"cluster": "c", "capacityProviders": ["p"], "defaultCapacityProviderStrategy": strategy}  # fmt: skip
    await ecs("create_cluster", clusterName="c")
    await ecs("put_cluster_capacity_providers", **cluster)
    assert "in use" in (await ecs.refusal("delete_capacity_provider", capacityProvider="p"))[1]
    await ecs("put_cluster_capacity_providers", **{**cluster, "capacityProviders": [], "defaultCapacityProviderStrategy": []})  # fmt: skip
    gone = await ecs("delete_capacity_provider", capacityProvider=arn)
    assert gone["capacityProvider"]["status"] == "INACTIVE"
    names = [p["name"] for p in (await ecs("describe_capacity_providers"))["capacityProviders"]]
    assert names == ["FARGATE", "FARGATE_SPOT"]


async def test_what_cannot_be_is_refused(ecs: Ecs) -> None:
    assert (await ecs.refusal("create_capacity_provider", name="p"))[0] == "InvalidParameterException"  # fmt: skip
    own = {"name": "ecs-p", "autoScalingGroupProvider": GROUP}
    assert (await ecs.refusal("create_capacity_provider", **own))[0] == "InvalidParameterException"
    await ecs("create_capacity_provider", **{**own, "name": "p"})
    assert "there already" in (await ecs.refusal("create_capacity_provider", **{**own, "name": "p"}))[1]  # fmt: skip
    for operation, given in (
        ("update_capacity_provider", {"name": "q", "autoScalingGroupProvider": {}}),
        ("delete_capacity_provider", {"capacityProvider": "FARGATE"}),
    ):
        assert "does not exist" in (await ecs.refusal(operation, **given))[1]
