"""World -> views: what people and programs are shown. Pure; shows no secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from portway.controller.present_containers import present_containers
from portway.controller.published import published_route
from portway.controller.views import (
    AppView,
    CertificateView,
    DeploymentView,
    InstanceView,
    MapEndpoint,
    MapRoute,
    PortView,
    ReleaseView,
    StackView,
)
from portway.controller.world import World, short_id
from portway.core.app import Exposure, ListenerProtocol, PortSpec
from portway.core.health import Health, HealthStatus
from portway.core.instance import EngineState, InstanceRecord, ObservedInstance, Phase
from portway.core.lifecycle import has_completed
from portway.core.ports import LOOPBACK, normal_address
from portway.core.redaction import shown_command, shown_details
from portway.core.routes import EndpointState, RouteKey, ServedEndpoint
from portway.core.routing import is_routed, route_keys
from portway.core.stack import Certificate, Release
from portway.core.starting import is_crash_looping
from portway.core.state import AppState, Deployment, DeploymentStatus, Revision
from portway.core.strategy import is_midway, is_paused, steps_of

_UNWELL = {"failed", "blocked", "degraded", "crash looping"}
LONG_UNHEALTHY_FAILURES = 20  # of checks that are made several times a second


def present_stack(world: World, name: str, *, now_ms: int) -> StackView:
    """One stack with its Apps."""
    stack = world.stacks[name]
    apps = tuple(present_app(world, state, now_ms=now_ms) for state in world.of_stack(name))
    return StackView(
        name=name,
        status=_stack_status(world, name, apps),
        release=stack.active_release or "",
        created_at_ms=stack.created_at_ms,
        apps=apps,
        urls=tuple(_public_urls(world, name)),
        loose=stack.loose,
    )


def _public_urls(world: World, name: str) -> Iterator[str]:
    for state in world.of_stack(name):
        for spec in state.target.app.ports if state.target else ():
            if spec.exposure is Exposure.PUBLIC and is_routed(spec):
                for key, _ in route_keys(spec, state.service_ports):
                    yield _url(spec, key, "", tls=_is_tls(world, state, spec, key))


def _stack_status(world: World, name: str, apps: tuple[AppView, ...]) -> str:
    stack = world.stacks[name]
    statuses = {app.status for app in apps}
    if stack.deleting:
        return "deleting"
    if not apps:
        return "new"
    if "paused" in statuses:
        return "paused"
    if stack.promoting or "deploying" in statuses:
        return "deploying"
    if "failed" in statuses and stack.active_release is None and not stack.loose:
        return "failed"
    return "degraded" if statuses & _UNWELL else "running"


def present_app(world: World, state: AppState, *, now_ms: int) -> AppView:
    """One App, with what keeps it from being as it should."""
    app = state.target.app if state.target else None
    running = [r for r in state.live if Phase.STARTED <= r.phase < Phase.DRAINING]
    healthy = [r for r in running if is_healthy(world, r)]
    return AppView(
        name=state.app_id.rpartition("/")[2],
        count=state.count if app else 0,
        running=len(running),
        healthy=len(healthy),
        release=state.target.release if state.target else "",
        image=(app.image or "") if app else "",
        status=_app_status(world, state, len(healthy), now_ms=now_ms),
        blocked="; ".join(_blocks(world, state)),
        ports=tuple(present_port(spec, state) for spec in app.ports) if app else (),
        deployment=present_deployment(world, state),
    )


def _blocks(world: World, state: AppState) -> tuple[str, ...]:
    """What keeps the App from moving; a store that cannot be written keeps a deployment from going on."""
    deployment = state.deployment
    running = deployment is not None and deployment.status is DeploymentStatus.RUNNING
    store = world.problems.get("store", "") if running else ""
    return (*world.blocked.get(state.app_id, ()), *([store] if store else []))


def _app_status(world: World, state: AppState, healthy: int, *, now_ms: int) -> str:
    deployment = state.deployment
    if state.target is None:
        return "deleting"
    if deployment is not None and deployment.status is DeploymentStatus.RUNNING:
        return "paused" if is_paused(state) else "deploying"
    if state.halted:
        return "failed"
    if state.count == 0:
        return "stopped"
    completed = sum(1 for r in state.instances if has_completed(r))
    if completed >= state.count and not healthy:
        return "completed"
    if is_crash_looping(state, now_ms=now_ms):
        return "crash looping"
    if healthy + completed >= state.count:
        return "blocked" if state.app_id in world.route_errors else "running"
    return "blocked" if world.blocked.get(state.app_id) else "degraded"


def is_healthy(world: World, record: InstanceRecord) -> bool:
    """Whether an instance has been healthy and is known neither to fail nor to want no traffic now."""
    return (
        record.phase is Phase.READY and not is_ill(world, record) and not _is_unready(world, record)
    )


def is_ill(world: World, record: InstanceRecord) -> bool:
    """Whether the verdict on the instance is that it fails."""
    health = world.health.get(record.id)
    return health is not None and health.status is HealthStatus.FAILING


def _is_unready(world: World, record: InstanceRecord) -> bool:
    """Whether an instance that is well says that it is not ready, or, at its start, has not said yet that it is."""
    readiness = world.readiness.get(record.id)
    if readiness is None or record.phase > Phase.READY or is_ill(world, record):
        return False
    if record.phase is Phase.READY:
        return readiness.status is HealthStatus.FAILING
    health = world.health.get(record.id, Health())
    return health.status is HealthStatus.PASSING and readiness.status is not HealthStatus.PASSING


def present_deployment(world: World, state: AppState) -> DeploymentView | None:
    """The App's latest deployment."""
    deployment = state.deployment
    if deployment is None:
        return None
    fresh = [
        r
        for r in state.live
        if r.identity.revision == deployment.to_revision and r.phase < Phase.DRAINING
    ]
    old = [r for r in state.live if r not in fresh]
    return DeploymentView(
        id=deployment.id,
        app=state.app_id.rpartition("/")[2],
        release=deployment.release,
        status=deployment.status.value,
        reason=deployment.reason or _why_not_healthy(world, fresh),
        desired=state.count if state.target else 0,
        started=sum(1 for r in fresh if r.phase > Phase.PLANNED),
        healthy=sum(1 for r in fresh if is_healthy(world, r)) + _completed(state, deployment),
        old=len(old),
        started_at_ms=deployment.started_at_ms,
        ended_at_ms=deployment.ended_at_ms,
        paused=is_paused(state),
        **_step_fields(state, deployment),
    )


def _step_fields(state: AppState, deployment: Deployment) -> dict[str, Any]:
    """Where a deployment by steps is; of one that has ended or has no steps, only its strategy."""
    strategy = deployment.strategy
    fields: dict[str, Any] = {"strategy": strategy.kind.value}
    counts = steps_of(state)
    if not is_midway(state):
        return fields
    since_ms = deployment.baking_since_ms
    stage = "starting" if since_ms is None else "holding" if strategy.hold else "baking"
    ends = since_ms is not None and not strategy.hold
    return {
        **fields,
        "step": deployment.step + 1,
        "steps": len(counts),
        "step_wanted": counts[deployment.step],
        "stage": stage,
        "bake_ends_at_ms": (since_ms or 0) + int(strategy.bake_s * 1000) if ends else None,
    }


def _why_not_healthy(world: World, records: Sequence[InstanceRecord]) -> str:
    """What keeps one of them from being healthy, once its checks have failed for a few seconds."""
    for record in records:
        health = world.health.get(record.id, Health())
        if record.phase < Phase.READY and health.failures >= LONG_UNHEALTHY_FAILURES:
            explanation = world.explanations.get(record.id, "")
            return "; ".join(part for part in (health.detail, explanation) if part)
        readiness = world.readiness.get(record.id, Health())
        if _is_unready(world, record) and readiness.failures >= LONG_UNHEALTHY_FAILURES:
            return f"not ready: {readiness.detail}"
    return ""


def _completed(state: AppState, deployment: Deployment) -> int:
    return sum(
        1
        for r in state.instances
        if r.identity.revision == deployment.to_revision and has_completed(r)
    )


def present_port(spec: PortSpec, state: AppState) -> PortView:
    """One port as the App asks for it; the listener assigned by portway filled in."""
    keys = route_keys(spec, state.service_ports) if is_routed(spec) else ()
    return PortView(
        name=spec.name,
        container_port=spec.container_port,
        host_port=spec.host_port or 0,
        service_port=keys[0][0].service_port if keys else 0,
        protocol=spec.protocol.value,
        exposure=spec.exposure.value,
        address=keys[0][0].address if keys else spec.address or "",
    )


def present_instance(world: World, record: InstanceRecord, state: AppState) -> InstanceView:
    """One instance with its ports, health and what the engine calls it."""
    seen = (world.seen(state.app_id) or {}).get(record.id)
    health = world.health.get(record.id, Health())
    revision = state.revisions.get(record.identity.revision)
    return InstanceView(
        id=short_id(record.id),
        stack=state.app_id.rpartition("/")[0],
        app=state.app_id.rpartition("/")[2],
        slot=record.identity.slot,
        release=record.identity.release,
        node=record.identity.node,
        phase=_phase(record),
        health=_health_word(world, record, health),
        health_detail=_health_detail(world, record, health),
        unchecked=_unchecked(world, record, health),
        ports=tuple(_instance_ports(record, state)),
        command=shown_command(revision.app, revision.environment) if revision else "",
        planned_at_ms=record.planned_at_ms,
        started_at_ms=record.started_at_ms,
        reason=record.reason,
        details=_details(seen, revision),
        containers=present_containers(seen, revision),
    )


def _details(seen: ObservedInstance | None, revision: Revision | None) -> dict[str, str]:
    if seen is None or revision is None or seen.state is EngineState.CREATED:
        return {}
    return shown_details(seen.details, revision.app, revision.environment)


def _phase(record: InstanceRecord) -> str:
    if record.phase is Phase.GONE:
        return "completed" if has_completed(record) else "failed" if record.failed else "gone"
    words = {Phase.PLANNED: "planned", Phase.STARTED: "starting", Phase.READY: "running"}
    return words.get(record.phase, record.phase.name.lower())


def _health_detail(world: World, record: InstanceRecord, health: Health) -> str:
    readiness = world.readiness.get(record.id)
    unready = _is_unready(world, record) and readiness is not None and readiness.detail
    detail = f"not ready: {readiness.detail}" if unready and readiness else health.detail
    return detail.partition("\n")[0]


def _unchecked(world: World, record: InstanceRecord, health: Health) -> str:
    """Why its checks cannot be made now; "" when they can."""
    readiness = world.readiness.get(record.id, Health())
    return (health.unchecked or readiness.unchecked) if record.phase < Phase.DRAINING else ""


def _health_word(world: World, record: InstanceRecord, health: Health) -> str:
    if record.phase is Phase.GONE:
        return "-"
    if health.status is HealthStatus.FAILING:
        return "unhealthy"
    if _is_unready(world, record):
        return "not ready"
    return "healthy" if record.phase is Phase.READY else "waiting"


def _instance_ports(record: InstanceRecord, state: AppState) -> list[PortView]:
    app = state.target.app if state.target else None
    by_name = {spec.name: present_port(spec, state) for spec in app.ports} if app else {}
    return [
        PortView(
            name=lease.port_name,
            container_port=lease.container_port,
            host_port=lease.host_port,
            service_port=by_name[lease.port_name].service_port if lease.port_name in by_name else 0,
            protocol=lease.protocol.value,
            exposure=by_name[lease.port_name].exposure if lease.port_name in by_name else "",
            address=lease.address,
        )
        for lease in record.identity.leases
    ]


def present_map(world: World, stack: str, public_address: str) -> tuple[MapRoute, ...]:
    """Every listener, by stack, App and number, with the instances behind it."""
    routes: list[MapRoute] = []
    states = world.of_stack(stack) if stack else (world.apps[key] for key in sorted(world.apps))
    for state in states:
        if state.target is None:
            continue
        for spec in state.target.app.ports:
            if is_routed(spec):
                routes.extend(_map_routes(world, state, spec, public_address))
            else:
                routes.append(published_route(world, state, spec))
    return tuple(routes)


def _map_routes(
    world: World, state: AppState, spec: PortSpec, public_address: str
) -> list[MapRoute]:
    by_slot = sorted(state.live, key=lambda r: (r.identity.slot, r.identity.serial))
    routes: list[MapRoute] = []
    for key, slot in route_keys(spec, state.service_ports):
        tls = _is_tls(world, state, spec, key)
        served = _served(world, state.app_id, key)
        endpoints = tuple(
            _map_endpoint(world, state, spec, record, served.get(record.id))
            for record in by_slot
            if slot in (None, record.identity.slot)
        )
        routes.append(
            MapRoute(
                stack=state.app_id.rpartition("/")[0],
                app=state.app_id.rpartition("/")[2],
                port_name=spec.name,
                exposure=spec.exposure.value,
                protocol=spec.listener.protocol.value,
                address=key.address or public_address or "",
                service_port=key.service_port,
                url=_url(spec, key, public_address, tls=tls),
                tls=tls,
                endpoints=tuple(e for e in endpoints if e is not None),
                note=world.route_errors.get(state.app_id, "").partition("\n")[0],
            )
        )
    return routes


def _is_tls(world: World, state: AppState, spec: PortSpec, key: RouteKey) -> bool:
    wants_tls = spec.listener.protocol in (ListenerProtocol.HTTPS, ListenerProtocol.TLS)
    return wants_tls or bool(world.certificates_for(state.app_id).get(key.service_port))


def _url(spec: PortSpec, key: RouteKey, public_address: str, *, tls: bool) -> str:
    """How a person on this machine reaches a listener."""
    address = normal_address((key.address or public_address).split(",")[0] or "")
    host = LOOPBACK if address in ("", "0.0.0.0") else address  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    streams = spec.listener.protocol in (ListenerProtocol.TCP, ListenerProtocol.TLS)
    if streams or spec.exposure is Exposure.INTERNAL:
        scheme = "tls" if tls else "tcp"
        return f"{scheme}://{host}:{key.service_port}"
    return f"{'https' if tls else 'http'}://{host}:{key.service_port}/"


def _map_endpoint(
    world: World,
    state: AppState,
    spec: PortSpec,
    record: InstanceRecord,
    served: ServedEndpoint | None,
) -> MapEndpoint | None:
    lease = next((x for x in record.identity.leases if x.port_name == spec.name), None)
    if lease is None and spec.leased:
        return None
    inside = served.port_number if served else spec.container_port
    return MapEndpoint(
        instance=short_id(record.id),
        slot_name=f"{state.app_id.rpartition('/')[2]}.{record.identity.slot}",
        host_address=lease.address if lease else "",
        host_port=lease.host_port if lease else 0,
        container_port=lease.container_port if lease else inside,
        target_address=served.address if served else "",
        target_port=served.port_number if served else 0,
        state=_endpoint_state(world, record, served),
        connections=served.connections if served else 0,
    )


def _served(world: World, app_id: str, key: RouteKey) -> dict[str, ServedEndpoint]:
    """What the balancer has behind a listener, by instance."""
    route = (world.served_by(app_id) or {}).get(key)
    return {endpoint.instance_id: endpoint for endpoint in route.endpoints} if route else {}


def _endpoint_state(world: World, record: InstanceRecord, served: ServedEndpoint | None) -> str:
    if served is not None and (served.state is EndpointState.READY or record.phase > Phase.READY):
        return served.state.value
    if record.phase < Phase.READY:
        return "starting"
    if record.phase is Phase.STOPPING:
        return "stopping"
    if is_ill(world, record):
        return "unhealthy"
    if _is_unready(world, record):
        return "not ready"
    return "not routed" if served is None else "standby"


def present_release(
    release: Release, *, active: str | None, whole: bool = False, warnings: tuple[str, ...] = ()
) -> ReleaseView:
    """One release, without its variables."""
    return ReleaseView(
        id=release.id,
        stack=release.stack,
        created_at_ms=release.created_at_ms,
        active=release.id == active,
        apps=tuple(app.name for app in release.apps),
        description=release.description,
        status=release.receipts[-1].status if release.receipts else "",
        manifest_name=release.manifest_name,
        manifest=release.manifest if whole else "",
        receipts=tuple(replace(one, before={}) for one in release.receipts) if whole else (),
        warnings=warnings,
    )


def present_certificate(certificate: Certificate) -> CertificateView:
    """One certificate, without its key."""
    stack, _, target = certificate.target.partition("/")
    return CertificateView(
        name=certificate.name,
        target=target,
        stack=stack,
        domains=certificate.domains,
        expires_at_ms=certificate.expires_at_ms,
        fingerprint=certificate.fingerprint,
        self_signed=certificate.self_signed,
    )
