"""A task as DescribeTasks shows it, made of one instance: what was decided about it and what its engine says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portway.core.app import App
from portway.core.aws_names import AwsNames
from portway.core.ecs import words
from portway.core.ecs.containers import (
    health_of_task,
    interface_ids,
    own_address,
    shown_containers,
)
from portway.core.ecs.labels import SERVICE, Origin
from portway.core.ecs.remembered import remembered
from portway.core.instance import EngineState, InstanceRecord, ObservedInstance, Phase

BY_THE_USER = "stopped by the user"  # how the reason of an instance that was asked to stop begins

_MIB = 1024 * 1024
REASON_LENGTH_MAX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCause:
    """Why somebody asked for a task's end: `code` and `reason` as DescribeTasks shows them."""

    code: str = "UserInitiated"
    reason: str = words.STOPPED_BY_USER


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """One instance and what is known around it.

    `deployment`: the id of the deployment that its revision belongs to; `newest`: that of the service now, which
    a task that left for it names. `asked`: who asked for its end, if anybody. `unhealthy_in`: the target group or load
    balancer that found it unhealthy. `zone` is its node's.
    """

    record: InstanceRecord
    app: App
    origin: Origin
    seen: ObservedInstance | None = None
    deployment: str = ""
    newest: str = ""
    asked: StopCause | None = None
    unhealthy_in: str = ""
    zone: str = ""


def task_id_of(record: InstanceRecord, names: AwsNames, origin: Origin | None = None) -> str:
    """The id of the task that an instance is. One of RunTask was given its id before there was an instance."""
    if origin is not None and origin.task_id:
        return origin.task_id
    return names.task_id(record.id, record.planned_at_ms)


def last_status(record: InstanceRecord, seen: ObservedInstance | None, *, has_targets: bool) -> str:
    """Where the task is on its way from PROVISIONING to STOPPED."""
    match record.phase:
        case Phase.PLANNED:
            return "PENDING" if seen is not None else "PROVISIONING"
        case Phase.STARTED | Phase.READY:
            return "RUNNING"
        case Phase.DRAINING:
            return "DEACTIVATING" if has_targets else "STOPPING"
        case Phase.STOPPING:
            ended = seen is not None and seen.state is EngineState.EXITED
            return "DEPROVISIONING" if ended else "STOPPING"
        case Phase.GONE:
            return "STOPPED"


def stop_cause(facts: TaskFacts) -> StopCause | None:
    """Why the task is stopping or has stopped; None while it should run."""
    record = facts.record
    if record.phase < Phase.DRAINING:
        return None
    if facts.asked is not None:
        return facts.asked
    if record.reason.startswith(BY_THE_USER):
        said = record.reason.removeprefix(BY_THE_USER).removeprefix(": ")
        return StopCause(reason=said or words.STOPPED_BY_USER)
    left_by_itself = record.draining_at_ms is None and record.stopping_at_ms is None
    if left_by_itself:
        return _own_end(record)
    code = "ServiceSchedulerInitiated" if facts.origin.kind == SERVICE else "UserInitiated"
    if record.failed:
        return StopCause(code=code, reason=_check_words(facts))
    if facts.origin.kind != SERVICE:
        return StopCause()
    return StopCause(code=code, reason=words.scaling_activity(facts.newest or facts.deployment))


def _own_end(record: InstanceRecord) -> StopCause:
    if never_ran(record):
        why = record.reason.partition("\n")[0]
        told = f"{words.FAILED_TO_START}: {why}" if why else words.FAILED_TO_START
        return StopCause(code="TaskFailedToStart", reason=told[:REASON_LENGTH_MAX])
    return StopCause(code="EssentialContainerExited", reason=words.ESSENTIAL_EXITED)


def never_ran(record: InstanceRecord) -> bool:
    """Whether its engine never ran it; one that ended before anybody looked did run."""
    return record.started_at_ms is None and record.exit_code is None


def _check_words(facts: TaskFacts) -> str:
    if facts.unhealthy_in:
        return words.failed_balancer_checks(facts.unhealthy_in)
    if len(facts.app.targets) == 1:
        return words.failed_balancer_checks(facts.app.targets[0].group)
    return words.FAILED_CONTAINER_CHECKS


def shown_task(facts: TaskFacts, names: AwsNames) -> dict[str, Any]:
    """The task, with every member that is known; times are Unix milliseconds."""
    record, origin, app = facts.record, facts.origin, facts.app
    task_id = task_id_of(record, names, origin)
    is_stopped = record.phase is Phase.GONE
    containers = shown_containers(
        app,
        facts.seen or remembered(record, app),
        names,
        cluster=origin.cluster,
        task_id=task_id,
        is_stopped=is_stopped,
        reason=record.reason.partition("\n")[0] if is_stopped and never_ran(record) else "",
    )
    shown = {
        "taskArn": names.task_arn(origin.cluster, task_id),
        "clusterArn": names.cluster_arn(origin.cluster),
        "taskDefinitionArn": origin.definition_arn(names),
        "containerInstanceArn": names.container_instance_arn(origin.cluster, record.identity.node),
        "availabilityZone": facts.zone,
        "group": origin.task_group,
        "startedBy": facts.deployment if origin.kind == SERVICE else origin.started_by,
        "launchType": origin.launch_type,
        "lastStatus": last_status(record, facts.seen, has_targets=bool(app.targets)),
        "desiredStatus": "RUNNING" if record.phase < Phase.DRAINING else "STOPPED",
        "connectivity": "CONNECTED",
        "healthStatus": health_of_task(containers, app),
        "enableExecuteCommand": False,
        "attachments": _attachments(facts, task_id),
        "attributes": [],
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": []},
        "tags": [],
        "version": record.phase + 1,
        "containers": containers,
        **_limits(app),
        **_times(record),
    }
    cause = stop_cause(facts)
    if cause is not None:
        shown |= {"stopCode": cause.code, "stoppedReason": cause.reason}
    if not shown["startedBy"]:
        del shown["startedBy"]
    return shown


def _attachments(facts: TaskFacts, task_id: str) -> list[dict[str, Any]]:
    """In awsvpc mode the network interface of the task, with its address."""
    address = own_address(facts.app, facts.seen)
    if not address:
        return []
    interface, attachment = interface_ids(task_id)
    details = {
        **({"subnetId": facts.origin.subnet} if facts.origin.subnet else {}),
        "networkInterfaceId": interface,
        "privateDnsName": f"ip-{address.replace('.', '-')}.ec2.internal",
        "privateIPv4Address": address,
    }
    return [
        {
            "id": attachment,
            "type": "ElasticNetworkInterface",
            "status": "ATTACHED",
            "details": [{"name": name, "value": value} for name, value in details.items()],
        }
    ]


def _limits(app: App) -> dict[str, str]:
    """cpu and memory of the task: the sum of its containers', in the units of a task definition."""
    parts = (app.resources, *(c.resources for c in app.containers))
    cpu = sum(part.cpu_shares or 0 for part in parts)
    memory_bytes = sum(part.memory_bytes or part.memory_reservation_bytes or 0 for part in parts)
    return {"cpu": str(cpu), "memory": str(memory_bytes // _MIB)}


def _times(record: InstanceRecord) -> Mapping[str, int]:
    leaving_ms = record.draining_at_ms or record.stopping_at_ms
    times = {
        "createdAt": record.planned_at_ms,
        "connectivityAt": record.started_at_ms,
        "startedAt": record.started_at_ms,
        "stoppingAt": leaving_ms or (record.gone_at_ms if record.failed else None),
        "executionStoppedAt": record.gone_at_ms,
        "stoppedAt": record.gone_at_ms,
    }
    return {name: at_ms for name, at_ms in times.items() if at_ms is not None}
