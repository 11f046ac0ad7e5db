"""Real instances and a real HAProxy, all of them gone when the test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from portway.balancers.haproxy.balancer import HAProxyBalancer
from tests.balancers.support import LOOPBACK, EchoInstance

StartInstance = Callable[[str], Awaitable[EchoInstance]]


@pytest.fixture
async def start_instance() -> AsyncIterator[StartInstance]:
    started: list[EchoInstance] = []

    async def start(name: str) -> EchoInstance:
        started.append(await EchoInstance(name).start())
        return started[-1]

    yield start
    for instance in started:
        await instance.stop()


@pytest.fixture
async def balancer(tmp_path: Path) -> AsyncIterator[HAProxyBalancer]:
    made = HAProxyBalancer(tmp_path, public_addresses=(LOOPBACK,))
    try:
        await made.open()
        yield made
    finally:
        await made.shutdown()
