"""Strangers: what nobody answers for. Ended one-off instances go; what runs is never stopped for being unknown.

But an instance of an App that was deleted is known: its start was on its way meanwhile, and it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from portway.controller.world import RUN_SLOT, World
from portway.core.instance import EngineState, ObservedInstance
from portway.core.plan import Action, ApplyRoutes, RemoveInstance
from portway.core.state import AppState


def clear_away(world: World, app_id: str) -> list[Action]:
    """What nobody answers for: ended one-off instances, and whatever is left of an App that is forgotten."""
    seen = (world.seen(app_id) or {}).values()
    is_known = app_id in world.apps
    strangers = [i for i in seen if not is_known or i.identity.slot == RUN_SLOT]
    ended = [
        i.id for i in strangers if i.state is EngineState.EXITED and i.id not in world.one_offs
    ]
    late = [i.id for i in strangers if not is_known and i.id not in ended and _is_late(world, i)]
    actions: list[Action] = [RemoveInstance(instance_id=i) for i in (*ended, *late)]
    if not is_known:
        running = [
            i.id
            for i in strangers
            if i.id not in ended and i.id not in late and i.identity.slot != RUN_SLOT
        ]
        # What runs is served on; and what cannot be seen may run.
        if world.seen(app_id) is not None and not running and world.served_by(app_id):
            actions.append(ApplyRoutes(app_id=app_id, routes=()))
        _note(world, app_id, running)
    return actions


def _is_late(world: World, seen: ObservedInstance) -> bool:
    """Whether it is of a deleted App, that very run of that very revision, and nobody is served by it."""
    if world.forgotten.get(seen.id) != seen.identity.revision:
        return False
    served = world.served_by(seen.identity.app_id)
    return served is not None and all(
        e.instance_id != seen.id for route in served.values() for e in route.endpoints
    )


def _note(world: World, app_id: str, running: Sequence[str]) -> None:
    world.problems.pop(app_id, None)
    if running:
        world.problems[app_id] = (
            f"{', '.join(running)} runs, but no such app is known (was the store replaced?); "
            f"deploy {app_id.rpartition('/')[0]} again to take it over"
        )


def lingering(
    world: World, states: Sequence[AppState], is_applying: Callable[[str], bool]
) -> frozenset[str]:
    """The Apps of which the engine or the balancer may still have something."""
    return frozenset(
        state.app_id
        for state in states
        if state.target is None
        and (
            (seen := world.seen(state.app_id)) is None
            or any(i.identity.slot != RUN_SLOT for i in seen.values())
            or world.served_by(state.app_id) != {}
            or is_applying(state.app_id)
        )
    )
