"""Rest: which Apps need no look, so that a controller of ten thousand of them is idle when nothing happens.

An App rests after a plan that did nothing, waited for nothing and was blocked by nothing. Whatever happens to it
touches it: an operation, a verdict, a difference between two looks at the engine or the balancer. Should one of
these ever be missed, it is planned anew all the same when its turn comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

from portway.controller.world import RUN_SLOT, World
from portway.core.instance import ObservedInstance
from portway.core.plan import Plan

TURNS = 12


class Rest:
    """The Apps at rest."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._resting: set[str] = set()
        self._turn = 0

    def restless(self) -> set[str]:
        """Everything to look at now: all but the Apps at rest, and a part of those, another one each time."""
        world = self._world
        self._turn = (self._turn + 1) % TURNS
        self._resting &= world.apps.keys()
        every = {*world.apps, *(world.instances or ()), *(world.served or ())}
        return {i for i in every if i not in self._resting or _turn_of(i) == self._turn}

    def note(self, app_id: str, plan: Plan, *, settled: bool) -> None:
        """What came of looking at an App; `settled`: its stack waits for nothing either."""
        seen, served = self._world.seen(app_id), self._world.served_by(app_id)
        busy = plan.actions or plan.events or plan.blocked or plan.wake_at_ms is not None
        unknown = seen is None or served is None
        if busy or unknown or not settled or _has_one_off(seen or {}):
            self._resting.discard(app_id)
        else:
            self._resting.add(app_id)


def _has_one_off(seen: Mapping[str, ObservedInstance]) -> bool:
    """Its end is waited for by a caller, of whom nothing is known here."""
    return any(instance.identity.slot == RUN_SLOT for instance in seen.values())


def _turn_of(app_id: str) -> int:
    return crc32(app_id.encode()) % TURNS
