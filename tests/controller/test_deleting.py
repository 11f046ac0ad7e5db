from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from portway.core.errors import ImageMissingError
from portway.core.state import AppState
from portway.engines.memory import ImageBehaviour
from tests.controller.inprocess import WEB, Portway

VIRTUAL_TIME = True


async def test_a_stack_deleted_without_draining_waits_for_no_connection(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.operations.delete_stack("shop", drain=False)
    revisions = portway.app("shop/web").revisions.values()
    assert [revision.app.rollout.drain_timeout_s for revision in revisions] == [0.0]
    await portway.settled()
    assert portway.world.stacks == {}
    portway.check_nothing_left_over()


async def test_a_deletion_that_drains_can_be_hastened(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.operations.delete_stack("shop")
    await portway.operations.delete_stack("shop", drain=False)
    revisions = portway.app("shop/web").revisions.values()
    assert [revision.app.rollout.drain_timeout_s for revision in revisions] == [0.0]
    await portway.settled()
    assert portway.world.stacks == {}


async def test_a_release_whose_image_is_missing_names_it(portway: Portway) -> None:
    portway.engine.behave("web", ImageBehaviour(missing=True))
    with pytest.raises(ImageMissingError) as caught:
        await portway.release("shop", WEB)
    assert caught.value.image == "web"
    assert caught.value.message.startswith("web: ")


async def test_an_empty_stack_takes_what_the_engine_has_of_it_along(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []

    async def remove_stack(stack: str) -> None:
        removed.append(stack)

    monkeypatch.setattr(portway.engine, "remove_stack", remove_stack)
    await portway.release("shop", WEB)
    await portway.operations.delete_stack("shop")
    assert removed == ["shop"]
    assert portway.world.stacks == {}


async def test_a_server_that_ends_when_a_stack_is_gone_leaves_nothing_of_it_outside(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []

    async def remove_stack(stack: str) -> None:
        removed.append(stack)

    async def forget(states: Sequence[AppState]) -> None:
        if not portway.world.stacks:
            assert portway._work is not None
            portway._work.cancel()
        await asyncio.sleep(1)

    monkeypatch.setattr(portway.engine, "remove_stack", remove_stack)
    monkeypatch.setattr(portway.controller.balancing, "forget", forget)
    await portway.deploy("shop", WEB)
    await portway.operations.delete_stack("shop")
    await portway.idle(60)
    assert portway.world.stacks == {}
    assert removed == ["shop"]
