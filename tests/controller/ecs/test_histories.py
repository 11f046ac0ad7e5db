"""The events of services and the tasks that have stopped, as they are stored."""

from __future__ import annotations

from typing import Any

from portway.controller.ecs.histories import (
    EXTRA_KIND,
    forget_history,
    forget_stopped,
    history_of,
    keep_history,
    keep_stopped,
    stopped_tasks,
)
from portway.core.ecs.history import History, ServiceEvent
from portway.store.documents import MemoryDocuments

ARN = "arn:aws:ecs:us-east-1:000000000000:service/c/web"
TASKS = "arn:aws:ecs:us-east-1:000000000000:task/"


def task(name: str, *, stopped_at_ms: int = 0, **fields: Any) -> dict[str, Any]:
    return {"taskArn": f"{TASKS}{name}", "stoppedAt": stopped_at_ms, **fields}


async def test_a_service_nothing_was_told_of_has_an_empty_history() -> None:
    assert await history_of(MemoryDocuments(), ARN) == History()


async def test_a_history_comes_back_whole() -> None:
    documents = MemoryDocuments()
    told = History(
        events=(ServiceEvent(at_ms=2, serial=7, message="(service web) ..."),),
        serial=7,
        told={"c/web.1.1": ("started", "registered")},
        ends=("d1",),
        lasting={"(service web) has reached a steady state.": 2},
    )
    await keep_history(documents, ARN, told)
    assert await history_of(documents, ARN) == told


async def test_a_history_of_before_a_member_was_there_is_read() -> None:
    documents = MemoryDocuments()
    await documents.put("ecs.history", ARN, {"serial": 3})
    assert await history_of(documents, ARN) == History(serial=3)


async def test_a_new_service_of_the_name_begins_anew() -> None:
    documents = MemoryDocuments()
    await keep_history(documents, ARN, History(serial=1))
    await forget_history(documents, ARN)
    assert await history_of(documents, ARN) == History()


async def test_how_a_task_ended_is_kept_as_it_was_told_first() -> None:
    documents = MemoryDocuments()
    await keep_stopped(documents, task("c/1", stopCode="EssentialContainerExited"), "c/web")
    await keep_stopped(documents, task("c/1", stopCode="UserInitiated"), "c/web")
    [kept] = await stopped_tasks(documents)
    assert kept["stopCode"] == "EssentialContainerExited"


async def test_stopped_tasks_are_found_by_the_beginning_of_their_arn() -> None:
    documents = MemoryDocuments()
    for name in ("c/1", "c/2", "d/3"):
        await keep_stopped(documents, task(name), "c/web")
    found = await stopped_tasks(documents, f"{TASKS}c/")
    assert [one["taskArn"] for one in found] == [f"{TASKS}c/1", f"{TASKS}c/2"]


async def test_what_stopped_long_ago_is_forgotten_with_its_tags() -> None:
    documents = MemoryDocuments()
    for name, at_ms in (("c/old", 99), ("c/new", 100)):
        await keep_stopped(documents, task(name, stopped_at_ms=at_ms), "c/web")
        await documents.put(EXTRA_KIND, f"{TASKS}{name}", {"tags": []})
    await forget_stopped(documents, before_ms=100)
    assert [one["taskArn"] for one in await stopped_tasks(documents)] == [f"{TASKS}c/new"]
    assert [d.key for d in await documents.list(EXTRA_KIND)] == [f"{TASKS}c/new"]
