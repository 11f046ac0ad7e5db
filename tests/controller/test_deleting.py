from __future__ import annotations

import pytest

from portway.core.errors import ImageMissingError
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
