"""A home keeps its id over the loss of its store, so that what runs for it is found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from portway.store.home_id import HOME_ID_NAME, remember_home_id, remembered_home_id
from portway.store.sql import open_store


async def home_id_of(home: Path) -> str:
    store = open_store(home)
    await store.open()
    try:
        return (await store.load()).home_id
    finally:
        await store.close()


async def test_a_new_store_has_the_id_of_the_one_that_was_lost(tmp_path: Path) -> None:
    before = await home_id_of(tmp_path)
    for path in tmp_path.glob("portway.db*"):
        path.unlink()
    assert await home_id_of(tmp_path) == before


async def test_the_store_has_the_last_word(tmp_path: Path) -> None:
    before = await home_id_of(tmp_path)
    (tmp_path / HOME_ID_NAME).write_text("0123abcd\n")
    assert await home_id_of(tmp_path) == before
    assert remembered_home_id(tmp_path) == before


@pytest.mark.parametrize("text", ["", "../x", "ABCDEF01", "0" * 65, "zzzzzzzz"])
def test_what_is_no_id_is_not_taken_for_one(tmp_path: Path, text: str) -> None:
    (tmp_path / HOME_ID_NAME).write_text(text)
    assert remembered_home_id(tmp_path) == ""


def test_bytes_that_are_no_text_are_no_id(tmp_path: Path) -> None:
    (tmp_path / HOME_ID_NAME).write_bytes(b"\xff\xfe")
    assert remembered_home_id(tmp_path) == ""


def test_a_home_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    remember_home_id(tmp_path / "nowhere", "0123abcd")
    assert remembered_home_id(tmp_path / "nowhere") == ""
