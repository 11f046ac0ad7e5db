"""The engines the contract suites run over; what they make once a run is removed at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from portway.engines.base import InstanceEngine
from tests.contract.engines import ADAPTERS, EngineAdapter
from tests.engines.docker.support import remove_shared_image


@pytest.fixture(scope="session", autouse=True)
def _no_image_is_left() -> Iterator[None]:
    yield
    remove_shared_image()


@pytest.fixture(params=ADAPTERS)
async def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EngineAdapter]:
    made: EngineAdapter = request.param(tmp_path)
    yield made
    await made.cleanup()


@pytest.fixture
async def engine(adapter: EngineAdapter) -> InstanceEngine:
    return await adapter.engine()
