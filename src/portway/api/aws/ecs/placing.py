"""Whether a task of RunTask fits anywhere now: what failures[] says, before anything is started. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portway.controller.lookup import is_task
from portway.controller.overview import Overview
from portway.controller.views import NodeStatus
from portway.core.app import App
from portway.core.placement import Ground, Misfit, NodeUse, NodeView, demand_of, fault_of

REASONS = {
    Misfit.CPU: "RESOURCE:CPU",
    Misfit.MEMORY: "RESOURCE:MEMORY",
    Misfit.PORTS: "RESOURCE:PORTS",
    Misfit.AGENT: "AGENT",
    Misfit.ATTRIBUTE: "ATTRIBUTE",
    Misfit.CONSTRAINT: "MemberOf placement constraint unsatisfied.",
}


def misfits(
    app: App, statuses: Sequence[NodeStatus], overview: Overview, taken: Mapping[str, list[App]]
) -> dict[str, str]:
    """By node, why the task does not fit; a node it fits on is left out. `taken`: the Apps given to each node a moment ago."""
    ports = {node.node.name: _fixed_ports(overview, node.node.name) for node in statuses}
    found: dict[str, str] = {}
    for status in statuses:
        name = status.node.name
        given = taken.get(name, [])
        held = ports[name] | {number for other in given for number in other.fixed_host_ports}
        used = status.used
        for other in given:
            used = used.plus(demand_of(other))
        if why := _misfit(app, status.node, used, held):
            found[name] = why
    return found


def waiting(overview: Overview, statuses: Sequence[NodeStatus]) -> dict[str, list[App]]:
    """By node, the tasks of RunTask that were let in a moment ago and have no instance yet: their room is gone as well."""
    taken: dict[str, list[App]] = {}
    for state in overview.apps.values():
        if state.target is None or state.instances or not is_task(state.target.app):
            continue
        app = state.target.app
        found = misfits(app, statuses, overview, taken)
        fit = (s.node.name for s in statuses if s.node.name not in found)
        node = app.placement.node or next(fit, "")
        taken.setdefault(node, []).append(app)
    return taken


def _misfit(app: App, node: NodeView, used: NodeUse, held: set[int]) -> str:
    ground = Ground(nodes=(node,), mine={}, load={}, used={node.name: used})
    fault = fault_of(node, app, ground, demand_of(app))
    if fault is not None:
        return REASONS.get(fault[0], fault[0].value)
    return REASONS[Misfit.PORTS] if held & set(app.fixed_host_ports) else ""


def _fixed_ports(overview: Overview, node: str) -> set[int]:
    return {
        lease.host_port
        for state in overview.apps.values()
        for record in state.live
        if record.identity.node == node
        for lease in record.identity.leases
        if lease.fixed
    }
