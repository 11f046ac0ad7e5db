"""The ECS face over a whole portway whose engine and balancer are in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace, serving_face
from tests.controller.inprocess import Portway, running_portway


@dataclass(kw_only=True)
class Ecs:
    """A served face and the portway behind it."""

    face: ServedFace
    portway: Portway

    async def __call__(self, operation: str, /, **members: Any) -> Any:
        return await self.face.ask("ecs", operation, **members)

    async def refusal(self, operation: str, /, **members: Any) -> tuple[str, str]:
        """The code and the message of what is refused."""
        with pytest.raises(ClientError) as caught:
            await self(operation, **members)
        error = caught.value.response["Error"]
        return error["Code"], error["Message"]


@pytest.fixture
async def ecs(tmp_path: Path) -> AsyncIterator[Ecs]:
    async with running_portway() as portway:
        documents, home_id = portway.store.documents, portway.world.home_id
        async with serving_face(
            tmp_path,
            operations=portway.operations,
            documents=documents,
            home_id=home_id,
        ) as face:
            yield Ecs(face=face, portway=portway)
