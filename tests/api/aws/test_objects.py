"""Stored objects are changed by what they are now."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from portway.api.aws.objects import changed, merged_tags, without_tags
from portway.store.documents import MemoryDocuments


async def test_two_changes_at_once_are_both_made() -> None:
    documents = MemoryDocuments()
    await documents.put("x", "a", {"n": 0})

    def more(body: dict[str, Any]) -> dict[str, Any]:
        return {"n": body["n"] + 1}

    await asyncio.gather(*(changed(documents, "x", "a", more) for _ in range(40)))
    found = await documents.get("x", "a")
    assert found is not None
    assert found.body == {"n": 40}


async def test_a_change_that_changes_nothing_is_not_written() -> None:
    documents = MemoryDocuments()
    await documents.put("x", "a", {"n": 0})
    kept = await changed(documents, "x", "a", lambda body: {**body})
    assert kept is not None
    assert kept.version == 1


async def test_what_is_not_there_is_not_changed() -> None:
    assert await changed(MemoryDocuments(), "x", "a", lambda body: body) is None


async def test_a_change_that_refuses_leaves_everything_as_it_is() -> None:
    documents = MemoryDocuments()
    await documents.put("x", "a", {"n": 0})

    def refuse(body: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(body)

    with pytest.raises(ValueError, match="n"):
        await changed(documents, "x", "a", refuse)
    assert [found.version for found in await documents.list("x")] == [1]


def test_tags_are_merged_by_key() -> None:
    old = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    merged = merged_tags(old, [{"Key": "a", "Value": None}, {"Key": "c", "Value": "3"}])
    assert [(tag["Key"], tag["Value"]) for tag in merged] == [("a", ""), ("b", "2"), ("c", "3")]
    assert without_tags(merged, ["a", "x"]) == merged[1:]
