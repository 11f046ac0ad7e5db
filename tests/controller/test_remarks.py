"""What is said when a change begins: what it would drop, where it replaces something."""

from __future__ import annotations

import pytest

from tests.controller.inprocess import Portway, compose

VIRTUAL_TIME = True
GAP = "image: web:{}; ports: ['80:80']; deploy: {{update_config: {{order: stop-first}}}}"


def manifest(version: int, keys: str = GAP) -> str:
    return compose(web=keys.format(version))


async def test_a_first_deployment_drops_nothing_so_nothing_is_said(portway: Portway) -> None:
    assert (await portway.deploy("shop", manifest(1))).notes == ()


async def test_a_deploy_with_a_gap_says_so_as_it_begins(portway: Portway) -> None:
    await portway.deploy("shop", manifest(1))
    (note,) = (await portway.deploy("shop", manifest(2))).notes
    assert note.startswith("web: old instances stop before new ones start")


async def test_what_replaces_nothing_says_nothing(portway: Portway) -> None:
    await portway.deploy("shop", manifest(1))
    assert (await portway.deploy("shop", manifest(1))).notes == ()
    assert (await portway.operations.scale("shop", {"web": 2})).notes == ()


async def test_udp_is_said_every_time(portway: Portway) -> None:
    keys = "image: web:{}; ports: ['53:53/udp']"
    for version in (1, 2):
        notes = (await portway.deploy("shop", manifest(version, keys))).notes
        assert any("UDP 53 is published by the engine" in note for note in notes)


@pytest.mark.parametrize("version", [1, 2])
async def test_an_ordinary_deploy_has_no_remarks(portway: Portway, version: int) -> None:
    for number in range(1, version + 1):
        promotion = await portway.deploy(
            "shop", manifest(number, "image: web:{}; ports: ['80:80']")
        )
    assert promotion.notes == ()
