"""Doubt: most of an App gone in one look is rather a look that failed. Believed once a later look agrees. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from portway.core.instance import Phase
from portway.core.state import AppState

DOUBT_MS = 1000
DOUBTED = "most of its instances are missing from the engine's list, which is looked at once more"


def doubted(
    states: Iterable[AppState],
    seen: Mapping[str, Container[str]],
    before: Mapping[str, int],
    *,
    now_ms: int,
) -> dict[str, int]:
    """The Apps of which more than half of what ran is missing without having ended, and since when.

    What is missing for longer than DOUBT_MS is gone: then there is no doubt any more.
    """
    missing = (state.app_id for state in states if _most_missing(state, seen))
    since = {app_id: before.get(app_id, now_ms) for app_id in missing}
    return {app_id: at_ms for app_id, at_ms in since.items() if now_ms - at_ms < DOUBT_MS}


def _most_missing(state: AppState, seen: Mapping[str, Container[str]]) -> bool:
    ran = [r.id for r in state.instances if Phase.STARTED <= r.phase < Phase.DRAINING]
    there = seen.get(state.app_id, ())
    return 2 * sum(instance_id not in there for instance_id in ran) > len(ran)
