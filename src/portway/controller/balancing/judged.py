"""The World as people are shown it: an instance behind target groups is as well as they, too, say it is."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from portway.controller.balancing.balancing import Balancing
from portway.controller.world import World
from portway.core.health import Health
from portway.core.state import AppState


def judged(world: World, balancing: Balancing, states: Iterable[AppState]) -> World:
    """The same, with the verdicts that the planner goes by on the instances of these Apps."""
    found: dict[str, Health] = {}
    for state in states:
        if balancing.owners_of(state):
            found |= balancing.verdicts(state, world.health)
    if not found:
        return world
    return replace(world, health=cast("dict[str, Health]", ChainMap(found, world.health)))
