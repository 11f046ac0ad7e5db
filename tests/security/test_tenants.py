"""Stacks whose names begin alike are strangers: what is asked of one says and does nothing about the other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from portway.core.errors import RequestError
from tests.controller.inprocess import Portway, compose, running_portway

VIRTUAL_TIME = True
NEIGHBOURS = ("app", "app2", "app-x", "ap")


def manifest(service_port: int) -> str:
    return compose(web=f"image: web; ports: ['{service_port}:80']; volumes: ['data:/d']") + (
        "volumes: {data: }\n"
    )


@pytest.fixture
async def portway() -> AsyncIterator[Portway]:
    """Four stacks with one App each."""
    async with running_portway() as running:
        for nth, name in enumerate(NEIGHBOURS):
            await running.deploy(name, manifest(8000 + nth))
        yield running


async def test_every_answer_about_a_stack_is_about_that_one(portway: Portway) -> None:
    ask = portway.operations
    for name in NEIGHBOURS:
        assert {view.stack for view in await ask.instances(name)} == {name}
        assert {route.stack for route in await ask.map(name)} == {name}
        assert {event.stack async for event in ask.events(stack=name)} == {name}
        assert {view.stack for view in await ask.releases(name)} == {name}


async def test_deleting_a_stack_leaves_its_neighbours_alone(portway: Portway) -> None:
    others = {f"{name}/web.1.1" for name in NEIGHBOURS if name != "app"}
    await portway.operations.delete_stack("app")
    await portway.until(lambda: "app" not in portway.world.stacks)
    assert set(portway.running()) == others
    assert portway.listeners() == [8001, 8002, 8003]
    for name in NEIGHBOURS[1:]:
        assert len(await portway.operations.releases(name)) == 1


async def test_a_prefix_of_a_name_is_no_name(portway: Portway) -> None:
    for unknown in ("a", "app3", "APP", "app/web", "app ", "%"):
        with pytest.raises(RequestError):
            await portway.operations.stack(unknown)
    for unknown in ("we", "web.", "web.1.", "web.10", "w"):
        with pytest.raises(RequestError):
            await portway.operations.stop_instance("app", unknown)


async def test_a_release_of_a_neighbour_cannot_be_promoted(portway: Portway) -> None:
    (theirs,) = await portway.operations.releases("app2")
    with pytest.raises(RequestError):
        await portway.operations.promote("app", theirs.id)
    with pytest.raises(RequestError):
        await portway.operations.rollback("app", to=theirs.id)


async def test_a_listener_belongs_to_its_app_until_that_is_deleted(portway: Portway) -> None:
    with pytest.raises(RequestError, match="app/web has already") as caught:
        await portway.release("thief", manifest(8000))
    assert caught.value.http_status == 409
    await portway.operations.delete_stack("app")
    await portway.until(lambda: "app" not in portway.world.stacks)
    await portway.deploy("thief", manifest(8000))
    assert portway.serving(8000) == ["thief/web.1.1"]
