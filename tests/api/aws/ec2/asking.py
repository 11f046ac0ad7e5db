"""What the tests of EC2 share."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace


async def ask(face: ServedFace, operation: str, **members: Any) -> dict[str, Any]:
    return await face.ask("ec2", operation, **members)


async def refused(face: ServedFace, operation: str, **members: Any) -> tuple[str, str]:
    """Code and sentence of a refusal."""
    with pytest.raises(ClientError) as caught:
        await ask(face, operation, **members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


async def default_vpc(face: ServedFace) -> str:
    found = await ask(face, "describe_vpcs", Filters=[{"Name": "is-default", "Values": ["true"]}])
    return found["Vpcs"][0]["VpcId"]


def by(name: str, *values: str) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": list(values)}]
