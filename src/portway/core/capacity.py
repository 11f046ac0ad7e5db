"""How many instances must stay healthy and how many may exist while one revision replaces another."""

from __future__ import annotations

from dataclasses import dataclass

from portway.core.app import App, Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Bounds on an App during a deployment: healthy routed instances at least, live ones at most."""

    minimum_healthy: int
    maximum_live: int


def capacity(count: int, rollout: Rollout, *, one_at_a_time: bool = False) -> Capacity:
    """ceil(count x minimum) and floor(count x maximum), as ECS and Marathon count.

    Where both are equal nothing could ever move, so one more may live (Marathon,
    computeRestartStrategy). `one_at_a_time`: a successor cannot start beside its predecessor (a
    fixed host port), so the minimum gives way instead. With strict bounds neither happens (ECS).
    """
    minimum = min(count, -(-count * rollout.minimum_percent // 100))
    maximum = max(count, count * rollout.maximum_percent // 100)
    if rollout.strict_bounds:
        return Capacity(minimum_healthy=minimum, maximum_live=maximum)
    if one_at_a_time:
        return Capacity(minimum_healthy=max(0, min(minimum, count - 1)), maximum_live=count)
    if minimum >= maximum:
        maximum = minimum + 1
    return Capacity(minimum_healthy=minimum, maximum_live=maximum)


def two_sets(bounds: Capacity, count: int, old_count: int) -> Capacity:
    """The bounds with room for a whole new set beside the whole old one; the minimum stays."""
    both = count + max(count, old_count)
    return Capacity(
        minimum_healthy=bounds.minimum_healthy, maximum_live=max(bounds.maximum_live, both)
    )


def replaces_in_place(app: App, *, count: int, nodes: int) -> bool:
    """Whether a successor cannot start beside its predecessor: a fixed host port, taken on every node."""
    return bool(app.fixed_host_ports) and count >= nodes


def failure_threshold(count: int, ratio: float | None = None) -> int:
    """How many failed instances end a deployment: half of the count, at least 3, at most 200 (ECS).

    With a `ratio` the first one that is more than this share of the count (Swarm).
    """
    if ratio is not None:
        return int(count * ratio + 1e-9) + 1
    return max(3, min(200, -(-count // 2)))
