"""Documents by themselves; what every store promises of them is in tests/contract/test_store_documents.py."""

from __future__ import annotations

from portway.store.documents import MemoryDocuments


async def test_documents_in_memory_need_no_store() -> None:
    documents, others = MemoryDocuments(), MemoryDocuments()
    await documents.put("role", "a", {"n": 1})
    assert [found.body for found in await documents.list("role")] == [{"n": 1}]
    assert await others.list("role") == ()


async def test_changing_what_was_given_does_not_change_what_is_kept() -> None:
    documents, body = MemoryDocuments(), {"tags": ["a"]}
    made = await documents.put("role", "a", body)
    body["tags"].append("b")
    assert made.body == {"tags": ["a"]}
    found = await documents.get("role", "a")
    assert found is not None
    assert found.body == {"tags": ["a"]}
