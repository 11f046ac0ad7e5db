"""The AWS face as its clients see it: botocore, over a socket, for each protocol."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from .conftest import ServedFace


async def test_a_signed_request_is_answered(face: ServedFace) -> None:
    identity = await face.ask("sts", "get_caller_identity")
    assert identity["Account"] == "000000000000"
    assert identity["Arn"] == "arn:aws:iam::000000000000:user/default"
    assert len(identity["ResponseMetadata"]["RequestId"]) == 36


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("ecs", "list_daemons", "UnknownOperationException"),
        ("elbv2", "describe_trust_stores", "InvalidAction"),
        ("ec2", "describe_fleets", "InvalidAction"),
        ("cloudwatch", "list_dashboards", "UnknownOperationException"),
    ],
)
async def test_an_operation_portway_does_not_have_is_answered_with_a_sentence(
    face: ServedFace, service: str, operation: str, code: str
) -> None:
    with pytest.raises(ClientError, match="portway does not do") as caught:
        await face.ask(service, operation)
    assert caught.value.response["Error"]["Code"] == code
