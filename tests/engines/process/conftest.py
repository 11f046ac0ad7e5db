"""A process engine of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from portway.engines.process import ProcessEngine
from tests.contract.engines import (
    ProcessAdapter,
)


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[ProcessAdapter]:
    made = ProcessAdapter(tmp_path)
    yield made
    await made.cleanup()


@pytest.fixture
async def engine(adapter: ProcessAdapter) -> ProcessEngine:
    return await adapter.engine()
