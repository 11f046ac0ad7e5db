"""The app as a stack of processes; real Docker and its machine come from the tests around these."""

from __future__ import annotations

import pytest

from tests.e2e.chaos.support import DOCKER, Containers, Site, Stack
from tests.e2e.machine import Machine


@pytest.fixture
def site(processes: Machine) -> Site:
    return Site(processes)


@pytest.fixture(params=[DOCKER, "process"])
def stack(request: pytest.FixtureRequest) -> Stack:
    """An app served twice, by each engine."""
    if request.param == "process":
        return Site(request.getfixturevalue("processes"))
    return Containers(request.getfixturevalue("machine"), request.getfixturevalue("image"))
