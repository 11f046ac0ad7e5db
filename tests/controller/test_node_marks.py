"""What was said of nodes outlives the server."""

from __future__ import annotations

from portway.controller.node_marks import Marks, NodeMark
from portway.engines.base import Node
from portway.store.documents import MemoryDocuments


def test_a_node_of_which_nothing_was_said_has_an_empty_mark() -> None:
    assert Marks().of("anywhere") == NodeMark()


async def test_a_mark_is_read_again_and_adds_to_what_the_engine_says() -> None:
    documents, marks = MemoryDocuments(), Marks()
    mark = NodeMark(attributes={"disk": "ssd"}, draining=True, registered_at_ms=5)
    await marks.put(documents, "a", mark)
    again = Marks()
    await again.load(documents)
    assert again.of("a") == mark
    node = Node(name="a", address="10.0.0.1", cpu_units=2048, attributes={"arch": "arm64"})
    (view,) = again.views([node])
    assert view.attributes == {"arch": "arm64", "disk": "ssd"}
    assert (view.draining, view.registered_at_ms, view.cpu_units) == (True, 5, 2048)


async def test_an_older_document_is_completed() -> None:
    documents, marks = MemoryDocuments(), Marks()
    await documents.put("node", "a", {"draining": True})
    await marks.load(documents)
    assert marks.of("a") == NodeMark(draining=True)
