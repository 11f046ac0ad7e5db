"""Fixtures over the real daemon. Everything made carries a home of its own and is removed by it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from secrets import token_hex

import pytest

from portway.engines.docker.client import DockerClient
from portway.engines.docker.engine import DockerEngine
from tests.engines.docker.support import Requests, clear_home, remove_shared_image, shared_image


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """A web server and every busybox applet."""
    yield shared_image()
    remove_shared_image()


@pytest.fixture
async def home() -> AsyncIterator[str]:
    """A home nobody else has; what it made is removed."""
    home_id = f"test{token_hex(4)}"
    yield home_id
    await clear_home(home_id)


@pytest.fixture
async def engine(home: str) -> AsyncIterator[DockerEngine]:
    """The engine under test, opened."""
    made = DockerEngine(home)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def requests(image: str, home: str) -> Requests:
    """Instances of one stack."""
    return Requests(image, f"s{home}")


@pytest.fixture
async def client() -> AsyncIterator[DockerClient]:
    """A connection past the engine, to see what Docker really has."""
    made = DockerClient("")
    await made.open()
    yield made
    await made.close()
