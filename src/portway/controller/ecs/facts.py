"""What the World and the target groups say of one service at this moment, gathered for its history and its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from portway.controller.balancing.registry import Registry
from portway.controller.world import World
from portway.core.aws_names import AwsNames
from portway.core.balancing.model import TargetGroup
from portway.core.balancing.serving import Standing
from portway.core.balancing.targets import TargetState
from portway.core.ecs import words
from portway.core.ecs.history import ServiceFacts
from portway.core.ecs.labels import Origin, origin_of
from portway.core.ecs.tasks import TaskFacts, task_id_of
from portway.core.health import HealthStatus
from portway.core.instance import InstanceRecord, ObservedInstance, Phase
from portway.core.plan import Blocked
from portway.core.state import AppState, Revision

_NODE_CODES = ("CPU", "MEMORY", "PORTS", "ATTRIBUTE", "CONSTRAINT", "AGENT")


class Groups(Protocol):
    """What of the target groups is looked at."""

    @property
    def registry(self) -> Registry: ...
    def standings(self, group: TargetGroup) -> list[Standing]: ...


def service_facts(
    state: AppState, origin: Origin, world: World, names: AwsNames, groups: Groups
) -> ServiceFacts:
    """One service, with where its tasks are unhealthy and what keeps it from its count."""
    return ServiceFacts(
        service=origin.service,
        state=state,
        names=names,
        unhealthy=_unhealthy(state, origin, world, names, groups),
        troubles=_troubles(state, origin, world.obstacles.get(state.app_id, ()), names),
        nodes=len(world.nodes),
    )


def task_facts(
    record: InstanceRecord,
    state: AppState,
    names: AwsNames,
    seen: ObservedInstance | None,
    *,
    zone: str = "",
) -> TaskFacts | None:
    """One task; None for an instance of an App that was not made over the AWS face."""
    revision = revision_of(state, record)
    origin = origin_of(revision.app) if revision else None
    if revision is None or origin is None:
        return None
    newest = names.deployment_id(state.app_id, state.target.id) if state.target else ""
    return TaskFacts(
        record=record,
        app=revision.app,
        origin=origin,
        seen=seen,
        deployment=names.deployment_id(state.app_id, record.identity.revision),
        newest=newest,
        zone=zone,
    )


def revision_of(state: AppState, record: InstanceRecord) -> Revision | None:
    """What an instance runs, or ran."""
    wanted = record.identity.revision
    if state.target is not None and state.target.id == wanted:
        return state.target
    return state.revisions.get(wanted)


def _unhealthy(
    state: AppState, origin: Origin, world: World, names: AwsNames, groups: Groups
) -> Mapping[str, str]:
    failing = {r.id: r for r in state.live if _is_failing(world, r)}
    if not failing:
        return {}
    told = {
        r.id: words.failed_container_checks(origin.service, task_id_of(r, names))
        for r in failing.values()
    }
    bound = {t.group for r in failing.values() if (v := revision_of(state, r)) for t in v.app.targets}  # fmt: skip
    for arn in sorted(bound):
        group = groups.registry.groups.get(arn)
        for member, health in groups.standings(group) if group else ():
            if member.instance_id in failing and health.state is TargetState.UNHEALTHY:
                told[member.instance_id] = _target_words(
                    origin.service, failing[member.instance_id], arn, member.number, health.description, names
                )  # fmt: skip
    return told


def _is_failing(world: World, record: InstanceRecord) -> bool:
    health = world.health.get(record.id)
    is_failing = health is not None and health.status is HealthStatus.FAILING
    return (record.phase < Phase.DRAINING and is_failing) or (
        record.failed and record.phase in (Phase.DRAINING, Phase.STOPPING)
    )


def _target_words(
    service: str, record: InstanceRecord, group: str, number: int, reason: str, names: AwsNames
) -> str:
    return words.unhealthy_target(
        service,
        ec2_instance=names.ec2_instance_id(record.identity.node),
        host_port=number,
        group=group,
        reason=reason,
    )


def _troubles(
    state: AppState, origin: Origin, blocked: tuple[Blocked, ...], names: AwsNames
) -> tuple[str, ...]:
    """What keeps a service from its count, in ECS's sentences, once each."""
    told: dict[str, None] = {}
    for one in blocked:
        if one.code in _NODE_CODES:
            node = names.container_instance_id(one.node) if one.node else ""
            said = words.not_placed(origin.service, code=one.code, container_instance=node)
        elif one.code == "NO_NODES":
            said = words.not_placed(origin.service)
        elif one.code == "BOUNDS":
            said = words.bounds_in_the_way(origin.service)
        elif one.code == "THROTTLED":
            said = words.not_starting(origin.service)
        else:
            continue
        told[said] = None
    return tuple(told) if state.target is not None else ()
