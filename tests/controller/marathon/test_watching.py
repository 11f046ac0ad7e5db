"""What is told of tasks is whole and in order, however late somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from portway.api.app import create_app
from portway.api.settings import ApiSettings
from tests.api.marathon.client import Client
from tests.controller.inprocess import running_portway

VIRTUAL_TIME = True


@pytest.fixture
async def ask() -> AsyncIterator[Client]:
    """A portway whose watcher never gets its turn: what it tells is what others wait for."""
    async with running_portway() as portway:
        marathon = portway.operations.marathon
        await marathon.open()
        work = asyncio.get_running_loop().create_task(marathon.runner.run())
        app = create_app(portway.operations, ApiSettings(), marathon=marathon)
        yield Client(app=app, portway=portway)
        work.cancel()
        await asyncio.wait([work])


async def story(ask: Client, method: str, url: str, body: Any = None) -> list[str]:
    """What was told of the tasks and the end of a deployment."""
    with ask.marathon.happenings.listening(KINDS) as listener:
        await ask.deploy(method, url, body)
        return [one.fields.get("taskStatus", one.kind) for one in listener.take()]


async def successor(ask: Client, victim: str) -> str:
    """Who takes its place."""
    await ask.portway.until(lambda: ask.portway.live("marathon/a") not in ([victim], []))
    return ask.portway.live("marathon/a")[0]


KINDS = ("status_update_event", "app_terminated_event", "deployment_success")


async def test_a_step_is_not_done_before_its_tasks_were_told_of(ask: Client) -> None:
    app = {"id": "/a", "cmd": "sleep 1", "instances": 1}
    assert await story(ask, "POST", "/v2/apps", app) == [
        "TASK_STAGING",
        "TASK_STARTING",
        "TASK_RUNNING",
        "deployment_success",
    ]
    assert await story(ask, "DELETE", "/v2/apps/a") == [
        "TASK_KILLING",
        "TASK_KILLED",
        "app_terminated_event",
        "deployment_success",
    ]


async def test_who_ended_before_anybody_looked_is_told_from_its_beginning(ask: Client) -> None:
    app = {"id": "/a", "cmd": "sleep 1", "instances": 1}
    await ask.deploy("POST", "/v2/apps", app)
    [victim] = ask.portway.live("marathon/a")
    with ask.marathon.happenings.listening(KINDS) as listener:
        for _ in range(2):
            ask.portway.engine.kill(victim, exit_code=3)
            victim = await successor(ask, victim)
        await ask.portway.idle(5)
        ask.marathon.watcher.look("marathon/a")
        told: dict[str, list[str]] = {}
        for one in listener.take():
            told.setdefault(one.fields["taskId"], []).append(one.fields["taskStatus"])
    assert list(told.values()) == [
        ["TASK_FAILED"],
        ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"],
        ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"],
    ]
