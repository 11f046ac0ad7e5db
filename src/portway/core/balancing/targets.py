"""What a target group's targets are at one moment, and the state, reason and description that DescribeTargetHealth gives of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from portway.core.app import App, TargetBinding
from portway.core.balancing.attributes import deregistration_delay_s
from portway.core.balancing.model import TRAFFIC_PORT, Target, TargetGroup, TargetType
from portway.core.health import Health, HealthStatus
from portway.core.instance import EngineState, InstanceRecord, ObservedInstance, Phase
from portway.core.placement import NodeView
from portway.core.state import AppState

TIMED_OUT = "Request timed out"
FAILED = "Health checks failed"
CODES = "Health checks failed with these codes: "
INTERNAL = "Health checks failed due to an internal error"


class TargetState(StrEnum):
    """What a target group says of a target."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNUSED = "unused"
    DRAINING = "draining"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHealth:
    """A state with its reason and description in AWS's words."""

    state: TargetState
    reason: str = ""
    description: str = ""


REGISTERING = TargetHealth(
    state=TargetState.INITIAL,
    reason="Elb.RegistrationInProgress",
    description="Target registration is in progress",
)
CHECKING = TargetHealth(
    state=TargetState.INITIAL,
    reason="Elb.InitialHealthChecking",
    description="Initial health checks in progress",
)
HEALTHY = TargetHealth(state=TargetState.HEALTHY)
NOT_REGISTERED = TargetHealth(
    state=TargetState.UNUSED,
    reason="Target.NotRegistered",
    description="Target is not registered to the target group",
)
NOT_IN_USE = TargetHealth(
    state=TargetState.UNUSED,
    reason="Target.NotInUse",
    description="Target group is not configured to receive traffic from the load balancer",
)
TERMINATED = TargetHealth(
    state=TargetState.UNUSED,
    reason="Target.InvalidState",
    description="Target is in the terminated state",
)
DRAINING = TargetHealth(
    state=TargetState.DRAINING,
    reason="Target.DeregistrationInProgress",
    description="Target deregistration is in progress",
)
DISABLED = TargetHealth(
    state=TargetState.UNAVAILABLE,
    reason="Target.HealthCheckDisabled",
    description="Health checks are disabled",
)
_INTERNAL = TargetHealth(
    state=TargetState.UNAVAILABLE, reason="Elb.InternalError", description=INTERNAL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A target as it is now, whether registered by hand or because an App's instance is bound to the group.

    `endpoint_id` names it to the balancer; of an App's instance it begins with the instance's id. `address` "": it
    cannot be reached, for its node is gone. `is_routable` False: it is only still shown. `was_well`: it passed before.
    `host_ports`: all that an App's instance has on its node. `near`: where these are reached on the node itself without
    the engine's proxy between, as (host port, address, container port).
    """

    id: str
    number: int
    address: str
    endpoint_id: str
    registered_at_ms: int
    instance_id: str = ""
    draining_until_ms: int | None = None
    is_routable: bool = True
    was_well: bool = False
    host_ports: tuple[int, ...] = ()
    near: tuple[tuple[int, str, int], ...] = ()

    def reached_at(self, number: int) -> tuple[str, int]:
        """Where a balancer on this machine asks for a port of it."""
        found = ((address, own) for host_port, address, own in self.near if host_port == number)
        return next(found, (self.address, number))

    @property
    def addresses(self) -> frozenset[str]:
        """Every address it is reached at."""
        return frozenset({self.address, *(address for _, address, _ in self.near)})

    @property
    def is_draining(self) -> bool:
        """Whether it was deregistered."""
        return self.draining_until_ms is not None


def check_number(group: TargetGroup, member: Member) -> int:
    """The port that a target is checked on."""
    text = group.check.number_text
    return member.number if text == TRAFFIC_PORT else int(text)


def members_by_hand(
    group: TargetGroup, address_of: Callable[[str], str], *, now_ms: int
) -> Iterator[Member]:
    """Those registered by hand that are not long deregistered. `address_of`: of a node by its EC2 id, "" = none."""
    for target in group.targets:
        if target.draining_until_ms is not None and target.draining_until_ms <= now_ms:
            continue
        is_node = group.target_type is TargetType.INSTANCE
        yield Member(
            id=target.id,
            number=target.number,
            address=address_of(target.id) if is_node else target.id,
            endpoint_id=f"{target.id}:{target.number}",
            registered_at_ms=target.registered_at_ms,
            draining_until_ms=target.draining_until_ms,
        )


def members_of_app(
    group: TargetGroup,
    state: AppState,
    seen: Mapping[str, ObservedInstance],
    nodes: Sequence[NodeView],
    node_id: Callable[[str], str],
    *,
    now_ms: int,
) -> Iterator[Member]:
    """The App's instances as targets of the group: registered while they run, draining from when they are let go.

    One that is let go stays shown for the whole delay, as AWS shows it, however soon its last connection ends.
    """
    for record in state.instances:
        app = _app_of(state, record)
        bound = [b for b in app.targets if b.group == group.arn] if app else []
        for nth, binding in enumerate(bound):
            assert app is not None
            member = _member(group, record, app, binding, seen.get(record.id), nodes, node_id)
            if member is None or (until := member.draining_until_ms) is not None and until <= now_ms:  # fmt: skip
                continue
            yield member if nth == 0 else _numbered(member, nth)


def _app_of(state: AppState, record: InstanceRecord) -> App | None:
    revision = state.revisions.get(record.identity.revision)
    if revision is None and record.phase >= Phase.STOPPING:
        revision = state.target  # which port it had matters little for one that is only shown
    return revision.app if revision else None


def _numbered(member: Member, nth: int) -> Member:
    return replace(member, endpoint_id=f"{member.endpoint_id}#{nth}")


def _member(
    group: TargetGroup,
    record: InstanceRecord,
    app: App,
    binding: TargetBinding,
    seen: ObservedInstance | None,
    nodes: Sequence[NodeView],
    node_id: Callable[[str], str],
) -> Member | None:
    draining_until_ms = None
    if record.draining_at_ms is not None:
        draining_until_ms = record.draining_at_ms + deregistration_delay_s(group) * 1000
    elif record.phase >= Phase.DRAINING or seen is None or seen.state is not EngineState.RUNNING:
        return None  # not yet, or ended by itself
    where = _where(group, record, app, binding, seen, nodes, node_id)
    if where is None:
        return None
    target_id, address, number = where
    return Member(
        id=target_id,
        number=number,
        address=address,
        endpoint_id=record.id,
        instance_id=record.id,
        registered_at_ms=record.started_at_ms or record.planned_at_ms,
        draining_until_ms=draining_until_ms,
        is_routable=record.phase < Phase.STOPPING,
        was_well=record.ready_at_ms is not None,
        host_ports=tuple(lease.host_port for lease in record.identity.leases),
        near=tuple(_near(group, record, app, seen)),
    )


def _near(
    group: TargetGroup, record: InstanceRecord, app: App, seen: ObservedInstance | None
) -> Iterator[tuple[int, str, int]]:
    if seen is None or group.target_type is not TargetType.INSTANCE:
        return
    addresses = {container.name: container.address for container in seen.containers}
    containers = {spec.name: spec.container or app.container_name for spec in app.ports}
    for lease in record.identity.leases:
        own = addresses.get(containers.get(lease.port_name, ""), "")
        address = seen.address if seen.reaches_container else own
        if address:
            yield lease.host_port, address, lease.container_port


def _where(
    group: TargetGroup,
    record: InstanceRecord,
    app: App,
    binding: TargetBinding,
    seen: ObservedInstance | None,
    nodes: Sequence[NodeView],
    node_id: Callable[[str], str],
) -> tuple[str, str, int] | None:
    """(id, address, number) of a target; None while they are not known."""
    if group.target_type is TargetType.IP:
        address = seen.address if seen else ""
        return (address, address, binding.container_port) if address else None
    number = host_port_of(record, app, binding)
    if number is None:
        return None
    node = next((node for node in nodes if node.name == record.identity.node), None)
    return node_id(record.identity.node), node.address if node else "", number


def host_port_of(record: InstanceRecord, app: App, binding: TargetBinding) -> int | None:
    """The host port that leads to the bound container port; None when it has none."""
    names = {
        spec.name
        for spec in app.ports
        if spec.container_port == binding.container_port
        and (spec.container or app.container_name) in (binding.container, "")
    }
    for lease in record.identity.leases:
        if lease.port_name in names:
            return lease.host_port
    return None


def state_of(
    group: TargetGroup, member: Member, health: Health | None, *, in_use: bool
) -> TargetHealth:
    """What DescribeTargetHealth says of a target."""
    if member.is_draining:
        return DRAINING
    if not member.address:
        return TERMINATED
    if not in_use:
        return NOT_IN_USE
    if not group.check.enabled:
        return DISABLED
    if health is None:
        return HEALTHY if member.was_well else REGISTERING
    match health.status:
        case HealthStatus.PASSING:
            return HEALTHY
        case HealthStatus.FAILING:
            return unhealthy(health.detail)
        case HealthStatus.UNKNOWN:
            if health.unchecked:
                return _INTERNAL
            return CHECKING if health.passes or health.failures else REGISTERING


def unhealthy(detail: str) -> TargetHealth:
    """The reason that goes with what a check found."""
    reason = "Target.FailedHealthChecks"
    if detail.startswith(CODES):
        reason = "Target.ResponseCodeMismatch"
    elif detail == TIMED_OUT:
        reason = "Target.Timeout"
    return TargetHealth(state=TargetState.UNHEALTHY, reason=reason, description=detail or FAILED)


def registered(
    group: TargetGroup, asked: Sequence[tuple[str, int]], *, now_ms: int
) -> tuple[Target, ...]:
    """The group's targets with these too; one that drains is registered anew, one that is there stays as it is."""
    kept = {
        (t.id, t.number): t
        for t in group.targets
        if t.draining_until_ms is None or t.draining_until_ms > now_ms
    }
    for target_id, number in asked:
        known = kept.get((target_id, number))
        if known is None or known.draining_until_ms is not None:
            kept[target_id, number] = Target(id=target_id, number=number, registered_at_ms=now_ms)
    return tuple(kept.values())


def deregistered(
    group: TargetGroup, asked: Sequence[tuple[str, int | None]], *, in_use: bool, now_ms: int
) -> tuple[Target, ...]:
    """The group's targets, these draining; without a port the group's own is meant. Those of no use leave at once."""
    leaving = {(target_id, number or group.number) for target_id, number in asked}
    until_ms = now_ms + deregistration_delay_s(group) * 1000
    kept: list[Target] = []
    for target in group.targets:
        if (target.id, target.number) not in leaving or target.draining_until_ms is not None:
            kept.append(target)
        elif in_use and until_ms > now_ms:
            kept.append(replace(target, draining_until_ms=until_ms))
    return tuple(t for t in kept if t.draining_until_ms is None or t.draining_until_ms > now_ms)


def overall(verdicts: Sequence[Health]) -> Health:
    """One verdict of many: failing when any fails, passing when all pass, else unknown."""
    for status in (HealthStatus.FAILING, HealthStatus.UNKNOWN):
        for verdict in verdicts:
            if verdict.status is status:
                return verdict
    return max(verdicts, key=lambda verdict: verdict.since_ms)
