"""Instances -> endpoints -> routes: who is behind which listener. Computed from what runs, never from the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from portway.core.app import (
    App,
    CheckKind,
    Exposure,
    ListenerProtocol,
    ListenerSpec,
    PortSpec,
    Protocol,
)
from portway.core.health import Health, HealthStatus, is_confirmed
from portway.core.instance import InstanceRecord, ObservedInstance, Phase
from portway.core.known_ports import with_what_is_known
from portway.core.marathon.environment import own_number
from portway.core.observed import Observed
from portway.core.ports import LOOPBACK
from portway.core.routes import Endpoint, EndpointState, Route, RouteKey
from portway.core.state import AppState
from portway.core.strategy import standby_ids


def is_routed(spec: PortSpec) -> bool:
    """Whether the balancer serves this port; UDP and HOST ports are the engine's alone."""
    is_served = spec.exposure is not Exposure.HOST and spec.protocol is Protocol.TCP
    return is_served and not spec.unserved


def route_keys(
    spec: PortSpec, service_ports: Mapping[str, int]
) -> tuple[tuple[RouteKey, int | None], ...]:
    """The listeners of one port, each with the slot it serves (None: all of them).

    Several service ports are a pool: the n-th belongs to slot n. None yet assigned: no listener.
    """
    address, numbers = _listener_address(spec), _listener_numbers(spec, service_ports)
    pool = len(numbers) > 1
    return tuple(
        (RouteKey(address=address, service_port=number), nth if pool else None)
        for nth, number in enumerate(numbers, start=1)
    )


def joint_key(spec: PortSpec) -> RouteKey | None:
    """The listener that a port shares with other Apps."""
    if spec.joint is None:
        return None
    return RouteKey(address=_listener_address(spec), service_port=spec.joint.service_port)


def _listener_address(spec: PortSpec) -> str:
    return LOOPBACK if spec.exposure is Exposure.INTERNAL else spec.address or ""


def _listener_numbers(spec: PortSpec, service_ports: Mapping[str, int]) -> tuple[int, ...]:
    if spec.service_ports:
        return spec.service_ports
    assigned = service_ports.get(spec.name)
    return (assigned,) if assigned else ()


def _has_listener(spec: PortSpec, key: RouteKey, service_ports: Mapping[str, int]) -> bool:
    numbers = _listener_numbers(spec, service_ports)
    return key.service_port in numbers and key.address == _listener_address(spec)


def wants_listener(state: AppState) -> bool:
    """Whether a port of the App still waits for portway to choose its listener."""
    return state.target is not None and any(
        is_routed(spec) and not spec.service_ports and spec.name not in state.service_ports
        for spec in state.target.app.ports
    )


def project_routes(state: AppState, observed: Observed) -> tuple[Route, ...]:
    """Every route of an App, ordered by listener.

    Listeners are those of the target revision and, while older revisions still run, theirs too: a
    listener that a new release drops goes only with the last instance that served it.
    """
    unwanted = state.target is None or state.leaving or state.called_off
    if unwanted and not state.live:
        return ()
    candidates = _candidates(state, observed)
    routes: dict[RouteKey, Route] = {}
    for app in specs_of(state):
        for spec in filter(is_routed, app.ports):
            for key, slot in route_keys(spec, state.service_ports):
                if key not in routes:
                    endpoints = _endpoints(state, candidates, key, slot)
                    routes[key] = _route(state, observed, app, spec, key, endpoints)
    return tuple(routes[key] for key in sorted(routes))


def specs_of(state: AppState) -> Iterable[App]:
    """The target's spec, then those of whatever else still runs, each once, the newest first."""
    target_id = None
    if state.target is not None:
        target_id = state.target.id
        yield state.target.app
    others = [r for r in state.live if r.identity.revision != target_id]
    others.sort(key=lambda r: -r.identity.serial)
    for revision_id in dict.fromkeys(r.identity.revision for r in others):
        if revision_id in state.revisions:
            yield state.revisions[revision_id].app


def listener_of(app: App, spec: PortSpec) -> ListenerSpec:
    """How the balancer treats a port. One whose health is asked for by HTTP speaks HTTP and nothing else.

    A listener that finds out by the first bytes takes a client who says nothing at first for a stream, and
    a stream's headers are the client's own; unless the numbers say that it is about to speak HTTP.
    """
    asked = app.health.port_name or next((one.name for one in app.ports if _is_tcp(one)), None)
    finds_out = spec.listener.protocol is ListenerProtocol.AUTO
    if finds_out and app.health.kind is CheckKind.HTTP and spec.name == asked:
        return replace(spec.listener, protocol=ListenerProtocol.HTTP)
    return with_what_is_known(spec)


def _is_tcp(spec: PortSpec) -> bool:
    return spec.protocol is Protocol.TCP


def _route(
    state: AppState,
    observed: Observed,
    app: App,
    spec: PortSpec,
    key: RouteKey,
    endpoints: tuple[Endpoint, ...],
) -> Route:
    return Route(
        key=key,
        owner=state.app_id,
        port_name=spec.name,
        listener=listener_of(app, spec),
        certificates=observed.certificates.get(key.service_port, ()),
        endpoints=endpoints,
    )


# Which may get traffic, as it runs, and whether it only stands by.
_Candidate = tuple[InstanceRecord, ObservedInstance, bool]


def _candidates(state: AppState, observed: Observed) -> list[_Candidate]:
    """Whoever may be behind a listener, by slot; the same for all of the App's listeners."""
    instances = observed.instances or {}
    kept_out = kept_out_ids(state, observed)
    running = [r for r in state.live if r.id in instances and r.unreachable_since_ms is None]
    running.sort(key=lambda r: (r.identity.slot, r.identity.serial))
    usable = [r for r in running if r.id not in kept_out]
    # Whoever fails gets nothing new, but may answer what it has been asked.
    standby = standby_ids(state, usable) | kept_out
    return [(r, instances[r.id], r.id in standby) for r in running]


def _endpoints(
    state: AppState, candidates: list[_Candidate], key: RouteKey, slot: int | None
) -> tuple[Endpoint, ...]:
    specs = {name: _spec_behind(key, it.app, state) for name, it in state.revisions.items()}
    endpoints: list[Endpoint] = []
    for record, seen, stands_by in candidates:
        spec = specs.get(record.identity.revision)
        if spec is None or slot not in (None, record.identity.slot):
            continue
        endpoint = _endpoint(record, seen, state.revisions[record.identity.revision].app, spec)
        if endpoint is not None and stands_by:
            endpoint = replace(endpoint, state=EndpointState.DRAINING)
        if endpoint is not None:
            endpoints.append(endpoint)
    return tuple(endpoints)


def kept_out_ids(state: AppState, observed: Observed) -> frozenset[str]:
    """The instances to keep traffic from: those that fail, and those that say that they are not ready.

    When every one that has been healthy fails, none is: taking the whole App out on the word of its
    checks helps nobody (ELB calls it fail-open). So it is when all that are healthy are not ready.
    More than half go only once a second round of checks has said the same.
    """
    candidates = [r for r in state.instances if r.phase is Phase.READY]
    ids = [r.id for r in candidates]
    ill, not_ready = failing_among(observed, ids), unready_among(observed, ids)
    if not (ill or not_ready):
        return frozenset()
    failing = [r for r in candidates if r.id in ill]
    sound = [r for r in candidates if r.id not in ill]
    unready = [r for r in sound if r.id in not_ready]
    if not sound or not (failing or unready):
        return frozenset()
    out = failing if len(unready) == len(sound) else failing + unready
    doubtful = [r for r in out if not _is_confirmed(state, observed, r)]
    believed = max(0, len(candidates) // 2 - (len(out) - len(doubtful)))
    doubtful.sort(key=lambda r: (r not in failing, _since_ms(observed, r)))
    return frozenset(r.id for r in out) - {r.id for r in doubtful[believed:]}


def _is_confirmed(state: AppState, observed: Observed, record: InstanceRecord) -> bool:
    revision = state.revisions.get(record.identity.revision)
    verdict = _against(observed, record)
    if revision is None or verdict is None:
        return False
    check = revision.app.health
    if not is_failing(observed, record.id):
        check = revision.app.readiness or check
    return is_confirmed(verdict, check)


def _since_ms(observed: Observed, record: InstanceRecord) -> int:
    verdict = _against(observed, record)
    return verdict.since_ms if verdict else 0


def _against(observed: Observed, record: InstanceRecord) -> Health | None:
    """The verdict that speaks against an instance."""
    verdicts = observed.health if is_failing(observed, record.id) else observed.readiness
    return verdicts.get(record.id)


def is_failing(observed: Observed, instance_id: str) -> bool:
    """Whether the judge's verdict on the instance is FAILING."""
    health = observed.health.get(instance_id)
    return health is not None and health.status is HealthStatus.FAILING


def failing_among(observed: Observed, instance_ids: Iterable[str]) -> frozenset[str]:
    """Those of them that fail."""
    return _fail_in(observed.health, instance_ids)


def unready_among(observed: Observed, instance_ids: Iterable[str]) -> frozenset[str]:
    """Those of them that say that they are not ready. One that was not asked yet does not say so."""
    return _fail_in(observed.readiness, instance_ids)


def _fail_in(verdicts: Mapping[str, Health], instance_ids: Iterable[str]) -> frozenset[str]:
    if not verdicts:
        return frozenset()
    return frozenset(
        [
            i
            for i in instance_ids
            if (verdict := verdicts.get(i)) is not None and verdict.status is HealthStatus.FAILING
        ]
    )


def _spec_behind(key: RouteKey, app: App, state: AppState) -> PortSpec | None:
    """The port of a revision that a listener leads to."""
    for spec in filter(is_routed, app.ports):
        if _has_listener(spec, key, state.service_ports):
            return spec
    return None


def _endpoint(
    record: InstanceRecord, seen: ObservedInstance, app: App, spec: PortSpec
) -> Endpoint | None:
    if record.phase not in (Phase.READY, Phase.DRAINING) or record.ready_at_ms is None:
        return None
    port_number = number_of(record, app, spec, reaches_container=seen.reaches_container)
    if port_number is None or not seen.address:
        return None
    return Endpoint(
        instance_id=record.id,
        address=seen.address,
        port_number=port_number,
        state=EndpointState.READY if record.phase is Phase.READY else EndpointState.DRAINING,
    )


def number_of(
    record: InstanceRecord, app: App, spec: PortSpec, *, reaches_container: bool
) -> int | None:
    """Under which number a port of an instance answers; None where it cannot be reached.

    One without a host port and a number of its own has the number that the instance was told (Marathon).
    """
    for lease in record.identity.leases:
        if lease.port_name == spec.name:
            return lease.container_port if reaches_container else lease.host_port
    if spec.leased and not reaches_container:
        return None
    return spec.container_port or own_number(app, record.identity, spec.name) or None
