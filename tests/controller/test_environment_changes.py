from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from portway.core.errors import RequestError, StoreError
from tests.controller.inprocess import WEB, Portway, compose

VIRTUAL_TIME = True

NEWER = compose(web="image: web:2; ports: ['80:8080']")


async def image_of(portway: Portway, release_id: str) -> str:
    release = await portway.store.release("shop", release_id)
    assert release is not None
    return release.apps[0].image or ""


async def test_changed_variables_are_for_the_release_that_runs_not_for_one_that_was_left_again(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    await portway.deploy("shop", NEWER)
    await portway.operations.rollback("shop")
    await portway.settled()
    changed = await portway.operations.change_environment("shop", set_={"A": "1"}, unset=())
    assert await image_of(portway, changed.release) == "web"


async def test_before_anything_runs_changed_variables_are_for_the_newest_release(
    portway: Portway,
) -> None:
    await portway.release("shop", WEB)
    await portway.release("shop", NEWER)
    changed = await portway.operations.change_environment("shop", set_={"A": "1"}, unset=())
    assert await image_of(portway, changed.release) == "web:2"


async def test_a_change_makes_a_release_that_nothing_runs_until_it_is_promoted(
    portway: Portway,
) -> None:
    first = await portway.deploy("shop", WEB)
    changed = await portway.operations.change_environment(
        "shop", set_={"A": "1", "B": "2"}, unset=()
    )
    await portway.idle(60)
    assert portway.live("shop/web") == ["shop/web.1.1"]
    assert (await portway.operations.stack("shop")).release == first.release
    await portway.operations.promote("shop", changed.release)
    await portway.settled()
    told = portway.engine.world.instances["shop/web.1.2"].request.environment
    assert (told["A"], told["B"]) == ("1", "2")


async def test_the_release_of_a_change_names_the_variables_and_not_their_values(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    changed = await portway.operations.change_environment(
        "shop", set_={"B": "x", "A": "y"}, unset=()
    )
    release = await portway.operations.release("shop", changed.release)
    assert release.description == "variables changed: A, B"


async def test_variables_are_unset_and_the_others_stay(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.operations.change_environment("shop", set_={"A": "1", "B": "2"}, unset=())
    changed = await portway.operations.change_environment("shop", set_={"C": "3"}, unset=("A",))
    assert changed.environment == {"B": "2", "C": "3"}
    assert await portway.operations.environment("shop") == replace(changed, release="")


async def test_a_rollback_brings_the_variables_of_its_release_back_to_the_instances(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    changed = await portway.operations.change_environment("shop", set_={"A": "1"}, unset=())
    await portway.operations.promote("shop", changed.release)
    await portway.settled()
    await portway.operations.rollback("shop")
    await portway.settled()
    assert "A" not in portway.engine.world.instances["shop/web.1.3"].request.environment


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "Ä", "A=B", "A\n"])
async def test_a_name_no_program_could_read_is_refused(portway: Portway, name: str) -> None:
    await portway.deploy("shop", WEB)
    with pytest.raises(RequestError, match="cannot be the name of a variable"):
        await portway.operations.change_environment("shop", set_={name: "x"}, unset=())


async def test_unsetting_what_is_not_set_is_answered_with_what_may_be_meant(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    await portway.operations.change_environment("shop", set_={"DATABASE": "x"}, unset=())
    with pytest.raises(RequestError) as caught:
        await portway.operations.change_environment("shop", set_={}, unset=("DATABSE",))
    assert caught.value.http_status == 404
    assert 'Did you mean "DATABASE"?' in str(caught.value)


async def test_a_change_that_cannot_be_saved_changes_nothing(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.store.fail_saves(StoreError("the disk is full"), times=1)
    with pytest.raises(StoreError):
        await portway.operations.change_environment("shop", set_={"A": "1"}, unset=())
    assert (await portway.operations.environment("shop")).environment == {}


async def test_changes_made_at_once_are_all_kept(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await asyncio.gather(
        *(
            portway.operations.change_environment("shop", set_={f"V{n}": "x"}, unset=())
            for n in range(20)
        )
    )
    assert len((await portway.operations.environment("shop")).environment) == 20
