"""Objects by their tags, with boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace


async def found(face: ServedFace, **members: Any) -> dict[str, dict[str, str]]:
    answer = await face.ask("resourcegroupstaggingapi", "get_resources", **members)
    return {
        each["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        for each in answer["ResourceTagMappingList"]
    }


async def test_objects_of_every_service_are_found_by_their_tags(face: ServedFace) -> None:
    await face.ask("logs", "create_log_group", logGroupName="g", tags={"env": "dev"})
    await face.ask("logs", "create_log_group", logGroupName="untagged")
    vpc = (await face.ask("ec2", "describe_vpcs"))["Vpcs"][0]["VpcId"]
    tags = [{"Key": "env", "Value": "prod"}]
    await face.ask("ec2", "create_tags", Resources=[vpc], Tags=tags)
    balancer = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/web/1"
    await face.documents.put("elbv2.load-balancer", balancer, {"tags": {"env": "dev"}})
    cluster = "arn:aws:ecs:us-east-1:000000000000:cluster/c"
    body = {"clusterArn": cluster, "tags": [{"key": "env", "value": "dev"}]}
    await face.documents.put("ecs.cluster", "c", body)
    group = "arn:aws:logs:us-east-1:000000000000:log-group:g"
    vpc_arn = f"arn:aws:ec2:us-east-1:000000000000:vpc/{vpc}"
    assert (await found(face)).keys() == {group, balancer, cluster, vpc_arn}
    dev = await found(face, TagFilters=[{"Key": "env", "Values": ["dev"]}])
    assert dev == dict.fromkeys((group, balancer, cluster), {"env": "dev"})
    assert (await found(face, ResourceTypeFilters=["ec2:vpc", "ecs"])).keys() == {vpc_arn, cluster}
    assert (await found(face, ResourceARNList=[group])).keys() == {group}
    with pytest.raises(ClientError, match="cannot be given together"):
        await found(face, ResourceARNList=[group], TagFilters=[{"Key": "env"}])
