"""taskStats: an app's tasks counted by how new their version is, with how long they have run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from portway.controller.marathon.catalogue import Entry
from portway.controller.marathon.sight import (
    RUNNING,
    STAGING,
    Seen,
    Sight,
    has_health_checks,
    version_of,
)
from portway.core.marathon.names import time_text


def task_stats(sight: Sight, entry: Entry, *, now_ms: int) -> dict[str, Any]:
    """The statistics; a kind of which there are no tasks is left out."""
    seen = [one for one in sight.seen(entry) if one.state in (RUNNING, STAGING)]
    latest = [one for one in seen if version_of(one, entry) >= entry.config_version]
    scaled = [one for one in seen if _planned_text(one) >= entry.scaled_version]
    kinds = {
        "startedAfterLastScaling": scaled,
        "withLatestConfig": latest,
        "withOutdatedConfig": [one for one in seen if one not in latest],
        "totalSummary": seen,
    }
    return {name: {"stats": _stats(entry, ones, now_ms)} for name, ones in kinds.items() if ones}


def _planned_text(one: Seen) -> str:
    return time_text(one.record.planned_at_ms)


def _stats(entry: Entry, ones: Sequence[Seen], now_ms: int) -> dict[str, Any]:
    checked = has_health_checks(entry)
    counts = {
        "staged": sum(one.state == STAGING for one in ones),
        "running": sum(one.state == RUNNING for one in ones),
        "healthy": sum(checked and one.alive is True for one in ones),
        "unhealthy": sum(checked and one.alive is False for one in ones),
    }
    ages_s = list(_ages_s(ones, now_ms))
    if not ages_s:
        return {"counts": counts}
    times = {"averageSeconds": sum(ages_s) / len(ages_s), "medianSeconds": median(ages_s)}
    return {"counts": counts, "lifeTime": times}


def _ages_s(ones: Iterable[Seen], now_ms: int) -> Iterable[float]:
    for one in ones:
        if one.record.started_at_ms is not None:
            yield (now_ms - one.record.started_at_ms) / 1000
