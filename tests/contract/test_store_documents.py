"""What every store promises of documents: the same suite over memory, SQLite and a real PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from portway.core.errors import StoreError
from portway.store.base import DocumentChangedError, Store
from tests.contract.stores import StoreMaker
from tests.contract.test_store import make_store, store

__all__ = ["make_store", "store"]

ROLE = {"Arn": "arn:aws:iam::0:role/é\0", "Tags": [{"Key": "a", "Value": None}], "Big": 2**53}


async def test_a_document_is_given_back_as_it_was_put(store: Store) -> None:
    made = await store.documents.put("role", "a/b", ROLE)
    assert (made.kind, made.key, made.version, made.body) == ("role", "a/b", 1, ROLE)
    assert await store.documents.get("role", "a/b") == made


async def test_what_was_never_put_is_not_there(store: Store) -> None:
    await store.documents.put("role", "a", {})
    assert await store.documents.get("role", "b") is None
    assert await store.documents.get("user", "a") is None
    assert await store.documents.list("user") == ()
    assert await store.documents.delete("user", "a") is False


async def test_replacing_a_document_counts_its_version_up(store: Store) -> None:
    await store.documents.put("role", "a", {"n": 1})
    again = await store.documents.put("role", "a", {"n": 2})
    assert (again.version, again.body) == (2, {"n": 2})


async def test_a_document_is_made_once_where_none_is_expected(store: Store) -> None:
    await store.documents.put("role", "a", {"n": 1}, 0)
    with pytest.raises(DocumentChangedError, match="expected none") as caught:
        await store.documents.put("role", "a", {"n": 2}, 0)
    assert not caught.value.retryable
    assert [d.body for d in await store.documents.list("role")] == [{"n": 1}]


@pytest.mark.parametrize("expected", [1, 3])
async def test_a_change_made_from_another_version_is_refused(store: Store, expected: int) -> None:
    for n in range(2):
        await store.documents.put("role", "a", {"n": n}, n)
    with pytest.raises(DocumentChangedError, match="saved version 2"):
        await store.documents.put("role", "a", {"n": 9}, expected)
    found = await store.documents.get("role", "a")
    assert found is not None
    assert (found.version, found.body) == (2, {"n": 1})


async def test_of_two_that_make_the_same_document_one_is_refused(store: Store) -> None:
    both = (store.documents.put("role", "a", {"n": n}, 0) for n in range(2))
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sum(isinstance(outcome, DocumentChangedError) for outcome in outcomes) == 1


async def test_documents_are_listed_by_prefix_in_the_order_of_their_keys(store: Store) -> None:
    for key in ["b/1", "B/1", "b/_", "b/2", "b%", "a", "é/1"]:
        await store.documents.put("service", key, {})
    await store.documents.put("task", "b/3", {})
    listed = [document.key for document in await store.documents.list("service")]
    assert listed == sorted(["b/1", "B/1", "b/_", "b/2", "b%", "a", "é/1"])
    assert [d.key for d in await store.documents.list("service", "b/")] == ["b/1", "b/2", "b/_"]
    assert [d.key for d in await store.documents.list("service", "b%")] == ["b%"]
    assert [*await store.documents.keys("service")] == listed
    assert await store.documents.keys("service", "b/") == ("b/1", "b/2", "b/_")
    assert [d.key for d in await store.documents.list("service", "é/")] == ["é/1"]


async def test_a_deleted_document_is_gone_and_its_key_is_free(store: Store) -> None:
    await store.documents.put("role", "a", {"n": 1})
    assert await store.documents.delete("role", "a") is True
    assert await store.documents.get("role", "a") is None
    assert (await store.documents.put("role", "a", {"n": 2}, 0)).version == 1


async def test_documents_survive_a_restart(store: Store, make_store: StoreMaker) -> None:
    await store.documents.put("role", "a", ROLE)
    await store.close()
    after = make_store()
    await after.open()
    try:
        assert [d.body for d in await after.documents.list("role")] == [ROLE]
    finally:
        await after.close()


async def test_a_closed_store_gives_and_takes_no_documents(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreError, match="is not open"):
        await store.documents.get("role", "a")
    with pytest.raises(StoreError, match="is not open"):
        await store.documents.put("role", "a", {})


async def test_what_is_no_json_is_refused_before_anything_is_saved(store: Store) -> None:
    with pytest.raises(StoreError, match="not valid Unicode"):
        await store.documents.put("role", "a", {"x": "\udcff"})
    assert await store.documents.list("role") == ()
