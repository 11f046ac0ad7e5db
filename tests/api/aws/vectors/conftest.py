"""Vectors are asked of a portway in memory, on time that passes only when nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from tests.api.aws.direct import Direct
from tests.api.aws.vectors.cases import Ground
from tests.controller.inprocess import VirtualLoop, running_portway


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Virtual time for the modules that ask for it."""
    module = item.getparent(pytest.Module)
    if module is not None and getattr(module.obj, "VIRTUAL_TIME", False):
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    async with running_portway() as portway:
        await portway.until(lambda: portway.world.nodes)
        aws = Direct(
            portway.operations,
            documents=portway.store.documents,
            keys=tmp_path / "aws-keys",
            now_ms=portway.clock.now_ms,
            home_id=portway.world.home_id,
        )
        yield Ground(portway=portway, aws=aws)
