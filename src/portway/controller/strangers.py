"""Strangers: what nobody answers for. Ended one-off instances go; what runs is never stopped for being unknown."""

from __future__ import annotations

from collections.abc import Sequence

from portway.controller.world import RUN_SLOT, World
from portway.core.instance import EngineState
from portway.core.plan import Action, ApplyRoutes, RemoveInstance


def clear_away(world: World, app_id: str) -> list[Action]:
    """What nobody answers for: ended one-off instances, and whatever is left of an App that is forgotten."""
    seen = (world.seen(app_id) or {}).values()
    is_known = app_id in world.apps
    strangers = [i for i in seen if not is_known or i.identity.slot == RUN_SLOT]
    ended = [
        i.id for i in strangers if i.state is EngineState.EXITED and i.id not in world.one_offs
    ]
    actions: list[Action] = [RemoveInstance(instance_id=i) for i in ended]
    if not is_known:
        running = [i.id for i in strangers if i.id not in ended and i.identity.slot != RUN_SLOT]
        # What runs is served on; and what cannot be seen may run.
        if world.seen(app_id) is not None and not running and world.served_by(app_id):
            actions.append(ApplyRoutes(app_id=app_id, routes=()))
        _note(world, app_id, running)
    return actions


def _note(world: World, app_id: str, running: Sequence[str]) -> None:
    world.problems.pop(app_id, None)
    if running:
        world.problems[app_id] = (
            f"{', '.join(running)} runs, but no such app is known (was the store replaced?); "
            f"deploy {app_id.rpartition('/')[0]} again to take it over"
        )
