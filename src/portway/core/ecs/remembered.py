"""What is known of a task that has stopped when its engine has nothing of it any more: what was decided, and how it ended. Pure."""

from __future__ import annotations

import re

from portway.core.app import App
from portway.core.containers import OUT_OF_MEMORY, first_name, members
from portway.core.instance import (
    EngineState,
    InstanceRecord,
    ObservedContainer,
    ObservedInstance,
    Phase,
    PortBinding,
)
from portway.core.lease import Lease

_WHO = re.compile(r"its container (\S+?):? ")  # how a reason names one of several


def remembered(record: InstanceRecord, app: App) -> ObservedInstance | None:
    """The instance as it must have been at its end; None while it lives, or where it never ran."""
    if record.phase is not Phase.GONE:
        return None
    if record.started_at_ms is None and record.exit_code is None:
        return None
    named = _WHO.match(record.reason)
    ended_by = named[1] if named and app.containers else first_name(app)
    return ObservedInstance(
        identity=record.identity,
        state=EngineState.EXITED,
        exit_code=record.exit_code,
        containers=tuple(_container(record, app, m.name, ended_by) for m in members(app)),
    )


def _container(record: InstanceRecord, app: App, name: str, ended_by: str) -> ObservedContainer:
    ports = _port_names(app, name)
    return ObservedContainer(
        name=name,
        state=EngineState.EXITED,
        exit_code=record.exit_code if name == ended_by else None,
        oom_killed=name == ended_by and OUT_OF_MEMORY in record.reason,
        started_at_ms=record.started_at_ms,
        finished_at_ms=record.gone_at_ms,
        bindings=tuple(_binding(x) for x in record.identity.leases if x.port_name in ports),
    )


def _port_names(app: App, container: str) -> frozenset[str]:
    first = first_name(app)
    return frozenset(spec.name for spec in app.ports if (spec.container or first) == container)


def _binding(lease: Lease) -> PortBinding:
    return PortBinding(
        container_port=lease.container_port,
        host_port=lease.host_port,
        protocol=lease.protocol,
        address=lease.address,
    )
