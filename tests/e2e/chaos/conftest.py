"""The app as a stack of processes; real Docker and its machine come from the tests around these."""

from __future__ import annotations

import pytest

from tests.e2e.chaos.support import Site
from tests.e2e.machine import Machine


@pytest.fixture
def site(processes: Machine) -> Site:
    return Site(processes)
