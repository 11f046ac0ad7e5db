"""Looks at one running instance from outside: where its traffic goes, what is open there, what answers. Concludes nothing."""

from __future__ import annotations

import asyncio

from portway.controller.why.asking import ASK_TIMEOUT_S, ask
from portway.controller.why.firewall import read_firewall
from portway.controller.why.listening import is_frozen, look_inside, process_of
from portway.core.app import App, CheckKind, ListenerProtocol, PortSpec, Protocol
from portway.core.facts import Answer, Inside, Reached
from portway.core.instance import EngineState, InstanceRecord, ObservedInstance
from portway.core.ports import Lease
from portway.core.state import AppState

_SILENT = (Reached.TIMEOUT, Reached.BLOCKED, Reached.UNREACHABLE)
# Asking these for a page by HTTP would only fill their logs.
STREAM_PORTS = frozenset(
    {21, 22, 25, 53, 110, 143, 389, 465, 587, 993, 995, 1433, 1521, 1883, 2181, 3306, 4222, 5432}
    | {5672, 6379, 6380, 9042, 9092, 11211, 26257, 27017}
)


async def inspect(
    state: AppState,
    record: InstanceRecord,
    seen: ObservedInstance,
    *,
    timeout_s: float = ASK_TIMEOUT_S,
) -> Inside | None:
    """What is found at the instance's most important TCP port; None when it has none or does not run here."""
    revision = state.revisions.get(record.identity.revision)
    lease = checked_lease(revision.app, record) if revision else None
    if revision is None or lease is None or not seen.address:
        return None
    if seen.state is not EngineState.RUNNING or not process_of(seen.details):
        return None
    address, number, is_container = way_to(seen, lease)
    expects = expected(revision.app, lease)
    path = revision.app.health.path if expects else "/"
    listeners = await asyncio.to_thread(look_inside, seen.details)
    answer = await ask(address, number, expects=expects, path=path, timeout_s=timeout_s)
    return Inside(
        name=revision.app.name,
        address=address,
        port_number=number,
        is_container=is_container,
        host_ports=tuple(one.host_port for one in record.identity.leases),
        listeners=listeners,
        answer=answer,
        is_frozen=await asyncio.to_thread(is_frozen, seen.details),
        rule=await _dropping_rule(address, number, answer),
        expects=expects,
        label_number=_label_number(revision.app, lease),
    )


def way_to(seen: ObservedInstance, lease: Lease) -> tuple[str, int, bool]:
    """Address and number to look at, and whether they are a container's own.

    Where several containers have an address each, it is that of the one that is looked into.
    """
    looked_into = seen.details.get("container", "-")
    for one in seen.containers:
        binds = any(bound.host_port == lease.host_port for bound in one.bindings)
        if binds and one.address and one.container_id.startswith(looked_into):
            return one.address, lease.container_port, True
    if seen.reaches_container:
        return seen.address, lease.container_port, True
    return seen.address, lease.host_port, False


def _label_number(app: App, lease: Lease) -> int:
    """Labels name a port by its listener's number, or its own where portway chooses the listener."""
    spec = next((one for one in app.ports if one.name == lease.port_name), None)
    return spec.service_ports[0] if spec and spec.service_ports else lease.container_port


async def _dropping_rule(address: str, number: int, answer: Answer) -> str:
    if answer.reached not in _SILENT:
        return ""
    firewall = await read_firewall()
    return firewall.dropping_rule(address, number) if firewall else ""


def checked_lease(app: App, record: InstanceRecord) -> Lease | None:
    """The lease of the port that is checked, else the first TCP one."""
    leases = [lease for lease in record.identity.leases if lease.protocol is Protocol.TCP]
    named = [lease for lease in leases if lease.port_name == app.health.port_name]
    return next(iter(named or leases), None)


def expected(app: App, lease: Lease) -> str:
    """What is spoken to the instance at that port: "http", "https", or "" for whatever its clients speak."""
    match app.health.kind:
        case CheckKind.HTTP:
            return "http"
        case CheckKind.HTTPS:
            return "https"
        case _:
            spec = next((one for one in app.ports if one.name == lease.port_name), None)
            return _spoken(spec) if spec else ""


def _spoken(spec: PortSpec) -> str:
    if spec.listener.secure:
        return "https"
    inner_http = spec.listener.protocol in (ListenerProtocol.HTTP, ListenerProtocol.HTTPS)
    # The PROXY protocol comes before anything else there; our own question would be refused.
    return "http" if inner_http and not spec.listener.proxy_protocol else ""
