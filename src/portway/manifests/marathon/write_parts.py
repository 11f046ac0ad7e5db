"""What apps and pods say alike of an App: sizes, bounds, networks, constraints."""

from __future__ import annotations

import math
from typing import Any

from portway.core.app import App, Constraint, NetworkMode, Resources, Unreachable
from portway.manifests.ecs_values import MIB
from portway.manifests.marathon.scheduling import CPU_SHARES

Definition = dict[str, Any]

SHARES_OF_NOTHING = 102  # what is said to be asked for where nothing is: a tenth of a processor
_MODES = {NetworkMode.HOST: "host", NetworkMode.OWN: "container"}


def asked_of(resources: Resources) -> Definition:
    """What is asked for; without a limit the smallest usual share."""
    shares = resources.cpu_shares or SHARES_OF_NOTHING
    cpus = resources.cpus if resources.cpus is not None else round(shares / CPU_SHARES, 3)
    memory_bytes = resources.memory_bytes or resources.memory_reservation_bytes
    memory_mib = 128 if memory_bytes is None else number(memory_bytes / MIB)
    return {"cpus": number(cpus), "mem": memory_mib}


def limits_of(resources: Resources) -> Definition | None:
    """That there is no limit, where there is none."""
    limits = {
        **({"cpus": "unlimited"} if resources.cpus is None else {}),
        **({"mem": "unlimited"} if resources.memory_bytes is None else {}),
    }
    return limits or None


def number(value: float) -> float:
    """A whole number without a fraction."""
    return int(value) if value == int(value) else value


def unreachable_of(unreachable: Unreachable) -> Any:
    """What becomes of instances on nodes that are away."""
    if unreachable.inactive_after_s is None:
        return "disabled"
    inactive_s = math.ceil(unreachable.inactive_after_s)
    expunge_s = max(math.ceil(unreachable.expunge_after_s), inactive_s)
    return {"inactiveAfterSeconds": inactive_s, "expungeAfterSeconds": expunge_s}


def upgrade_of(app: App) -> Definition:
    """The bounds of an upgrade, as far as Marathon's go."""
    minimum, maximum = app.rollout.minimum_percent, app.rollout.maximum_percent
    return {
        "minimumHealthCapacity": number(min(max(minimum, 0), 100) / 100),
        "maximumOverCapacity": number(min(max(maximum - 100, 0), 100) / 100),
    }


def networks_of(app: App, *, on_host: bool) -> list[Definition]:
    """The one network that comes nearest."""
    mode = "host" if on_host else _MODES.get(app.network_mode, "container/bridge")
    if mode != "container":
        return [{"mode": mode}]
    names = [network.name for network in app.networks] or ["default"]
    return [{"mode": mode, "name": name} for name in names[:1]]


def constraint_parts(constraint: Constraint) -> list[str]:
    """Field, operator and value, when there is one."""
    value = [constraint.value] if constraint.value else []
    return [constraint.field, constraint.operator.value, *value]
