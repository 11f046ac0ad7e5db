"""What a deploy would do: the real planner on copies; nothing is saved, nothing is done."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from portway.controller.loop import Controller
from portway.controller.present import present_port
from portway.controller.promotion import promote_states, why_replaced
from portway.controller.releasing import check_engine, check_listeners
from portway.controller.remarks import node_count
from portway.controller.strategies import step_notes
from portway.controller.views import PlanChange, PlanView, PortView, ReleaseRequest
from portway.core.app import App, Exposure, PortSpec, Protocol
from portway.core.drops import drop_warnings
from portway.core.errors import EngineError
from portway.core.ports import Holder, Lease
from portway.core.reconcile import BALANCER_NODE, reconcile
from portway.core.routing import is_routed
from portway.core.stack import Release, Stack
from portway.core.state import AppState
from portway.engines.base import InstanceEngine
from portway.manifests.base import Manifest


async def plan_release(
    controller: Controller, stack_name: str, manifest: Manifest, request: ReleaseRequest
) -> PlanView:
    """Every App of the manifest with its action, its ports and why, and what would drop requests."""
    world, now_ms = controller.world, controller.clock.now_ms()
    for app in manifest.apps:
        check_engine(app, controller.engine.traits)
    check_listeners(world, stack_name, manifest.apps)
    stack = world.stacks.get(stack_name) or Stack(name=stack_name, created_at_ms=now_ms)
    apps = tuple([await _with_image_id(app, request, controller.engine) for app in manifest.apps])
    release = Release(
        id="R",
        stack=stack_name,
        created_at_ms=now_ms,
        manifest="",
        manifest_name="",
        apps=apps,
        environment=stack.environment,
    )
    states = {s.app_id: s for s in world.of_stack(stack_name)}
    promotion = promote_states(
        stack, tuple(states.values()), release, deployment_id="D", now_ms=now_ms
    )
    after = {**states, **{s.app_id: s for s in promotion.states}}
    given_out: dict[tuple[Protocol, int], Holder] = {}
    changes = [
        _change(controller, states.get(app.id), after[app.id], app, release, request, given_out)
        for app in apps
    ]
    changes += [
        PlanChange(app=name, action="remove", why="the manifest no longer names it", count=0)
        for name in promotion.leaving
    ]
    warnings = tuple(str(problem) for problem in manifest.warnings)
    return PlanView(stack=stack_name, changes=tuple(changes), warnings=warnings)


async def _with_image_id(app: App, request: ReleaseRequest, engine: InstanceEngine) -> App:
    """The App as a release would pin it, as far as that can be known without building or pulling."""
    image = request.images.get(app.name) or app.image
    if image is None or not engine.traits.runs_images:
        return app
    try:
        return replace(app, image=image, image_id=await engine.resolve_image(image))
    except EngineError:
        return replace(app, image=image)


def _change(
    controller: Controller,
    before: AppState | None,
    after: AppState,
    app: App,
    release: Release,
    request: ReleaseRequest,
    given_out: dict[tuple[Protocol, int], Holder],
) -> PlanChange:
    action, why = _action(before, after, app, release.environment, request)
    leases, blocked = _proposed(controller, after, given_out) if action != "unchanged" else ((), ())
    # Nothing is taken, so the next App of the plan has to be told.
    taken = Holder(description=f"{app.name} of the same plan")
    given_out.update({(lease.protocol, lease.host_port): taken for lease in leases})
    was = before.target.app if before is not None and before.target else None
    nodes = node_count(controller.world)
    steps = step_notes(after) if action == "replace" else ()
    notes = (*blocked, *steps, *drop_warnings(app, count=after.count, nodes=nodes, before=was))
    return PlanChange(
        app=app.name,
        action=action,
        why=why,
        count=after.count,
        ports=tuple(_ports(after, app, leases)),
        notes=notes,
    )


def _action(
    before: AppState | None,
    after: AppState,
    app: App,
    environment: Mapping[str, str],
    request: ReleaseRequest,
) -> tuple[str, str]:
    if before is None or before.target is None:
        return "create", "it does not run yet"
    if app.build is not None and app.name not in request.images:
        return "replace", "it is built anew; if the image comes out the same, it stays"
    if after.target is not None and after.target.id != before.target.id:
        changed = why_replaced(before.target, app, environment)
        return "replace", f"changed: {changed}" if changed else "its last deployment failed"
    if after.count != before.count:
        return "scale", f"from {before.count} to {after.count}"
    return "unchanged", f"release {before.target.release} already runs this"


def _proposed(
    controller: Controller, state: AppState, given_out: dict[tuple[Protocol, int], Holder]
) -> tuple[tuple[Lease, ...], tuple[str, ...]]:
    """The leases the planner would take now, and what would keep it from starting."""
    now_ms = controller.clock.now_ms()
    kernel = cast("dict[tuple[Protocol, int], Holder]", controller.leases.occupied(now_ms=now_ms))
    occupied = ChainMap(given_out, kernel)
    observed = controller.observer.observed(state, occupied=occupied)
    plan = reconcile(
        state,
        replace(observed, instances=observed.instances or {}, waiting_for=""),
        host_pool=controller.leases.host_pool,
        service_pool=controller.leases.service_pool,
        now_ms=now_ms,
    )
    return plan.taken, tuple(blocked.reason for blocked in plan.blocked)


def _ports(state: AppState, app: App, leases: Sequence[Lease]) -> list[PortView]:
    views: list[PortView] = []
    for spec in app.ports:
        host = [x for x in leases if x.port_name == spec.name and x.node != BALANCER_NODE]
        assigned = [x for x in leases if x.port_name == spec.name and x.node == BALANCER_NODE]
        view = present_port(spec, state)
        views.append(
            replace(
                view,
                host_port=host[0].host_port if host else view.host_port,
                service_port=assigned[0].host_port if assigned else view.service_port,
                address=assigned[0].address if assigned else view.address,
                why=_why(spec, [x.host_port for x in host], assigned=bool(assigned)),
            )
        )
    return views


def _why(spec: PortSpec, host_ports: list[int], *, assigned: bool) -> str:
    if spec.unserved:
        return spec.unserved
    if not is_routed(spec):
        what = "UDP is" if spec.protocol is Protocol.UDP else "it is"
        which = "a leased host port" if spec.host_port is None else "the host port as written"
        return f"{what} published by the engine on {which}, not balanced"
    if spec.exposure is Exposure.INTERNAL:
        listener = "bare port: internal, for the stack's own apps"
    elif len(spec.service_ports) > 1:
        listener = (
            f"a pool: instance n is served on the n-th of "
            f"{spec.service_ports[0]}-{spec.service_ports[-1]}"
        )
    else:
        listener = "public listener" + (", assigned" if assigned else ", as written")
    if spec.host_port is not None:
        return f"{listener}; host port fixed by the manifest"
    numbers = ", ".join(str(number) for number in host_ports)
    return f"{listener}; host ports {numbers} leased" if numbers else listener
