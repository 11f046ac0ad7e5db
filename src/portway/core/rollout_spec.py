"""How one revision of an App is to replace another: the bounds, the steps, and when failures end it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class StrategyKind(StrEnum):
    """In which order a new revision takes over.

    ROLLING: instance by instance, within the bounds. CANARY: a share of them first, observed, then the
    rest. BLUE_GREEN: all of them beside the old ones, then every listener at once.
    """

    ROLLING = "rolling"
    CANARY = "canary"
    BLUE_GREEN = "blue-green"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How a deployment goes. `canary_percents`: the steps of a canary, ascending, each 1 to 99.

    Every step of a canary, and the switch of a blue-green, is observed for `bake_s`, or with `hold`
    until somebody says `resume`. Once the new instances had `min_requests`, `max_failed_percent` more of
    them than of the old ones' failing ends it (trial.py).
    """

    kind: StrategyKind = StrategyKind.ROLLING
    canary_percents: tuple[int, ...] = (10,)
    bake_s: float = 30.0
    hold: bool = False
    max_failed_percent: float = 5.0
    min_requests: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When failing instances end a deployment. `threshold` None: half the count, at least 3, at most 200.

    Not `enabled`: a deployment goes on trying, ever more slowly. Not `rollback`: it ends where it is, and what ran goes on.
    `reset`: an instance that becomes healthy makes failures before it count no more.
    """

    enabled: bool = True
    rollback: bool = True
    threshold: int | None = None
    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long the next start waits after instances that ended by themselves (Marathon).

    `first_s` after the first of them, `factor` times as long after each further one, at most `maximum_s`. Forgotten where
    nothing ended for `maximum_s`, and with every new revision; whom somebody else ended does not count.
    """

    first_s: float = 1.0
    factor: float = 1.15
    maximum_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """What becomes of instances whose node is away (Marathon): replaced once it was away for `inactive_after_s`.

    `inactive_after_s` None: they are waited for, however long it takes. `expunge_after_s` is only kept and shown: an
    instance that was replaced is ended as soon as its node is back.
    """

    inactive_after_s: float | None = 0.0
    expunge_after_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How one revision replaces another. Percentages are of the App's count (ECS, Marathon and Convox alike)."""

    minimum_percent: int = 100
    maximum_percent: int = 200
    parallelism: int = 0  # at most so many started at once; 0 = no cap
    delay_s: float = 0.0  # between one batch and the next
    monitor_s: float = (
        0.0  # so long the last new instance must have run before a deployment is done
    )
    failure_ratio: float | None = None  # so much of the count may fail in a deployment; None = 0.5
    progress_deadline_s: float = (
        300.0  # nothing became healthy for so long: the deployment fails; 0 = it has no end
    )
    drain_timeout_s: float = 60.0
    strategy: Strategy = Strategy()
    breaker: Breaker = Breaker()
    strict_bounds: bool = (
        False  # never one more than the maximum, though nothing can move then (ECS)
    )

    @property
    def is_patient(self) -> bool:
        """Whether a deployment may take for ever. Then single failures end nothing, only the breaker's count does."""
        return not 0 < self.progress_deadline_s < math.inf
