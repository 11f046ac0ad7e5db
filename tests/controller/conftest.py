"""Controller tests: a portway in one process; modules that say VIRTUAL_TIME never really wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.controller.inprocess import Portway, VirtualLoop, running_portway


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Virtual time for the modules that ask for it."""
    module = item.getparent(pytest.Module)
    if module is not None and getattr(module.obj, "VIRTUAL_TIME", False):
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}


@pytest.fixture
async def portway() -> AsyncIterator[Portway]:
    """A portway at work on a memory engine, balancer and store."""
    async with running_portway() as running:
        yield running
