"""Which node gets the next instance: the one with the fewest, and none that is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A machine as the planner sees it. `address` is where its host ports answer."""

    name: str
    address: str
    available: bool = True


def place(
    nodes: Sequence[NodeView],
    *,
    app_instances: Mapping[str, int],
    all_instances: Mapping[str, int],
) -> str | None:
    """The node for one more instance: fewest of this App, then fewest in all, then by name."""
    available = [node.name for node in nodes if node.available]
    return min(
        available,
        key=lambda name: (app_instances.get(name, 0), all_instances.get(name, 0), name),
        default=None,
    )
