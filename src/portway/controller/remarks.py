"""Remarks: what a person should know about a change that has just begun."""

from __future__ import annotations

from portway.controller.world import World
from portway.core.app import App, Protocol
from portway.core.drops import drop_warnings
from portway.core.state import AppState


def node_count(world: World) -> int:
    """How many machines could run something; one while that is not known."""
    return max(1, sum(1 for node in world.nodes if node.available))


def remarks(world: World, state: AppState) -> tuple[str, ...]:
    """What is not balanced of the App, and what makes this deployment of it drop requests."""
    assert state.target is not None
    app = state.target.app
    udp = [
        f"UDP {spec.container_port} is published by the engine, not balanced"
        for spec in app.ports
        if spec.protocol is Protocol.UDP
    ]
    before = _before(state)
    drops: tuple[str, ...] = ()
    if before is not None:
        drops = drop_warnings(app, count=state.count, nodes=node_count(world), before=before)
    return tuple(f"{app.name}: {sentence}" for sentence in (*udp, *drops))


def _before(state: AppState) -> App | None:
    """What the deployment replaces; None where it replaces nothing."""
    deployment = state.deployment
    old = state.revisions.get(deployment.from_revision or "") if deployment else None
    if deployment is None or old is None or old.id == deployment.to_revision:
        return None
    return old.app
