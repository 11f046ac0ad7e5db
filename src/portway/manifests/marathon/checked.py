"""Checks of Marathon as those of an App."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from portway.core.app import CheckKind, HealthCheck
from portway.manifests.marathon.checks import MARATHON_PROTOCOLS

Body = Mapping[str, Any]

NO_CHECK = HealthCheck(kind=CheckKind.NONE)
_COMMAND_START_S = 1.0  # a command costs more than a connection


def timed(check: Body, *, by_mesos: bool) -> HealthCheck:
    """When a check is made and what its failures mean: the one after `maxConsecutiveFailures` kills.

    `by_mesos`: an agent would make it. It waits for its delay, and 0 failures mean the first one; otherwise none.
    """
    allowed = check["maxConsecutiveFailures"]
    return HealthCheck(
        interval_s=max(float(check["intervalSeconds"]), 1.0),
        timeout_s=max(float(check["timeoutSeconds"]), 1.0),
        start_period_s=float(check["gracePeriodSeconds"]),
        unhealthy_threshold=allowed + 1,
        delay_s=float(check["delaySeconds"]) if by_mesos else 0.0,
        lethal=by_mesos or allowed > 0,
    )


def app_checks(app: Body, names: Sequence[str]) -> tuple[HealthCheck, ...]:
    """The health checks of an app. `names`: of each of its ports the one that is asked over TCP."""
    return tuple(_app_check(check, app, names) for check in app.get("healthChecks") or ())


def _app_check(check: Body, app: Body, names: Sequence[str]) -> HealthCheck:
    protocol = check["protocol"]
    found = timed(check, by_mesos=protocol not in MARATHON_PROTOCOLS)
    if protocol == "COMMAND":
        return as_command(found, ("CMD-SHELL", check["command"]["value"]))
    kind = CheckKind(protocol.removeprefix("MESOS_").lower())
    name = names[_index(check, app)]
    return _asking(found, kind, name, check.get("path"))


def _index(check: Body, app: Body) -> int:
    """Which port is asked: by number, by index, or the first."""
    number = check.get("port")
    if not number:
        return check.get("portIndex") or 0
    mappings = (app.get("container") or {}).get("portMappings")
    specs: Sequence[Body] = (app.get("portDefinitions") or ()) if mappings is None else mappings
    fits = (
        nth
        for key in ("port", "containerPort", "hostPort")
        for nth, spec in enumerate(specs)
        if spec.get(key) == number
    )
    return next(fits, check.get("portIndex") or 0)


def _asking(check: HealthCheck, kind: CheckKind, name: str, path: str | None) -> HealthCheck:
    path = "/" if kind is CheckKind.TCP else path or "/"
    return replace(check, kind=kind, port_name=name, path=path if path.startswith("/") else f"/{path}")  # fmt: skip


def as_command(check: HealthCheck, words: Sequence[str]) -> HealthCheck:
    """The check as one that runs a command in the instance."""
    return replace(check, kind=CheckKind.COMMAND, command=tuple(words), start_interval_s=_COMMAND_START_S)  # fmt: skip


def readiness_of(app: Body, names: Mapping[str, str]) -> HealthCheck | None:
    """The readiness check of an app. `names`: of its ports, by the names it gave them."""
    checks: Sequence[Body] = app.get("readinessChecks") or ()
    if not checks:
        return None
    check = checks[0]
    path = check["path"]
    return HealthCheck(
        kind=CheckKind(check["protocol"].lower()),
        port_name=names[check["portName"]],
        path=path if path.startswith("/") else f"/{path}",
        statuses=tuple((code, code) for code in check["httpStatusCodesForReady"]),
        interval_s=float(check["intervalSeconds"]),
        timeout_s=float(check["timeoutSeconds"]),
    )


def pod_check(check: Body, names: Mapping[str, str]) -> HealthCheck:
    """The health check of a pod's container. `names`: of its endpoints, the ports that are asked over TCP."""
    found = timed(check, by_mesos=True)
    http, tcp = check.get("http"), check.get("tcp")
    if http is not None:
        kind = CheckKind(http["scheme"].lower())
        return _asking(found, kind, names[http["endpoint"]], http.get("path"))
    if tcp is not None:
        return _asking(found, CheckKind.TCP, names[tcp["endpoint"]], None)
    command = check["exec"]["command"]
    shell = command.get("shell")
    return as_command(found, ("CMD-SHELL", shell) if shell is not None else ("CMD", *command["argv"]))  # fmt: skip
