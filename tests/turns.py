"""Which worker runs which tests, and in which order: what waits for services beside what only computes. No tests.

Every test belongs to a group, and a group stays on one worker. First come the tests on Docker, one group of them all:
there is one daemon, and 20.10 locks up for good where very many containers end at once. Then the files of the other
services, then all the rest. The third worker begins at the other end, and so has something to compute while the first two
wait; where they meet, all help.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.leftovers import TestRun

DOCKER = "docker"
SERVICES = ("haproxy", "postgres")
# So much in one file that it is shared out.
WIDE = ("tests/simulation/",)
_REST = 2


def group_of(item: pytest.Item) -> str:
    """Which tests never run beside each other: all on Docker, else those of a file."""
    if item.get_closest_marker(DOCKER):
        return DOCKER
    return item.nodeid if item.nodeid.startswith(WIDE) else item.nodeid.partition("::")[0]


def put_in_order(items: list[pytest.Item]) -> None:
    """The groups of Docker, of other services, and the rest; as they were otherwise."""
    turns: dict[str, int] = {}
    for item in items:
        group = group_of(item)
        turns[group] = min(turns.get(group, _REST), _turn(item))
    items.sort(key=lambda item: turns[group_of(item)])


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker(DOCKER):
        return 0
    return 1 if any(item.get_closest_marker(name) for name in SERVICES) else _REST


class Turns(LoadScopeScheduling):
    """xdist's own way to hand out groups, with ours: pytest-xdist 3.8 loses its own on pytest 9.2."""

    def __init__(self, config: pytest.Config, log: Any, run: TestRun) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False
        self._run = run

    def _split_scope(self, nodeid: str) -> str:
        return self._run.groups[nodeid]

    def _assign_work_unit(self, node: Any) -> None:
        if int(node.gateway.id.removeprefix("gw")) >= 2:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)
