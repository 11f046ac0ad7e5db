"""Draft: an AppState being decided on. Collects decisions, their events and leases while reconcile() runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from portway.core.app import App
from portway.core.events import Event
from portway.core.failures import with_failure
from portway.core.instance import InstanceRecord, Phase
from portway.core.observed import Observed, is_away
from portway.core.plan import Action, Blocked, Plan
from portway.core.ports import Lease, PortPool
from portway.core.routes import Route
from portway.core.routing import project_routes
from portway.core.state import AppState, Failure


class Draft:
    """The one mutable value of the planner; lives for one reconcile()."""

    def __init__(
        self,
        state: AppState,
        observed: Observed,
        *,
        host_pool: PortPool,
        service_pool: PortPool,
        now_ms: int,
    ) -> None:
        self.before = state
        self.state = state
        self.observed = observed
        self.host_pool = host_pool
        self.service_pool = service_pool
        self.now_ms = now_ms
        self.events: list[Event] = []
        self.taken: list[Lease] = []
        self.freed: list[Lease] = []
        self.actions: list[Action] = []
        self.blocked: list[Blocked] = []
        self._wake_at_ms: int | None = None
        # Both of the state as it is now, where somebody has asked.
        self._live: tuple[InstanceRecord, ...] | None = None
        self._routes: tuple[Route, ...] | None = None

    @property
    def app(self) -> App | None:
        """The spec that should run."""
        return self.state.target.app if self.state.target else None

    @property
    def live(self) -> tuple[InstanceRecord, ...]:
        """The instances that are not GONE."""
        if self._live is None:
            self._live = self.state.live
        return self._live

    @property
    def routes(self) -> tuple[Route, ...]:
        """The routes that follow from what is decided so far."""
        if self._routes is None:
            self._routes = project_routes(self.state, self.observed)
        return self._routes

    def change(self, **fields: Any) -> None:
        """Decide on fields of the state."""
        self.state = replace(self.state, **fields)
        self._live = self._routes = None

    def advance(
        self,
        record: InstanceRecord,
        phase: Phase,
        *,
        reason: str = "",
        failed: bool = False,
        exit_code: int | None = None,
    ) -> None:
        """Move one instance forward; a phase never moves back."""
        assert phase > record.phase, (record.id, record.phase, phase)
        changed = replace(
            record,
            phase=phase,
            reason=record.reason or reason,
            failed=record.failed or failed,
            exit_code=record.exit_code if exit_code is None else exit_code,
            **_entered(record, phase, self.now_ms),
        )
        self._put(changed)
        if phase is Phase.GONE:
            self.freed.extend(record.identity.leases)
        if failed and not record.failed:
            self._note_failure(changed)
        self.event(
            f"instance.{phase.name.lower()}",
            # Said once: the steps that follow from a reason do not repeat it.
            _sentence(changed, "" if record.reason and phase is Phase.GONE else reason),
            instance_id=record.id,
            release=record.identity.release,
            data={"failed": "yes"} if failed and not record.failed else {},
        )

    def add(self, record: InstanceRecord) -> None:
        """Decide on a new instance; its leases are taken with it."""
        self.change(
            instances=(*self.state.instances, record),
            next_serial=max(self.state.next_serial, record.identity.serial + 1),
        )
        self.taken.extend(record.identity.leases)

    def amend(self, record: InstanceRecord) -> None:
        """Decide on something about one instance that is no phase."""
        self._put(record)

    def forget(self, record: InstanceRecord) -> None:
        """Drop a record nobody needs any more."""
        kept = tuple(r for r in self.state.instances if r.id != record.id)
        self.change(instances=kept)

    def event(self, kind: str, message: str, **fields: Any) -> None:
        """Note something in the journal."""
        deployment = self.state.deployment.id if self.state.deployment else ""
        self.events.append(
            Event(
                at_ms=self.now_ms,
                kind=kind,
                message=message,
                stack=self.state.app_id.rpartition("/")[0],
                app_id=self.state.app_id,
                deployment=deployment,
                **fields,
            )
        )

    def block(self, reason: str, *, code: str = "", node: str = "") -> None:
        """Say why something cannot be done now."""
        blocked = Blocked(app_id=self.state.app_id, reason=reason, code=code, node=node)
        if blocked not in self.blocked:
            self.blocked.append(blocked)

    def wake_at(self, at_ms: int) -> None:
        """Look again at this time at the latest."""
        at_ms = max(at_ms, self.now_ms + 1)
        self._wake_at_ms = at_ms if self._wake_at_ms is None else min(self._wake_at_ms, at_ms)

    def act(self, action: Action) -> None:
        """Have something done once the decisions are saved."""
        self.actions.append(action)

    def plan(self) -> Plan:
        """The finished plan."""
        return Plan(
            state=self.state,
            events=tuple(self.events),
            taken=tuple(self.taken),
            freed=tuple(self.freed),
            actions=tuple(self.actions),
            blocked=tuple(self.blocked),
            wake_at_ms=self._wake_at_ms,
        )

    def _put(self, record: InstanceRecord) -> None:
        self.change(
            instances=tuple(record if r.id == record.id else r for r in self.state.instances)
        )

    def _note_failure(self, record: InstanceRecord) -> None:
        failure = Failure(
            at_ms=self.now_ms,
            instance_id=record.id,
            revision=record.identity.revision,
            reason=record.reason,
            never_healthy=record.phase is Phase.DRAINING and record.ready_at_ms is None,
            never_started=_never_ran(record),
            by_others=record.phase is Phase.DRAINING or is_away(self.observed, record),
            started_at_ms=record.started_at_ms,
        )
        self.change(failures=with_failure(self.state, failure))


def _never_ran(record: InstanceRecord) -> bool:
    """Whether it ended before its engine ran it; one that has an exit code did run, however shortly."""
    is_over = record.phase is Phase.GONE
    return is_over and record.started_at_ms is None and record.exit_code is None


def _entered(record: InstanceRecord, phase: Phase, now_ms: int) -> Mapping[str, Any]:
    """The time stamps a step sets; a step that skips STARTED has still started."""
    match phase:
        case Phase.STARTED:
            return {"started_at_ms": now_ms}
        case Phase.READY:
            return {"ready_at_ms": now_ms, "started_at_ms": record.started_at_ms or now_ms}
        case Phase.DRAINING:
            return {"draining_at_ms": now_ms}
        case Phase.STOPPING:
            return {"stopping_at_ms": now_ms}
        case Phase.GONE:
            return {"gone_at_ms": now_ms}
        case Phase.PLANNED:
            raise AssertionError("nothing moves to PLANNED")


def _sentence(record: InstanceRecord, reason: str) -> str:
    name = record.id.rpartition("/")[2]
    why = f": {reason}" if reason else ""
    match record.phase:
        case Phase.STARTED:
            return f"{name} started"
        case Phase.READY:
            return f"{name} is healthy"
        case Phase.DRAINING:
            return f"{name} {'failed and is stopped' if record.failed else 'is draining'}{why}"
        case Phase.STOPPING:
            return f"{name} is stopping{why}"
        case Phase.GONE:
            return f"{name} {'failed' if record.failed and reason else 'is gone'}{why}"
        case Phase.PLANNED:
            return f"{name} was planned"
