"""Overview: what is decided and what is seen of Apps, as core values, for faces that show it in words of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from portway.controller.world import World
from portway.core.health import Health
from portway.core.instance import ObservedInstance
from portway.core.placement import NodeView
from portway.core.state import AppState


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Apps by id with their instances as last seen. Not `sees_engine`: the engine does not answer, so nothing is known of them."""

    home_id: str
    apps: Mapping[str, AppState] = field(default_factory=dict)
    instances: Mapping[str, ObservedInstance] = field(default_factory=dict)
    nodes: tuple[NodeView, ...] = ()
    health: Mapping[str, Health] = field(default_factory=dict)
    blocked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    since_ms: Mapping[str, int] = field(default_factory=dict)  # when a stack was made
    sees_engine: bool = True


def overview_of(
    world: World, *, stack: str = "", app_ids: Collection[str] | None = None
) -> Overview:
    """Of these Apps, of a stack's, or of all. What there is no App of is left out."""
    wanted = app_ids if app_ids is not None else world.names.get(stack, ()) if stack else world.apps
    states = {app_id: world.apps[app_id] for app_id in sorted(wanted) if app_id in world.apps}
    instances = world.instances or {}
    records = [r.id for state in states.values() for r in state.instances]
    return Overview(
        home_id=world.home_id,
        apps=states,
        instances={
            seen.id: seen for app_id in states for seen in instances.get(app_id, {}).values()
        },
        nodes=world.nodes,
        health={name: world.health[name] for name in records if name in world.health},
        blocked={app_id: world.blocked[app_id] for app_id in states if world.blocked.get(app_id)},
        since_ms={
            name: world.stacks[name].created_at_ms
            for name in {app_id.rpartition("/")[0] for app_id in states}
            if name in world.stacks
        },
        sees_engine=world.instances is not None and world.hidden.isdisjoint(states),
    )
