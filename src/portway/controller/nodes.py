"""What there is to run on, and what may be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from portway.controller.changing import Changes
from portway.controller.views import NodeStatus
from portway.controller.world import World
from portway.core.errors import RequestError
from portway.core.placement import NOTHING, NodeView
from portway.core.suggest import did_you_mean
from portway.store.base import Batch

ATTRIBUTES_MAX = 100
ATTRIBUTE_LENGTH_MAX = 128


class ChangesNodes(Changes):
    """The part of PortwayOperations about nodes."""

    async def node_statuses(self) -> tuple[NodeStatus, ...]:
        world = self.controller.world
        return tuple(_status(world, node) for node in world.nodes)

    async def mark_node(
        self,
        name: str,
        *,
        attributes: Mapping[str, str | None] | None = None,
        draining: bool | None = None,
    ) -> NodeStatus:
        async with self.controller.changing() as world:
            node = _find_node(world, name)
            marks = self.controller.observer.marks
            known = marks.of(name)
            changed = replace(
                known,
                attributes=_changed(known.attributes, attributes or {}),
                draining=known.draining if draining is None else draining,
                registered_at_ms=known.registered_at_ms or self._now_ms,
            )
            await marks.put(self.controller.store.documents, name, changed)
            if changed.draining != known.draining:
                word = "is being emptied" if changed.draining else "takes instances again"
                await self._save(
                    Batch(events=(self._event("node.marked", f"{name} {word}", stack=""),))
                )
            after = replace(
                node,
                attributes={
                    **{k: v for k, v in node.attributes.items() if k not in known.attributes},
                    **changed.attributes,
                },
                draining=changed.draining,
                registered_at_ms=changed.registered_at_ms,
            )
            world.nodes = tuple(after if n.name == name else n for n in world.nodes)
        self.controller.observer.engine_is_stale = True
        self.controller.touch_all()
        return _status(world, after)


def _status(world: World, node: NodeView) -> NodeStatus:
    return NodeStatus(node=node, used=world.used.get(node.name, NOTHING))


def _find_node(world: World, name: str) -> NodeView:
    names = [node.name for node in world.nodes]
    if name not in names:
        raise RequestError(
            f'there is no node "{name}".{did_you_mean(name, names)}',
            hint=f"There are: {', '.join(names)}." if names else "The engine has none now.",
            http_status=404,
        )
    return world.nodes[names.index(name)]


def _changed(known: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    after = {**known, **changes}
    kept = {name: value for name, value in after.items() if value is not None}
    too_long = [
        n
        for n, v in kept.items()
        if not 0 < len(n) <= ATTRIBUTE_LENGTH_MAX or len(v) > ATTRIBUTE_LENGTH_MAX
    ]
    if too_long or len(kept) > ATTRIBUTES_MAX:
        raise RequestError(
            f"a node can have {ATTRIBUTES_MAX} attributes of {ATTRIBUTE_LENGTH_MAX} characters",
            hint="Leave some out, or use shorter ones.",
        )
    return kept
