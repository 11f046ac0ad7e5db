"""ECS operations that are known and refused."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace


@pytest.mark.parametrize(
    ("operation", "given", "told"),
    [
        ("execute_command", {"command": "ls", "interactive": True, "task": "t"}, "portway exec -t"),
        ("discover_poll_endpoint", {}, "takes no ECS agent"),
        ("register_container_instance", {}, "container instances of every cluster already"),
        ("list_services_by_namespace", {"namespace": "n"}, "no Cloud Map"),
    ],
)
async def test_what_is_refused_says_what_to_do_instead(
    face: ServedFace, operation: str, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(ClientError, match=told):
        await face.ask("ecs", operation, **given)
