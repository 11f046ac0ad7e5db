"""A save that failed may have been done all the same; the next one says what is so."""

from __future__ import annotations

import asyncio

import pytest

from portway.controller.saving import Doubts, to_the_end
from portway.controller.world import World
from portway.core.stack import Stack
from portway.core.state import AppState
from portway.store.base import Batch

VIRTUAL_TIME = True


def app(name: str, *, count: int = 1) -> AppState:
    return AppState(app_id=f"shop/{name}", target=None, count=count)


def knowing(*states: AppState) -> World:
    world = World()
    world.apps = {state.app_id: state for state in states}
    return world


def test_what_a_failed_save_named_is_saved_again_as_it_is_known() -> None:
    doubts = Doubts()
    doubts.note(Batch(apps=(app("web", count=9),)))
    settled = doubts.settled(Batch(apps=(app("db"),)), knowing(app("web"), app("db")))
    assert settled.apps == (app("db"), app("web"))


def test_what_only_a_failed_save_knows_is_deleted() -> None:
    doubts = Doubts()
    stack = Stack(name="shop", created_at_ms=0)
    doubts.note(Batch(apps=(app("web"),), stacks=(stack,)))
    settled = doubts.settled(Batch(), World())
    assert (settled.deleted_apps, settled.deleted_stacks) == (("shop/web",), ("shop",))


def test_what_a_failed_save_may_have_deleted_is_there_again() -> None:
    doubts = Doubts()
    doubts.note(Batch(deleted_apps=("shop/web",)))
    assert doubts.settled(Batch(), knowing(app("web"))).apps == (app("web"),)


def test_the_new_batch_has_the_last_word() -> None:
    doubts = Doubts()
    doubts.note(Batch(apps=(app("web", count=9), app("db")), deleted_apps=()))
    batch = Batch(apps=(app("web", count=2),), deleted_apps=("shop/db",))
    assert doubts.settled(batch, knowing(app("web"), app("db"))) == batch


def test_nothing_is_in_doubt_once_a_save_has_succeeded() -> None:
    doubts = Doubts()
    doubts.note(Batch(apps=(app("web", count=9),)))
    doubts.forget()
    assert doubts.settled(Batch(), knowing(app("web"))) == Batch()


async def test_what_is_begun_is_done_before_a_cancelled_caller_leaves() -> None:
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(5)
        done.append("work")

    caller = asyncio.get_running_loop().create_task(to_the_end(work()))
    await asyncio.sleep(1)
    caller.cancel()
    await asyncio.sleep(1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == ["work"]
