"""A served API with a FakeOperations behind it, on a unix socket and on TCP, and a client for each."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest

from portway.api.app import create_app
from portway.api.server import serve
from portway.api.settings import ApiSettings

from .fakes import FakeOperations

TOKEN = "correct-horse"


@dataclass(frozen=True, kw_only=True)
class Served:
    """Where it answers. `local` and `remote` are clients over the unix socket and over TCP."""

    operations: FakeOperations
    unix_socket: Path
    service_port: int
    local: aiohttp.ClientSession
    remote: aiohttp.ClientSession
    stop: asyncio.Event
    task: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service_port}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(directory: Path, settings: ApiSettings | None = None) -> AsyncIterator[Served]:
    operations, stop, started = FakeOperations(), asyncio.Event(), asyncio.Event()
    service_port, path = free_port(), directory / "p.sock"
    listen = f"127.0.0.1:{service_port}"
    settings = replace(settings or ApiSettings(), listen=listen)
    app = create_app(operations, settings)
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(stop.set)
        task = group.create_task(
            serve(app, unix_socket=path, listen=listen, started=started.set, stop=stop)
        )
        async with asyncio.timeout(10):
            await started.wait()
        local = aiohttp.ClientSession(
            "http://localhost", connector=aiohttp.UnixConnector(str(path))
        )
        remote = aiohttp.ClientSession(f"http://{listen}")
        yield Served(
            operations=operations,
            unix_socket=path,
            service_port=service_port,
            local=await stack.enter_async_context(local),
            remote=await stack.enter_async_context(remote),
            stop=stop,
            task=task,
        )


async def until(condition: Callable[[], bool], *, deadline_s: float = 10) -> None:
    """Poll until `condition` holds; fails the test when it never does."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as it:
        yield it


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Served]:
    """The same, with a token on TCP."""
    async with serving(tmp_path, ApiSettings(token=TOKEN)) as it:
        yield it


@pytest.fixture
async def hurried(tmp_path: Path) -> AsyncIterator[Served]:
    """The same, with little patience: early heartbeats, small and quick bodies."""
    settings = ApiSettings(
        heartbeat_s=0.05, first_answer_s=0.05, body_timeout_s=0.2, body_size_max_bytes=10_000
    )
    async with serving(tmp_path, settings) as it:
        yield it
