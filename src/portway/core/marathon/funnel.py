"""Why nodes do not take an instance, in the words and the order of Marathon's launch queue. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from portway.core.app import App
from portway.core.placement import Ground, Misfit, demand_of, fault_of
from portway.core.plan import Blocked


class Reason(StrEnum):
    """What a node was declined for; in this order they are looked at."""

    ROLE = "UnfulfilledRole"
    CONSTRAINT = "UnfulfilledConstraint"
    RESERVATION = "NoCorrespondingReservationFound"
    MAINTENANCE = "AgentMaintenance"
    CPUS = "InsufficientCpus"
    MEMORY = "InsufficientMemory"
    DISK = "InsufficientDisk"
    GPUS = "InsufficientGpus"
    PORTS = "InsufficientPorts"
    SCARCE = "DeclinedScarceResources"


_REASONS = {
    Misfit.AGENT: Reason.MAINTENANCE,
    Misfit.CPU: Reason.CPUS,
    Misfit.MEMORY: Reason.MEMORY,
    Misfit.PORTS: Reason.PORTS,
    Misfit.ATTRIBUTE: Reason.CONSTRAINT,
    Misfit.CONSTRAINT: Reason.CONSTRAINT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Of so many nodes that came so far, so many were declined for this reason."""

    reason: Reason
    declined: int
    processed: int


def reject_summary(reasons: Iterable[Reason | None]) -> tuple[Summary, ...]:
    """The funnel of what each node was declined for (None: it was taken); every reason is in it."""
    seen = list(reasons)
    declined = Counter(reason for reason in seen if reason is not None)
    left, summaries = len(seen), []
    for reason in Reason:
        summaries.append(Summary(reason=reason, declined=declined[reason], processed=left))
        left -= declined[reason]
    return tuple(summaries)


def reason_of(code: str) -> Reason | None:
    """The reason a refusal of a node means; None where it is about no node."""
    return _REASONS.get(Misfit(code)) if code in tuple(Misfit) else None


def node_reasons(
    app: App, ground: Ground, blocked: Sequence[Blocked] = ()
) -> tuple[Reason | None, ...]:
    """For each node what keeps one more instance off it.

    `blocked`: what the planner said of the App; that no host port can be had is true of every node it would fit on.
    """
    demand = demand_of(app)
    faults = (fault_of(node, app, ground, demand) for node in ground.nodes)
    no_ports = any(one.code == Misfit.PORTS for one in blocked)
    fits = Reason.PORTS if no_ports else None
    return tuple(fits if fault is None else reason_of(fault[0]) for fault in faults)
