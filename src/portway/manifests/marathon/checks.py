"""The rules of an app's checks: health, readiness, and the one that only tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portway.manifests.marathon.refusal import Violation

Body = Mapping[str, Any]

MARATHON_PROTOCOLS = ("HTTP", "HTTPS", "TCP")
MESOS_PROTOCOLS = ("MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP")
BAD_INDEX = "Health check port indices must address an element of the ports array or container port mappings."
_BAD_IP = "IPv6 can only be used for container type DOCKER and Mesos http/https/tcp health checks"


def ports_said(app: Body) -> Sequence[Body]:
    """The port mappings of an app, or its port definitions where its container has no list of mappings."""
    mappings = (app.get("container") or {}).get("portMappings")
    return (app.get("portDefinitions") or ()) if mappings is None else mappings


def check_faults(app: Body) -> Iterator[Violation]:
    """Every violation of an app's checks."""
    checks: Sequence[Body] = app.get("healthChecks") or ()
    is_docker = (app.get("container") or {}).get("type") == "DOCKER"
    many = len(ports_said(app))
    for nth, check in enumerate(checks):
        if not _finds_its_port(check, many):
            yield Violation(where=("healthChecks", nth), error=BAD_INDEX)
        by_mesos = check["protocol"] in MESOS_PROTOCOLS
        if check["ipProtocol"] == "IPv6" and not (by_mesos and is_docker):
            yield Violation(where=("healthChecks", nth), error=_BAD_IP)
    if sum(check["protocol"] in MESOS_PROTOCOLS for check in checks) > 1:
        yield Violation(where=(), error="AppDefinition can contain at most one Mesos health check")
    if app.get("check") and is_docker:
        yield Violation(where=(), error="AppDefinition must not use 'checks' if using docker")
    yield from _readiness_faults(app)


def _finds_its_port(check: Body, many: int) -> bool:
    if check.get("command") is not None or check["protocol"] not in MARATHON_PROTOCOLS:
        return True
    index = check.get("portIndex")
    if index is not None:
        return index < many
    return check.get("port") is not None or many == 1


def mesos_check_faults(app: Body) -> Iterator[Violation]:
    """Of the checks that an agent would run: an index they name is there."""
    many = len(ports_said(app))
    for nth, check in enumerate(app.get("healthChecks") or ()):
        if check["protocol"] in MESOS_PROTOCOLS and (check.get("portIndex") or 0) >= max(many, 1):
            yield Violation(where=("healthChecks", nth), error=BAD_INDEX)


def _readiness_faults(app: Body) -> Iterator[Violation]:
    checks: Sequence[Body] = app.get("readinessChecks") or ()
    if len(checks) > 1:
        yield Violation(where=("readinessChecks",), error=f"got {len(checks)}, expected 1 or less")
    names = {each.get("name") for each in ports_said(app)}
    for nth, check in enumerate(checks):
        name, timeout_s, interval_s = check["portName"], check["timeoutSeconds"], check["intervalSeconds"]  # fmt: skip
        if name not in names:
            told = f"No port definition reference for portName {name}"
            yield Violation(where=("readinessChecks", nth, "portName"), error=told)
        if timeout_s >= interval_s:
            told = f"got {timeout_s}, expected less than {interval_s}"
            yield Violation(where=("readinessChecks", nth, "timeoutSeconds"), error=told)
