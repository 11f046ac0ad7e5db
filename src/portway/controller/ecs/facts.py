"""What the World and the target groups say of one service at this moment, gathered for its history and its tasks."""

from __future__ import annotations

from portway.controller.ecs.unhealthy import Groups, unhealthy_words
from portway.controller.world import World
from portway.core.aws_names import AwsNames
from portway.core.ecs import words
from portway.core.ecs.history import ServiceFacts
from portway.core.ecs.labels import Origin, origin_of, revision_of
from portway.core.ecs.tasks import TaskFacts
from portway.core.instance import InstanceRecord, ObservedInstance
from portway.core.plan import Blocked
from portway.core.state import AppState

_NODE_CODES = ("CPU", "MEMORY", "PORTS", "ATTRIBUTE", "CONSTRAINT", "AGENT")


def service_facts(
    state: AppState, origin: Origin, world: World, names: AwsNames, groups: Groups, *, now_ms: int
) -> ServiceFacts:
    """One service, with where its tasks are unhealthy and what keeps it from its count."""
    return ServiceFacts(
        service=origin.service,
        state=state,
        names=names,
        unhealthy=unhealthy_words(state, origin, world, names, groups, now_ms=now_ms),
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
        elif one.code == "PROTECTED" and state.target is not None:
            this = names.deployment_id(state.app_id, state.target.id)
            said = words.protected(origin.service, this)
        elif one.code == "THROTTLED":
            said = words.not_starting(origin.service)
        else:
            continue
        told[said] = None
    return tuple(told) if state.target is not None else ()
