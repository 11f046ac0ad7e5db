"""What was said of nodes and outlives the server: attributes, and whether they are being emptied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from portway.core.placement import NodeView
from portway.engines.base import Node
from portway.store.base import Document, Documents

KIND = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMark:
    """What was said of one node. `registered_at_ms`: since when it is known."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    draining: bool = False
    registered_at_ms: int = 0


class Marks:
    """The marks of all nodes, and the documents they are kept in."""

    def __init__(self) -> None:
        self._known: dict[str, NodeMark] = {}

    async def load(self, documents: Documents) -> None:
        """Everything that was stored."""
        self._known = {d.key: _mark(d) for d in await documents.list(KIND)}

    async def put(self, documents: Documents, name: str, mark: NodeMark) -> None:
        """Store one; known only once it is stored."""
        await documents.put(KIND, name, msgspec.to_builtins(mark))
        self._known[name] = mark

    def of(self, name: str) -> NodeMark:
        """The mark of a node; an empty one where nothing was ever said."""
        return self._known.get(name, NodeMark())

    def views(self, nodes: Sequence[Node]) -> tuple[NodeView, ...]:
        """The engine's nodes as the planner sees them."""
        return tuple(
            NodeView(
                name=node.name,
                address=node.address,
                available=node.available,
                cpu_units=node.cpu_units,
                memory_bytes=node.memory_bytes,
                attributes={**node.attributes, **self.of(node.name).attributes},
                draining=self.of(node.name).draining,
                registered_at_ms=self.of(node.name).registered_at_ms,
            )
            for node in nodes
        )


def _mark(document: Document) -> NodeMark:
    return msgspec.convert(document.body, NodeMark)
