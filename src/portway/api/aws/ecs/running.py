"""RunTask and StartTask: tasks of no service. Each is an App of its own that runs once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from msgspec import json

from portway.api.aws.ecs.awsvpc import checked_network, in_network
from portway.api.aws.ecs.clusters import use_cluster
from portway.api.aws.ecs.common import check_tags, invalid, merged, missing, names_of, within
from portway.api.aws.ecs.definitions import Definition
from portway.api.aws.ecs.placing import misfits, waiting
from portway.api.aws.ecs.service_checks import LAUNCH_OR_STRATEGY
from portway.api.aws.ecs.service_store import secrets_for, usable_definition
from portway.api.aws.ecs.task_definitions import refusal_text
from portway.api.aws.ecs.task_store import Task, tasks_named
from portway.api.aws.ecs.task_tags import managed_tags
from portway.api.aws.ecs.tasks import with_extra
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.controller.ecs.histories import EXTRA_KIND, TOKEN_KIND
from portway.core.app import App, Breaker, Restart, Rollout
from portway.core.aws_names import task_app_id
from portway.core.ecs.labels import TASK, Origin, labels_of
from portway.core.errors import PortwayError
from portway.manifests.ecs_app import Making, app_of
from portway.manifests.ecs_definition import check_definition, overridden
from portway.manifests.ecs_ports import Reach
from portway.manifests.ecs_service import placement_of
from portway.store.base import DocumentChangedError

COUNT_MAX = 10
OVERRIDES_LENGTH_MAX = 8192
STARTED_BY_LENGTH_MAX = 128

_NO_NODES = "No Container Instances were found in your cluster."
_REFUSES = {"volumeConfigurations": "there are no EBS volumes here"}
_IGNORES = ("enableExecuteCommand", "referenceId")
_TASK_IGNORES = (*_IGNORES, "platformVersion", "capacityProviderStrategy")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What every task of one request has."""

    cluster: str
    definition: Definition
    origin: Origin
    body: Mapping[str, Any]
    secrets: Mapping[str, str]
    request: Request
    tags: tuple[Mapping[str, str], ...]


@operation("ecs", "RunTask", refuses=_REFUSES, ignores=_TASK_IGNORES)
async def run_task(face: Face, request: Request) -> dict[str, Any]:
    """Run up to ten tasks where there is room for them; what does not fit is a failure of the answer, not of the request."""
    count = request.get("count", 1)
    if not 1 <= count <= COUNT_MAX:
        raise invalid(f"Task count must be between 1 and {COUNT_MAX}.")
    if request.get("launchType") and request.get("capacityProviderStrategy"):
        raise invalid(LAUNCH_OR_STRATEGY)
    asked = await _asked(face, request)
    token = request.get("clientToken")
    if token is None:
        return await _run(face, asked, nodes=[""] * count)
    async with face.alone(f"run-task {asked.cluster}/{token}"):
        return await _run_once(face, asked, token, count)


async def _run_once(face: Face, asked: _Asked, token: str, count: int) -> dict[str, Any]:
    """The same token again is the same tasks; with another request it is refused."""
    key = f"{asked.cluster}/{token}"
    said = {k: v for k, v in asked.request.input.items() if k != "clientToken"}
    try:
        await face.documents.put(TOKEN_KIND, key, {"request": said, "tasks": None}, 0)
    except DocumentChangedError:
        kept = await face.documents.get(TOKEN_KIND, key)
        body = kept.body if kept else {}
        if body.get("request") != said:
            told = "The client token was used with another request already."
            raise AwsError("ConflictException", told, 400) from None
        if body.get("tasks") is not None:
            tasks = await tasks_named(face, asked.cluster, body["tasks"])
            return {"tasks": [tasks[arn] for arn in body["tasks"] if arn in tasks], "failures": []}
    try:
        answer = await _run(face, asked, nodes=[""] * count)
    except BaseException:
        await face.documents.delete(TOKEN_KIND, key)
        raise
    arns = [task["taskArn"] for task in answer["tasks"]]
    if arns:
        await face.documents.put(TOKEN_KIND, key, {"request": said, "tasks": arns})
    else:
        await face.documents.delete(TOKEN_KIND, key)  # whoever tries again may find room
    return answer


@operation("ecs", "StartTask", refuses=_REFUSES, ignores=_IGNORES)
async def start_task(face: Face, request: Request) -> dict[str, Any]:
    """Run a task on each of these container instances."""
    wanted = request["containerInstances"]
    if not 1 <= len(wanted) <= COUNT_MAX:
        raise invalid(f"Container instances must be 1 to {COUNT_MAX} items.")
    asked = await _asked(face, request)
    names = names_of(face)
    known = {names.container_instance_id(n.name): n.name for n in await face.operations.nodes()}
    nodes: list[str] = []
    failures: list[dict[str, str]] = []
    for one in wanted:
        node = known.get(within(face, one, asked.cluster, "container-instance"))
        if node is None:
            failures.append(missing(one))
        else:
            nodes.append(node)
    answer = await _run(face, asked, nodes=nodes) if nodes else {"tasks": [], "failures": []}
    return {"tasks": answer["tasks"], "failures": [*failures, *answer["failures"]]}


async def _asked(face: Face, request: Request) -> _Asked:
    check_tags(request.get("tags", []))
    _check_said(request)
    cluster = await use_cluster(face, request.get("cluster"))
    definition = await usable_definition(face, request["taskDefinition"])
    network = await checked_network(face, definition.body, request.input)
    alone = Origin(
        kind=TASK,
        cluster=cluster,
        task_definition=definition.arn,
        started_by=request.get("startedBy") or "",
        group=request.get("group") or "",
        launch_type=request.get("launchType") or "EC2",
    )
    body, strangers = overridden(definition.body, request.get("overrides") or {})
    if strangers:
        told = f"Override for container named {strangers[0]} is not a container in the TaskDefinition."  # fmt: skip
        raise invalid(told)
    # What is overridden keeps the rules of a definition: the engine would find out too late.
    if request.get("overrides") and (faults := check_definition(body).faults):
        raise invalid(refusal_text(faults[0]))
    tags = merged(definition.tags, []) if request.get("propagateTags") == "TASK_DEFINITION" else []
    managed = managed_tags(cluster) if request.get("enableECSManagedTags") else []
    return _Asked(
        cluster=cluster,
        definition=definition,
        origin=await in_network(face, alone, network),
        body=body,
        secrets=await secrets_for(face, body),
        request=request,
        tags=tuple(merged(merged(tags, request.get("tags", [])), managed)),
    )


def _check_said(request: Request) -> None:
    """InvalidParameterException for more than RunTask takes, or for what would look like a task of a service."""
    if len(json.encode(request.get("overrides") or {})) > OVERRIDES_LENGTH_MAX:
        raise invalid(f"Container Overrides length must be at most {OVERRIDES_LENGTH_MAX}")
    if (request.get("group") or "").startswith("service:"):
        raise invalid("Invalid namespace for group.")
    if len(request.get("startedBy") or "") > STARTED_BY_LENGTH_MAX:
        raise invalid(f"startedBy should be {STARTED_BY_LENGTH_MAX} characters or less.")


async def _run(face: Face, asked: _Asked, *, nodes: list[str]) -> dict[str, Any]:
    """One task for each of these nodes; "" is wherever it fits."""
    async with face.alone("run-task"):  # what is let in is counted before the next one is looked at
        arns, failures = await _let_in(face, asked, nodes)
    tasks = await tasks_named(face, asked.cluster, arns)
    shown = [await with_extra(face, tasks[arn], tags=True) for arn in arns if arn in tasks]
    return {"tasks": shown, "failures": failures}


async def _let_in(
    face: Face, asked: _Asked, nodes: list[str]
) -> tuple[list[str], list[dict[str, str]]]:
    statuses = await face.operations.node_statuses()
    if not statuses:
        raise invalid(_NO_NODES)
    overview = await face.operations.overview()
    taken = waiting(overview, statuses)
    arns: list[str] = []
    failures: list[dict[str, str]] = []
    names = names_of(face)
    for node in nodes:
        app, arn = _app(face, asked, node)
        found = misfits(app, statuses, overview, taken)
        fit = [s.node.name for s in statuses if s.node.name not in found]
        if not fit:
            nearest = node or statuses[0].node.name
            failures.append(
                {
                    "arn": names.container_instance_arn(asked.cluster, nearest),
                    "reason": found[nearest],
                }
            )
            continue
        taken.setdefault(fit[0], []).append(app)
        await _start(face, asked, app, arn)
        arns.append(arn)
    return arns, failures


async def _start(face: Face, asked: _Asked, app: App, arn: str) -> None:
    overrides = asked.request.get("overrides")
    if asked.tags or overrides:
        extra = {"tags": [dict(tag) for tag in asked.tags], "overrides": overrides}
        await face.documents.put(EXTRA_KIND, arn, extra)
    try:
        await face.operations.put_app(
            app.stack,
            app,
            count=1,
            description=f"RunTask {asked.definition.family}:{asked.definition.revision}",
            note=f"task {arn.rpartition('/')[2]} is to run",
            within_policy=face.caller.within_policy,
        )
    except PortwayError:
        await face.documents.delete(EXTRA_KIND, arn)
        raise


def _app(face: Face, asked: _Asked, node: str) -> tuple[App, str]:
    """The App of one task, and the task's ARN."""
    task_id = face.new_id(16)
    request, definition = asked.request, asked.definition
    app_id = task_app_id(asked.cluster, definition.family, task_id)
    making = Making(app_id=app_id, reach=Reach.NODE, secrets=asked.secrets)
    app = app_of(asked.body, making)
    origin = replace(asked.origin, task_id=task_id)
    placement = placement_of(
        {k: request.get(k) for k in ("placementConstraints", "placementStrategy")}, app.placement
    )
    made: Task = {"labels": {**app.labels, **labels_of(origin)}}
    app = replace(
        app,
        count=1,
        restart=Restart.NEVER,
        placement=replace(placement, node=node),
        rollout=Rollout(
            strict_bounds=True,
            progress_deadline_s=0.0,
            breaker=Breaker(enabled=False, rollback=False),
        ),
        **made,
    )
    return app, names_of(face).task_arn(asked.cluster, task_id)
