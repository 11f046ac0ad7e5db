"""PodStatus: a pod and its instances as `::status` shows them, made of what is decided and seen. It only looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from portway.controller.marathon.catalogue import Catalogue, Entry
from portway.controller.marathon.endings import ending_of
from portway.controller.marathon.sight import KILLING, STAGING, UNREACHABLE, Seen, Sight, version_of
from portway.controller.world import RUN_SLOT, World
from portway.core.instance import InstanceRecord, Phase
from portway.core.marathon.names import instance_name, run_of, task_name, time_text

DEGRADED, STABLE, TERMINAL, PENDING = "DEGRADED", "STABLE", "TERMINAL", "PENDING"
_UNWELL = "at least one container is not healthy"
_LOST = "pod instance has become unreachable"


class Desk(Protocol):
    """What of the desk it needs."""

    catalogue: Catalogue
    sight: Sight

    @property
    def world(self) -> World: ...
    @property
    def now_ms(self) -> int: ...


class PodStatus:
    """The status of pods at one moment."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._now = time_text(desk.now_ms)

    def of(self, entry: Entry) -> dict[str, Any]:
        """The status of one pod."""
        instances = [self.instance(entry, seen) for seen in self._desk.sight.seen(entry)]
        stable = sum(one["status"] == STABLE for one in instances)
        since = max((one["statusSince"] for one in instances), default=entry.version)
        return {
            "id": entry.path,
            "spec": entry.definition,
            "status": STABLE if stable >= entry.count else DEGRADED,
            "statusSince": since,
            "instances": instances,
            "terminationHistory": self._history(entry),
            "lastUpdated": self._now,
            "lastChanged": since,
        }

    def _history(self, entry: Entry) -> list[dict[str, Any]]:
        state = self._desk.world.apps.get(entry.app_id)
        gone = [
            r
            for r in (state.instances if state is not None else ())
            if r.phase is Phase.GONE and r.identity.slot != RUN_SLOT
        ]
        return [self._termination(entry, record) for record in gone]

    def _termination(self, entry: Entry, record: InstanceRecord) -> dict[str, Any]:
        _, message = ending_of(record)
        ended = time_text(record.gone_at_ms or record.planned_at_ms)
        code = {"exitCode": record.exit_code} if record.exit_code is not None else {}
        return {
            "instanceID": self._name(entry, record),
            "startedAt": time_text(record.started_at_ms or record.planned_at_ms),
            "terminatedAt": ended,
            "message": message,
            "containers": [
                {
                    "containerId": self._task(entry, record, container),
                    "lastKnownState": ending_of(record)[0],
                    "termination": {**code, "message": message},
                }
                for container in entry.definition["containers"]
            ],
        }

    def instance(self, entry: Entry, seen: Seen) -> dict[str, Any]:
        """One instance of a pod."""
        record = seen.record
        status, message = _status_of(entry, seen)
        since = _since(record)
        shown = {
            "id": self._name(entry, record),
            "status": status,
            "statusSince": since,
            "message": message or None,
            "conditions": [],
            "agentHostname": seen.host,
            "agentId": record.identity.node,
            "resources": _resources(entry),
            "networks": _networks(entry, seen),
            "containers": [
                self._container(entry, seen, container)
                for container in entry.definition["containers"]
            ],
            "specReference": f"/v2/pods{entry.path}::versions/{version_of(seen, entry)}",
            "localVolumes": [],
            "lastUpdated": self._now,
            "lastChanged": since,
            "role": entry.definition.get("role", "*"),
        }
        return {key: value for key, value in shown.items() if value is not None}

    def _container(self, entry: Entry, seen: Seen, container: Mapping[str, Any]) -> dict[str, Any]:
        since = _since(seen.record)
        shown: dict[str, Any] = {
            "name": container["name"],
            "status": seen.state,
            "statusSince": since,
            "conditions": _conditions(container, seen, since, self._now),
            "containerId": self._task(entry, seen.record, container),
            "endpoints": _endpoints(entry, container, seen),
            "resources": container.get("resources", {}),
            "lastUpdated": self._now,
            "lastChanged": since,
        }
        return shown

    def _name(self, entry: Entry, record: InstanceRecord) -> str:
        return instance_name(entry.path, run_of(record.identity), home_id=self._desk.world.home_id)

    def _task(self, entry: Entry, record: InstanceRecord, container: Mapping[str, Any]) -> str:
        home_id = self._desk.world.home_id
        return task_name(
            entry.path, run_of(record.identity), home_id=home_id, container=container["name"]
        )


def _status_of(entry: Entry, seen: Seen) -> tuple[str, str]:
    match seen.state:
        case "TASK_STAGING":
            return PENDING, ""
        case "TASK_UNREACHABLE":
            return DEGRADED, _LOST
        case "TASK_KILLING":
            return TERMINAL, ""
        case _:
            checked = any(c.get("healthCheck") for c in entry.definition["containers"])
            return (DEGRADED, _UNWELL) if checked and not seen.alive else (STABLE, "")


def _since(record: InstanceRecord) -> str:
    times = (record.draining_at_ms, record.started_at_ms, record.planned_at_ms)
    return time_text(next(at_ms for at_ms in times if at_ms is not None))


def _resources(entry: Entry) -> dict[str, Any]:
    """What all containers ask for, and the executor."""
    executor = entry.definition.get("executorResources") or {}
    asked = [c.get("resources") or {} for c in entry.definition["containers"]]
    return {
        name: round(sum(one.get(name, 0) for one in (executor, *asked)), 6)
        for name in ("cpus", "mem", "disk", "gpus")
    }


def _networks(entry: Entry, seen: Seen) -> list[dict[str, Any]]:
    addresses = [one["ipAddress"] for one in seen.addresses]
    if not addresses:
        return []
    names = [n.get("name") for n in entry.definition.get("networks", ()) if n.get("name")]
    return [{**({"name": name} if name else {}), "addresses": addresses} for name in names or [""]]


def _conditions(
    container: Mapping[str, Any], seen: Seen, since: str, now: str
) -> list[dict[str, str]]:
    if not container.get("healthCheck") or seen.state in (STAGING, KILLING, UNREACHABLE):
        return []
    reason = "health-unreported-by-mesos" if seen.alive is None else "health-reported-by-mesos"
    return [
        {
            "name": "healthy",
            "value": "true" if seen.alive else "false",
            "reason": reason,
            "lastChanged": since,
            "lastUpdated": now,
        }
    ]


def _endpoints(entry: Entry, container: Mapping[str, Any], seen: Seen) -> list[dict[str, Any]]:
    """Its endpoints: those with a host port first, in order; the one that its check asks last, with what it said."""
    if seen.state == KILLING:
        return []
    ports = iter(seen.host_ports)
    allocated: dict[tuple[str, str], int] = {}
    for one in entry.definition["containers"]:
        for endpoint in one.get("endpoints", ()):
            if endpoint.get("hostPort") is not None:
                number = next(ports, 0)
                allocated[one["name"], endpoint["name"]] = number
    checked = _checked_endpoint(container)
    shown = [
        {"name": e["name"]}
        | _port(allocated.get((container["name"], e["name"])))
        | ({"healthy": bool(seen.alive)} if e["name"] == checked else {})
        for e in container.get("endpoints", ())
    ]
    return sorted(shown, key=lambda e: ("healthy" in e, "allocatedHostPort" not in e))


def _port(number: int | None) -> dict[str, int]:
    return {"allocatedHostPort": number} if number else {}


def _checked_endpoint(container: Mapping[str, Any]) -> str:
    check = container.get("healthCheck") or {}
    asked = check.get("http") or check.get("tcp") or {}
    return str(asked.get("endpoint", ""))
