"""Plan: what reconcile() wants done. Decisions are saved first, then the actions are carried out in order.

Actions are idempotent and named deterministically: carrying one out twice, or again after a crash,
changes nothing. What cannot be planned is a Blocked with a sentence the user can act on.
"""

from __future__ import annotations

from dataclasses import dataclass

from portway.core.events import Event
from portway.core.instance import InstanceIdentity
from portway.core.ports import Lease
from portway.core.routes import Route
from portway.core.state import AppState, Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class StartInstance:
    """Create and start the instance; if it already runs, do nothing."""

    identity: InstanceIdentity
    revision: Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class StopInstance:
    """Send `signal`, wait up to `grace_s`, then kill; if it is already gone, do nothing."""

    instance_id: str
    signal: str
    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveInstance:
    """Delete what a stopped instance left in the engine (its last log lines are kept first)."""

    instance_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRoutes:
    """Make the balancer serve exactly `routes` for the App `app_id`; an empty tuple removes them all."""

    app_id: str
    routes: tuple[Route, ...]


Action = StartInstance | StopInstance | RemoveInstance | ApplyRoutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Something that cannot be done now, why, and what the user can do.

    `code` says the same to programs where it is about placing or pace (placement.Misfit), `node` is the nearest one to
    fit.
    """

    app_id: str
    reason: str
    code: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to save, what to do, what cannot be done, and when to look again if nothing happens first.

    `state` is the App's state with every decision of this plan applied; equal to the input when
    nothing was decided. `taken` and `freed` are the leases those decisions add and give back.
    """

    state: AppState
    events: tuple[Event, ...] = ()
    taken: tuple[Lease, ...] = ()
    freed: tuple[Lease, ...] = ()
    actions: tuple[Action, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    wake_at_ms: int | None = None
