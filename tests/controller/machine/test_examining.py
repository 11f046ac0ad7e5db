"""The machine examined by the server itself: with what ails the server, off its loop, and once for all who ask."""

from __future__ import annotations

import asyncio
import threading

import pytest

from portway.controller.machine.base import Finding, Ground, ok
from tests.controller.inprocess import Portway

MODULE = "portway.controller.machine.examining.examine"


async def test_the_server_says_what_ails_it_and_is_its_own_age_and_version(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    grounds: list[Ground] = []

    def look(ground: Ground) -> tuple[Finding, ...]:
        grounds.append(ground)
        return (ok("disk", "it has room"),)

    monkeypatch.setattr(MODULE, look)
    portway.world.problems["store"] = "the disk is full"
    assert await portway.operations.doctor() == (ok("disk", "it has room"),)
    (ground,) = grounds
    assert ground.server.problems == ("store: the disk is full",)
    assert ground.server.version == ground.client_version != ""
    assert ground.config is portway.operations.config


async def test_callers_at_one_time_share_one_look_off_the_loop(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[threading.Thread] = []
    gate = threading.Event()

    def look(_: Ground) -> tuple[Finding, ...]:
        looks.append(threading.current_thread())
        gate.wait(30)
        return ()

    monkeypatch.setattr(MODULE, look)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(portway.operations.doctor())
        second = group.create_task(portway.operations.doctor())
        given_up = group.create_task(portway.operations.doctor())
        await asyncio.sleep(0)  # all three ask
        given_up.cancel()
        gate.set()
    assert first.result() == second.result() == ()
    assert len(looks) == 1
    assert looks[0] is not threading.main_thread()
    await portway.operations.doctor()
    assert len(looks) == 2
