"""How instances of an app or pod are run, placed and replaced, as an App says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portway.core.app import (
    Backoff,
    Breaker,
    Constraint,
    ConstraintOperator,
    Placement,
    Resources,
    Rollout,
    Unreachable,
)
from portway.core.marathon.environment import cpus_of, memory_mib_of
from portway.manifests.ecs_values import MIB

Body = Mapping[str, Any]

CPU_SHARES = 1024  # of one processor
STOP_GRACE_S = 10.0
_MEMORY_MIN_MIB = 6  # Docker takes no less
_CPUS_MIN = 0.01
_ALMOST = 1e-9  # what is left of a product that should be whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How an App is made of a definition. `version`: of its last change in more than its count, as Marathon writes it.

    `patient`: a deployment goes on trying, however often instances fail (Marathon); otherwise it fails and goes back.
    `reserves`: what an instance may use is set aside on its node, and it goes only where there is room.
    `app_id`: None = the one its path means. `groups`: those of marathon-lb's labels whose ports are served, or `*`.
    """

    app_id: str | None = None
    version: str = ""
    enforces_role: bool = False
    patient: bool = True
    reserves: bool = False
    groups: tuple[str, ...] = ("*",)


def rollout_of(strategy: Body, making: Making) -> Rollout:
    """The bounds of an upgrade."""
    least, more = strategy["minimumHealthCapacity"], strategy["maximumOverCapacity"]
    minimum = math.ceil(100 * least - _ALMOST)
    maximum = math.floor(100 * (1 + more) + _ALMOST)
    if not making.patient:
        return Rollout(minimum_percent=minimum, maximum_percent=maximum)
    never = Breaker(enabled=False, rollback=False)
    return Rollout(
        minimum_percent=minimum, maximum_percent=maximum, breaker=never, progress_deadline_s=0
    )


def backoff_of(first_s: float, factor: float, maximum_s: float) -> Backoff:
    """How long starts wait after failures."""
    return Backoff(first_s=float(first_s), factor=float(factor), maximum_s=float(maximum_s))


def unreachable_of(strategy: Any) -> Unreachable:
    """What becomes of instances on nodes that are away; "disabled": they are waited for."""
    if not isinstance(strategy, Mapping):
        return Unreachable(inactive_after_s=None)
    return Unreachable(
        inactive_after_s=float(strategy["inactiveAfterSeconds"]),
        expunge_after_s=float(strategy["expungeAfterSeconds"]),
    )


def constraint_of(field: str, operator: str, value: str | None) -> Constraint:
    """One constraint."""
    return Constraint(field=field, operator=ConstraintOperator(operator.upper()), value=value or "")


def placement_of(
    constraints: tuple[Constraint, ...], cpus: float, memory_mib: float, making: Making
) -> Placement:
    """Where instances may run; all containers of a pod count together."""
    if not making.reserves:
        return Placement(constraints=constraints)
    return Placement(
        constraints=constraints,
        reserves=True,
        cpu_units=round(cpus * CPU_SHARES),
        memory_bytes=round(memory_mib * MIB),
    )  # fmt: skip


def resources_of(asked: Body, limits: Body | None) -> Resources:
    """What is asked for is the limit, unless other limits are given; "unlimited" is none."""
    cpus = _limit(limits, "cpus", asked["cpus"])
    memory_mib = _limit(limits, "mem", asked["mem"])
    shares = None if cpus == asked["cpus"] else max(round(asked["cpus"] * CPU_SHARES), 2)
    return Resources(
        cpus=None if cpus is None else max(float(cpus), _CPUS_MIN),
        cpu_shares=shares,
        memory_bytes=None if memory_mib is None else round(max(memory_mib, _MEMORY_MIN_MIB) * MIB),
    )


def not_said(
    name: str, asked: Body, limits: Body | None
) -> tuple[dict[str, float], dict[str, float]]:
    """The processors and the MiB asked for where the resources of the App say something else: a limit, or the least there can be."""
    found = resources_of(asked, limits)
    cpus, memory_mib = float(asked["cpus"]), float(asked["mem"])
    return (
        {} if cpus_of(found) == cpus else {name: cpus},
        {} if memory_mib_of(found) == memory_mib else {name: memory_mib},
    )


def _limit(limits: Body | None, name: str, asked: float) -> float | None:
    given = (limits or {}).get(name)
    if given is None:
        return asked
    return None if given == "unlimited" else max(given, asked)
