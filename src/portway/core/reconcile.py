"""reconcile(): one look at one App. The way into the planner; reads as the story of a deployment.

State and observation in, a Plan out; no memory of how we got here. A crash between any two steps is
repaired by the next call, because what was decided is in the state and what was done is observed.
"""

from __future__ import annotations

from collections.abc import Mapping

from portway.core.app import PortSpec
from portway.core.deployment import judge_deployment
from portway.core.draft import Draft
from portway.core.instance import EngineState, InstanceRecord, Phase
from portway.core.lifecycle import connections_of, is_absent_from_routes, note_what_happened
from portway.core.node_rules import count_daemons
from portway.core.observed import Observed
from portway.core.plan import ApplyRoutes, Plan, StartInstance, StopInstance
from portway.core.pooled import endpoints_in_pools
from portway.core.ports import LOOPBACK, Lease, PortPool, PortRefusal, PortRequest
from portway.core.routes import EndpointState, Route, RouteKey, ServedRoute
from portway.core.routing import is_routed
from portway.core.state import AppState, Revision
from portway.core.stepwise import plan_instances

BALANCER_NODE = "balancer"


def reconcile(
    state: AppState,
    observed: Observed,
    *,
    host_pool: PortPool,
    service_pool: PortPool,
    now_ms: int,
) -> Plan:
    """What to decide, do and wait for, so that the App comes nearer to what it should be.

    An engine that cannot be listed proves nothing: then nothing is started, stopped or removed.
    """
    draft = Draft(state, observed, host_pool=host_pool, service_pool=service_pool, now_ms=now_ms)
    if observed.instances is None:
        draft.block(f"{observed.unseen}, so nothing is changed")
        draft.wake_at(now_ms + 1000)
        return draft.plan()
    _keep_revisions(draft)
    before = draft.state
    note_what_happened(draft)
    count_daemons(draft)
    _assign_listeners(draft)
    judge_deployment(draft)
    plan_instances(draft)
    _retire(draft)
    judge_deployment(draft)
    if draft.state is not before:
        _keep_revisions(draft)
    _act(draft)
    return draft.plan()


def _keep_revisions(draft: Draft) -> None:
    """Keep the specs somebody still runs or may go back to, and no others."""
    state = draft.state
    wanted = {record.identity.revision for record in draft.live}
    if state.deployment is not None and state.deployment.from_revision:
        wanted.add(state.deployment.from_revision)
    kept: dict[str, Revision] = {
        key: revision for key, revision in state.revisions.items() if key in wanted
    }
    if state.target is not None:
        kept[state.target.id] = state.target
    if kept != state.revisions:
        draft.change(revisions=kept)


def _assign_listeners(draft: Draft) -> None:
    """Give every routed port its listener; a port keeps its listener over redeploys (invariant 6)."""
    if draft.app is None:
        return
    for spec in filter(is_routed, draft.app.ports):
        if spec.service_ports or spec.name in draft.state.service_ports:
            continue
        lease = _propose_listener(draft, spec)
        if lease is not None:
            ports = {**draft.state.service_ports, spec.name: lease.host_port}
            draft.change(service_ports=ports)
            draft.taken.append(lease)


def _propose_listener(draft: Draft, spec: PortSpec) -> Lease | None:
    request = PortRequest(
        port_name=spec.name,
        protocol=spec.protocol,
        container_port=spec.container_port,
        address=spec.address or LOOPBACK,
    )
    leases = draft.service_pool.propose(
        BALANCER_NODE,
        [request],
        now_ms=draft.now_ms,
        occupied=draft.observed.occupied,
        pending=draft.taken,
    )
    if isinstance(leases, PortRefusal):
        draft.block(leases.reason)
        return None
    return leases[0]


def _retire(draft: Draft) -> None:
    """DRAINING -> STOPPING once nobody is connected any more, or has been for too long."""
    for record in draft.live:
        if record.phase is not Phase.DRAINING or draft.observed.served is None:
            continue
        connections = connections_of(draft, record)
        deadline_ms = _drain_deadline_ms(draft, record)
        idle = not any(connections.values()) and _is_drained_state(draft, record)
        if idle:
            draft.advance(record, Phase.STOPPING)
        elif draft.now_ms >= deadline_ms:
            left = sum(connections.values())
            # Where nothing drains the time is over before the balancer has said anything.
            reason = f"{left} connections were still open after the drain timeout" if left else ""
            draft.advance(record, Phase.STOPPING, reason=reason)
        else:
            draft.wake_at(min(deadline_ms, draft.now_ms + 50))


def _is_drained_state(draft: Draft, record: InstanceRecord) -> bool:
    """Whether every listener that has the instance confirms that it gets nothing new."""
    routed = all(
        endpoint.state is EndpointState.DRAINING
        for route in (draft.observed.served or {}).values()
        for endpoint in route.endpoints
        if endpoint.instance_id == record.id
    )
    return routed and all(
        endpoint.state is EndpointState.DRAINING
        for _, endpoint in endpoints_in_pools(draft.observed, record.id)
    )


def _drain_deadline_ms(draft: Draft, record: InstanceRecord) -> int:
    revision = draft.state.revisions.get(record.identity.revision)
    timeout_s = revision.app.rollout.drain_timeout_s if revision else 60.0
    if draft.observed.drain_timeout_s is not None:
        timeout_s = draft.observed.drain_timeout_s
    return (record.draining_at_ms or draft.now_ms) + int(timeout_s * 1000)


def _act(draft: Draft) -> None:
    """The actions that follow from the decisions: routes first, for nothing is stopped while routed."""
    if _routes_differ(draft, draft.routes):
        draft.act(ApplyRoutes(app_id=draft.state.app_id, routes=draft.routes))
    if draft.observed.route_error:
        draft.block(draft.observed.route_error)
        draft.wake_at(draft.now_ms + 2000)
    for record in draft.live:
        if record.phase is Phase.STOPPING:
            _stop(draft, record)
        elif record.phase is Phase.PLANNED:
            _start(draft, record)


def _start(draft: Draft, record: InstanceRecord) -> None:
    failure = draft.observed.start_failures.get(record.id)
    if failure is not None and (failure.retry_at_ms is None or failure.retry_at_ms > draft.now_ms):
        return
    revision = draft.state.revisions.get(record.identity.revision)
    seen = (draft.observed.instances or {}).get(record.id)
    if revision is not None and (seen is None or seen.state is EngineState.CREATED):
        draft.act(StartInstance(identity=record.identity, revision=revision))


def _stop(draft: Draft, record: InstanceRecord) -> None:
    if not is_absent_from_routes(draft, record):
        draft.wake_at(draft.now_ms + 100)
        return
    revision = draft.state.revisions.get(record.identity.revision)
    draft.act(
        StopInstance(
            instance_id=record.id,
            signal=revision.app.stop_signal if revision else "SIGTERM",
            grace_s=revision.app.stop_grace_s if revision else 10.0,
        )
    )


def _routes_differ(draft: Draft, routes: tuple[Route, ...]) -> bool:
    """Whether the balancer must be told: it serves something else, or was told something else."""
    if draft.observed.served is None:
        return False
    if draft.observed.applied is not None and draft.observed.applied != routes:
        return True
    return _serving(draft.observed.served) != _wanted(routes)


def _wanted(routes: tuple[Route, ...]) -> dict[RouteKey, frozenset[tuple[object, ...]]]:
    return {
        route.key: frozenset(
            (e.instance_id, e.address, e.port_number, e.state) for e in route.endpoints
        )
        for route in routes
    }


def _serving(
    served: Mapping[RouteKey, ServedRoute],
) -> dict[RouteKey, frozenset[tuple[object, ...]]]:
    return {
        key: frozenset((e.instance_id, e.address, e.port_number, e.state) for e in route.endpoints)
        for key, route in served.items()
    }
