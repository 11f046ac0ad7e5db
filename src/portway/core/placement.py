"""Which node gets the next instance: of those it fits on, the best by the App's strategies. Pure; chance is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from portway.core.app import (
    App,
    Constraint,
    ConstraintOperator,
    Placement,
    Resources,
    SpreadKind,
)
from portway.core.cluster_query import Mistake, NodeFacts, Query, holds, parse_query
from portway.core.constraints import field_value, refusal_of
from portway.core.ecs.labels import origin_of

CPU_UNITS = 1024  # of one processor
CPU_UNITS_MIN = 2  # what the kernel makes of no number at all
FIXED_PORTS_MAX = 95  # 100 on one node, five of which are the machine's own (ECS)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A machine as the planner sees it. `address` is where its host ports answer.

    `cpu_units` are 1/1024 of a processor; 0 of them, or of `memory_bytes`, means not known, and everything fits.
    `draining`: it gets nothing new, and what runs there is replaced elsewhere.
    """

    name: str
    address: str
    available: bool = True
    cpu_units: int = 0
    memory_bytes: int = 0
    attributes: Mapping[str, str] = field(default_factory=dict)
    draining: bool = False
    registered_at_ms: int = 0


def drained_among(nodes: Iterable[NodeView]) -> frozenset[str]:
    """The names of the nodes that are being drained."""
    return frozenset(node.name for node in nodes if node.draining)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUse:
    """What is set aside on a node, or would be by one instance; `fixed_ports` are those asked for by number."""

    cpu_units: int = 0
    memory_bytes: int = 0
    fixed_ports: int = 0
    instances: int = 0

    def plus(self, other: NodeUse, times: int = 1) -> NodeUse:
        """Both together."""
        return NodeUse(
            cpu_units=self.cpu_units + times * other.cpu_units,
            memory_bytes=self.memory_bytes + times * other.memory_bytes,
            fixed_ports=self.fixed_ports + times * other.fixed_ports,
            instances=self.instances + times * other.instances,
        )


NOTHING = NodeUse()
ONE = NodeUse(instances=1)


class Misfit(StrEnum):
    """Why something cannot be done now, for programs. Those of nodes, from the farthest from fitting to the nearest."""

    NO_NODES = "NO_NODES"
    AGENT = "AGENT"  # the node does not answer
    CPU = "CPU"
    MEMORY = "MEMORY"
    PORTS = "PORTS"
    ATTRIBUTE = "ATTRIBUTE"
    CONSTRAINT = "CONSTRAINT"
    BOUNDS = "BOUNDS"  # the minimum and the maximum leave nothing to do
    THROTTLED = "THROTTLED"  # instances do not start, and are tried ever more slowly
    PROTECTED = "PROTECTED"  # instances that should go are protected
    DELAYED = "DELAYED"  # the App's own back-off


_NODES_ORDER = tuple(Misfit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No node will do: the nearest one ("" = there is none), and what it lacks."""

    code: Misfit
    node: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What placing looks at. `mine`: the App's live instances by node; `used`: what is set aside by node."""

    nodes: Sequence[NodeView]
    mine: Mapping[str, int]
    load: Mapping[str, int]
    used: Mapping[str, NodeUse] = field(default_factory=dict)
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)  # of what runs, by node
    bits: int = 0
    alike: Sequence[str] = ()  # the nodes of those of the revision to place, the oldest first
    count: int = 0  # how many of the App there are to be


def demand_of(app: App) -> NodeUse:
    """What one instance sets aside; nothing unless the App reserves."""
    if not app.placement.reserves:
        return ONE
    ports = len(app.fixed_host_ports)
    parts = [app.resources, *(other.resources for other in app.containers)]
    cpu_units = app.placement.cpu_units or sum(map(_cpu_units, parts))
    memory_bytes = app.placement.memory_bytes or sum(map(_memory_bytes, parts))
    return NodeUse(cpu_units=cpu_units, memory_bytes=memory_bytes, fixed_ports=ports, instances=1)


def _cpu_units(resources: Resources) -> int:
    if resources.cpu_shares is not None:
        return resources.cpu_shares if resources.cpu_shares > CPU_UNITS_MIN else 0
    return int((resources.cpus or 0) * CPU_UNITS)


def _memory_bytes(resources: Resources) -> int:
    return resources.memory_reservation_bytes or resources.memory_bytes or 0


def place(
    nodes: Sequence[NodeView],
    *,
    app_instances: Mapping[str, int],
    all_instances: Mapping[str, int],
) -> str | None:
    """The node for one more instance: fewest of this App, then fewest in all, then by name."""
    available = [node.name for node in nodes if node.available and not node.draining]
    return min(
        available,
        key=lambda name: (app_instances.get(name, 0), all_instances.get(name, 0), name),
        default=None,
    )


def fitting(app: App, ground: Ground) -> tuple[str, ...] | Refusal:
    """The nodes that one more instance fits on, the best first; else what the nearest lacks."""
    demand = demand_of(app)
    faults = [(node, fault_of(node, app, ground, demand)) for node in ground.nodes]
    fit = [node for node, fault in faults if fault is None]
    if fit:
        return tuple(node.name for node in _ordered(fit, app.placement, ground))
    refused = [(node, fault) for node, fault in faults if fault is not None]
    if not refused:
        return Refusal(code=Misfit.NO_NODES, node="", reason="no node is available to run on")
    node, (code, why) = max(refused, key=lambda pair: _NODES_ORDER.index(pair[1][0]))
    if len(ground.nodes) > 1:
        why = f"no node will do; the nearest, {node.name}: {why}"
    return Refusal(code=code, node=node.name, reason=why)


def fault_of(
    node: NodeView, app: App, ground: Ground, demand: NodeUse
) -> tuple[Misfit, str] | None:
    """What keeps one more instance off the node; None when nothing does."""
    placement = app.placement
    if not node.available or node.draining:
        why = "is being drained" if node.available else "is away"
        return Misfit.AGENT, f"no node is available to run on: {node.name} {why}"
    used = ground.used.get(node.name, NOTHING)
    if node.cpu_units and demand.cpu_units > (left := node.cpu_units - used.cpu_units):
        return Misfit.CPU, f"{demand.cpu_units} CPU units are asked for and {max(0, left)} are left"
    if node.memory_bytes and demand.memory_bytes > (left := node.memory_bytes - used.memory_bytes):
        wanted, left_mib = demand.memory_bytes >> 20, max(0, left) >> 20
        return Misfit.MEMORY, f"{wanted} MiB of memory are asked for and {left_mib} are left"
    if demand.fixed_ports and used.fixed_ports + demand.fixed_ports > FIXED_PORTS_MAX:
        return (
            Misfit.PORTS,
            f"it has {used.fixed_ports} fixed host ports, and {FIXED_PORTS_MAX} is the limit",
        )
    groups = ground.groups.get(node.name, frozenset())
    if fault := _unsuitable(node, placement, used, groups):
        return fault
    if refusal := _unmet(node, placement, ground):
        return Misfit.CONSTRAINT, refusal
    if (placement.distinct or placement.daemon) and ground.mine.get(node.name, 0):
        return Misfit.CONSTRAINT, "it runs one already, and only one may run on each node"
    return None


def _unmet(node: NodeView, placement: Placement, ground: Ground) -> str:
    """Which of Marathon's constraints keeps one more instance off the node, as a clause; "" when none does."""
    for constraint in placement.constraints:
        values = {n.name: _value(n, constraint) for n in ground.nodes}
        refusal = refusal_of(
            constraint,
            _value(node, constraint),
            placed=[values.get(name) for name in ground.alike],
            count=ground.count,
            known={v for v in values.values() if v is not None},
        )
        if refusal:
            return f"its constraint {constraint} is not met: {refusal}"
    return ""


def _value(node: NodeView, constraint: Constraint) -> str | None:
    return field_value(constraint.field, address=node.address, attributes=node.attributes)


def is_eligible(node: NodeView, placement: Placement) -> bool:
    """Whether a daemon belongs on the node, whatever room there is; one that is away for a moment keeps its own."""
    return not node.draining and _unsuitable(node, placement, NOTHING, frozenset()) is None


def _unsuitable(
    node: NodeView, placement: Placement, used: NodeUse, groups: frozenset[str]
) -> tuple[Misfit, str] | None:
    if placement.node and placement.node != node.name:
        return Misfit.CONSTRAINT, f"it is to run on {placement.node} alone"
    for text in placement.members:
        query = parse_query(text)
        if isinstance(query, Mistake):
            return Misfit.CONSTRAINT, f"its constraint is not understood: {query.reason}"
        if not holds(query, _facts(node, used, groups)):
            code = Misfit.ATTRIBUTE if _is_requirement(query, node) else Misfit.CONSTRAINT
            return code, f"its constraint is not met: {text}"
    return None


def _is_requirement(query: Query, node: NodeView) -> bool:
    """Whether the node simply lacks an attribute."""
    subject = getattr(query, "subject", "")
    return subject.startswith("attribute:") and subject[10:] not in node.attributes


def _facts(node: NodeView, used: NodeUse, groups: frozenset[str]) -> NodeFacts:
    return NodeFacts(
        attributes=node.attributes,
        groups=groups,
        running_tasks=used.instances,
        registered_at_ms=node.registered_at_ms,
        connected=node.available,
        instance_id=node.attributes.get("ecs.instance-id", ""),
    )


def _ordered(nodes: Iterable[NodeView], placement: Placement, ground: Ground) -> list[NodeView]:
    """By each strategy in turn; what they leave open goes to the fewest of this App, the fewest in all, the name."""

    def worth(node: NodeView) -> tuple[object, ...]:
        marks = [_mark(node, kind, by, ground) for kind, by in placement.strategies]
        name = node.name
        return (*marks, ground.mine.get(name, 0), ground.load.get(name, 0), name)

    return sorted(nodes, key=worth)


def _mark(node: NodeView, kind: SpreadKind, by: str, ground: Ground) -> int:
    """The lower the better."""
    used = ground.used.get(node.name, NOTHING)
    match kind:
        case SpreadKind.SPREAD:
            alike = value_of(node, by)
            return sum(ground.mine.get(n.name, 0) for n in ground.nodes if value_of(n, by) == alike)
        case SpreadKind.BINPACK:
            if by == "cpu":
                return node.cpu_units - used.cpu_units
            return node.memory_bytes - used.memory_bytes
        case SpreadKind.RANDOM:
            # A different order for every set of bits, the same for the same.
            seed = sum(ord(letter) * (nth + 7) for nth, letter in enumerate(node.name))
            return (seed * 2654435761 ^ ground.bits * 40503) % 65521


def _group_size(node: NodeView, constraint: Constraint, ground: Ground) -> int:
    alike = _value(node, constraint)
    return sum(ground.mine.get(n.name, 0) for n in ground.nodes if _value(n, constraint) == alike)


def group_of(app: App) -> str:
    """What placement constraints call the instances of an App."""
    origin = origin_of(app)
    return origin.task_group if origin is not None else f"service:{app.name}"


def asks_groups(app: App) -> bool:
    """Whether a constraint of the App is about what else runs on a node."""
    return any("task:group" in text for text in app.placement.members)


def value_of(node: NodeView, by: str) -> str:
    """What of a node instances are spread over: itself, or one of its attributes."""
    if by in ("instanceId", "host", ""):
        return node.name
    return node.attributes.get(by.removeprefix("attribute:"), "")


def leaves_first(app: App, ground: Ground) -> str | None:
    """The node that one instance too many leaves: where groups, strategies, or else plain spreading would miss it least."""
    nodes = [node for node in ground.nodes if ground.mine.get(node.name)]
    groups = [c for c in app.placement.constraints if c.operator is ConstraintOperator.GROUP_BY]
    strategies = app.placement.strategies or (
        (SpreadKind.SPREAD, "attribute:ecs.availability-zone"),
    )

    def worth(node: NodeView) -> tuple[object, ...]:
        sizes = [_group_size(node, constraint, ground) for constraint in groups]
        marks = [_mark(node, kind, by, ground) for kind, by in strategies]
        return (*sizes, *marks, ground.mine.get(node.name, 0), node.name)

    return max(nodes, key=worth).name if nodes else None
