"""The Marathon face over a whole portway whose engine and balancer are in memory, on time that passes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from portway.api.app import create_app
from portway.api.settings import ApiSettings
from tests.api.marathon.client import Client
from tests.controller.inprocess import Portway, VirtualLoop, running_portway


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Virtual time for all of them."""
    return {"virtual": VirtualLoop}


@asynccontextmanager
async def serving(portway: Portway, settings: ApiSettings | None = None) -> AsyncIterator[Client]:
    """The face of a running portway, its runner at work."""
    marathon = portway.operations.marathon
    await marathon.open()
    work = asyncio.get_running_loop().create_task(marathon.run())
    try:
        app = create_app(portway.operations, settings or ApiSettings(), marathon=marathon)
        yield Client(app=app, portway=portway)
    finally:
        work.cancel()
        await asyncio.wait([work])


@asynccontextmanager
async def marathon(**given: Any) -> AsyncIterator[Client]:
    """A portway of its own with the face."""
    async with running_portway(**given) as portway, serving(portway) as client:
        yield client


@pytest.fixture
async def ask() -> AsyncIterator[Client]:
    async with marathon() as client:
        yield client
