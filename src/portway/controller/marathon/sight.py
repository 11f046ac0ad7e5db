"""Sight: an app's instances as Marathon's tasks, made of what is decided and what is seen of them. It only looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from portway.controller.marathon.catalogue import Entry
from portway.controller.marathon.serving import service_ports_of
from portway.controller.present import is_healthy
from portway.controller.world import RUN_SLOT, World
from portway.core.app import App
from portway.core.health import Health, HealthStatus
from portway.core.instance import InstanceRecord, ObservedInstance, Phase
from portway.core.marathon.labels import PREFIX
from portway.core.marathon.names import instance_name, run_of, task_name, time_text
from portway.core.placement import NodeView
from portway.core.state import AppState

STAGING, RUNNING, KILLING = "TASK_STAGING", "TASK_RUNNING", "TASK_KILLING"
UNREACHABLE = "TASK_UNREACHABLE"
VERSION_LABEL = f"{PREFIX}version"  # read by itself: of many tasks at once nothing else is wanted

Stamp = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One live instance and all that is known of it. `app` is what it runs, None where nobody remembers."""

    record: InstanceRecord
    app: App | None
    made_at_ms: int  # when that was made
    observed: ObservedInstance | None
    health: Health | None
    checks: Mapping[int, Health]
    node: NodeView | None
    is_well: bool

    @property
    def state(self) -> str:
        """Mesos' word for where its task is."""
        if self.node is not None and not self.node.available:
            return UNREACHABLE
        if self.record.phase is Phase.PLANNED:
            return STAGING
        return RUNNING if self.record.phase < Phase.DRAINING else KILLING

    @property
    def host(self) -> str:
        """Where its host ports answer."""
        return self.node.address if self.node is not None else self.record.identity.node

    @property
    def host_ports(self) -> list[int]:
        """Its host ports in the order of the definition's; one for both protocols counts once."""
        order = {spec.name: at for at, spec in enumerate(self.app.ports)} if self.app else {}
        leases = sorted(self.record.identity.leases, key=lambda x: order.get(x.port_name, 0))
        return list(dict.fromkeys(lease.host_port for lease in leases))

    @property
    def addresses(self) -> list[dict[str, str]]:
        """Its own address, once it has one."""
        address = self.observed.address if self.observed is not None else ""
        if not address or self.state == STAGING:
            return []
        return [{"ipAddress": address, "protocol": "IPv6" if ":" in address else "IPv4"}]

    @property
    def alive(self) -> bool | None:
        """What its health checks say; None before they have, and before it was told to run."""
        if self.health is None or self.health.status is HealthStatus.UNKNOWN:
            return None
        if self.state == STAGING:
            return None
        return self.health.status is HealthStatus.PASSING


class Sight:
    """What runs, by entry of the catalogue."""

    def __init__(self, world: World) -> None:
        self._world = world

    def state_of(self, entry: Entry) -> AppState | None:
        """The App an entry is, if it is there yet."""
        return self._world.apps.get(entry.app_id)

    def seen(self, entry: Entry) -> Iterator[Seen]:
        """Its live instances, oldest first."""
        state = self.state_of(entry)
        if state is None:
            return
        for record in _tasks_of(state):
            yield self.see(entry, state, record)

    def see(self, entry: Entry, state: AppState, record: InstanceRecord) -> Seen:
        """One of its instances, a gone one too."""
        revision = state.revisions.get(record.identity.revision)
        if revision is None and state.target and state.target.id == record.identity.revision:
            revision = state.target
        observed = (self._world.instances or {}).get(entry.app_id, {})
        return Seen(
            record=record,
            app=revision.app if revision is not None else None,
            made_at_ms=revision.made_at_ms if revision is not None else 0,
            observed=observed.get(record.id),
            health=self._world.health.get(record.id),
            checks=self._world.checks.get(record.id, {}),
            node=next((n for n in self._world.nodes if n.name == record.identity.node), None),
            is_well=is_healthy(self._world, record),
        )

    def find(self, entry: Entry, name: str) -> Seen | None:
        """The live instance with this instance or task id."""
        home_id = self._world.home_id
        return next(
            (
                one
                for one in self.seen(entry)
                if name == instance_name(entry.path, run_of(one.record.identity), home_id=home_id)
                or name in self._task_names(entry, one)
            ),
            None,
        )

    def _task_names(self, entry: Entry, one: Seen) -> set[str]:
        return {
            task_name(
                entry.path,
                run_of(one.record.identity),
                home_id=self._world.home_id,
                container=container,
            )
            for container in containers_of(entry)
        }

    def stamp(self, entry: Entry) -> Stamp:
        """Equal as long as what is shown of its instances is."""
        world, state = self._world, self._world.apps.get(entry.app_id)
        if state is None:
            return ()
        observed = (world.instances or {}).get(entry.app_id, {})
        told: list[Any] = [state.version, len(state.instances)]
        for record in state.instances:
            if record.phase is not Phase.GONE:
                health, seen = world.health.get(record.id), observed.get(record.id)
                if health is not None:
                    told += (health.status, health.since_ms, health.failures)
                for one in world.checks.get(record.id, {}).values():
                    told += (one.status, one.since_ms, one.failures)
                if seen is not None:
                    told += (seen.state, seen.address, seen.started_at_ms)
        return tuple(told)

    def tasks(self, entry: Entry, *, service_ports: bool = False) -> list[dict[str, Any]]:
        """Its tasks as JSON."""
        return [self.task(entry, one, service_ports=service_ports) for one in self.seen(entry)]

    def task(self, entry: Entry, one: Seen, *, service_ports: bool = False) -> dict[str, Any]:
        """One task as JSON; of a pod's, that of its first container."""
        home_id, record = self._world.home_id, one.record
        is_active = one.state in (RUNNING, STAGING)
        shown: dict[str, Any] = {
            "ipAddresses": one.addresses,
            "stagedAt": time_text(record.planned_at_ms) if is_active else None,
            "state": one.state,
            "ports": one.host_ports if is_active else [],
            "startedAt": _time(record.started_at_ms) if is_active else None,
            "version": version_of(one, entry) if is_active else None,
            "id": task_name(
                entry.path,
                run_of(record.identity),
                home_id=home_id,
                container=containers_of(entry)[0],
            ),
            "appId": entry.path,
            "slaveId": record.identity.node,
            "host": one.host,
            "role": entry.definition.get("role", "*"),
            "localVolumes": [],
            "healthCheckResults": self.health_results(entry, one),
            "servicePorts": list(service_ports_of(entry.definition)) if service_ports else [],
        }
        return {key: value for key, value in shown.items() if value is not None}

    def health_results(self, entry: Entry, one: Seen) -> list[dict[str, Any]]:
        """One result a health check, once there is one; the times are those at which the verdict last changed."""
        if one.alive is None or one.health is None:
            return []
        name = instance_name(entry.path, run_of(one.record.identity), home_id=self._world.home_id)
        count = len(entry.definition.get("healthChecks") or ())
        verdicts = (one.checks.get(nth, one.health) for nth in range(count))
        return [_result(one, verdict, name) for verdict in verdicts]

    def readiness(self, entry: Entry) -> list[dict[str, Any]]:
        """What the readiness checks of its instances said last, while they run."""
        home_id = self._world.home_id
        return [
            {
                "name": check.get("name", "readinessCheck"),
                "taskId": task_name(entry.path, run_of(one.record.identity), home_id=home_id),
                "ready": one.is_well,
            }
            for check in entry.definition.get("readinessChecks", ())
            for one in self.seen(entry)
            if one.state == RUNNING
        ]

    def counts(self, entry: Entry) -> dict[str, int]:
        """How many tasks are staged, running, healthy and unhealthy."""
        staged = running = healthy = unhealthy = 0
        has_checks = has_health_checks(entry)
        for one in self.seen(entry):
            staged += one.state == STAGING
            running += one.state == RUNNING
            if has_checks and one.state == RUNNING and one.alive is not None:
                healthy += one.alive
                unhealthy += not one.alive
        return {
            "tasksStaged": staged,
            "tasksRunning": running,
            "tasksHealthy": healthy,
            "tasksUnhealthy": unhealthy,
        }


def _result(one: Seen, verdict: Health, name: str) -> dict[str, Any]:
    is_alive = verdict.status is HealthStatus.PASSING
    first = one.record.ready_at_ms
    result: dict[str, Any] = {
        "alive": is_alive,
        "consecutiveFailures": verdict.failures,
        "firstSuccess": _time(first),
        "lastSuccess": _time(max(first or 0, verdict.since_ms) if is_alive else first),
        "lastFailure": None if is_alive else _time(verdict.since_ms),
        "lastFailureCause": None if is_alive else verdict.detail,
        "instanceId": name,
    }
    return {key: value for key, value in result.items() if value is not None}


def has_health_checks(entry: Entry) -> bool:
    """Whether a definition has any; without, a task counts neither as healthy nor as unhealthy."""
    if entry.definition.get("healthChecks"):
        return True
    return any(c.get("healthCheck") for c in entry.definition.get("containers", ()))


def version_of(one: Seen, entry: Entry) -> str:
    """The version of the definition that an instance runs."""
    if one.app is None:
        return entry.config_version
    return one.app.labels.get(VERSION_LABEL) or time_text(one.made_at_ms)


def version_put(state: AppState) -> str:
    """The version of the definition that the App was last put in; "" where it is none of ours."""
    return state.target.app.labels.get(VERSION_LABEL, "") if state.target is not None else ""


def containers_of(entry: Entry) -> tuple[str, ...]:
    """What its task ids end with."""
    names = tuple(str(c["name"]) for c in entry.definition.get("containers", ()))
    return names or ("_app",)


def _tasks_of(state: AppState) -> list[InstanceRecord]:
    return [r for r in state.live if r.identity.slot != RUN_SLOT]


def _time(at_ms: int | None) -> str | None:
    return time_text(at_ms) if at_ms is not None else None
