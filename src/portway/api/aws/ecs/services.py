"""ECS services: CreateService, UpdateService, DeleteService, DescribeServices, ListServices."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from portway.api.aws.ecs.awsvpc import checked_network
from portway.api.aws.ecs.classic import names_in, take_over
from portway.api.aws.ecs.clusters import use_cluster
from portway.api.aws.ecs.common import (
    ACTIVE,
    DRAINING,
    check_tags,
    find_cluster,
    invalid,
    is_arn,
    listed,
    merged,
    missing,
    names_of,
    within,
)
from portway.api.aws.ecs.definitions import Definition
from portway.api.aws.ecs.service_checks import (
    check_balancers,
    check_name,
    check_spec,
)
from portway.api.aws.ecs.service_finding import as_it_runs, find_service, running_in
from portway.api.aws.ecs.service_store import (
    KIND,
    PENDING,
    Service,
    app_for,
    service_of,
    usable_definition,
)
from portway.api.aws.ecs.service_view import shown_service
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import changed
from portway.api.aws.operation import Request, operation
from portway.controller.ecs.deployments import forget_deployments
from portway.controller.ecs.histories import forget_history, history_of
from portway.core.ecs.deployments import deployments_of
from portway.core.ecs.labels import origin_of
from portway.core.errors import PortwayError
from portway.core.state import AppState
from portway.store.base import DocumentChangedError

_SERVICES_MAX = 10
_LISTED = 10
_ELSEWHERE = ("cluster", "service", "serviceName", "taskDefinition", "clientToken", "tags", "forceNewDeployment")  # fmt: skip
_REPLACES = (
    "loadBalancers",
    "networkConfiguration",
    "platformVersion",
)  # what AWS replaces tasks for

_REFUSES = {
    "volumeConfigurations": "there are no EBS volumes here",
    "vpcLatticeConfigurations": "there is no VPC Lattice here",
    "gatewayConnectors": "there are no gateway connectors here",
    "loadBalancers.advancedConfiguration": "there are no blue-green target groups",
    "deploymentConfiguration.lifecycleHooks": "no hooks are called",
}
_IGNORES = (
    "serviceRegistries", "serviceConnectConfiguration", "enableExecuteCommand", "monitoring", "platformVersion",
    "availabilityZoneRebalancing", "capacityProviderStrategy",
    "deploymentConfiguration.alarms", "deploymentConfiguration.bakeTimeInMinutes",
    "deploymentConfiguration.linearConfiguration", "deploymentConfiguration.canaryConfiguration",
)  # fmt: skip


@operation("ecs", "CreateService", refuses=_REFUSES, ignores=(*_IGNORES, "role"))
async def create_service(face: Face, request: Request) -> dict[str, Any]:
    """Make a service and begin to run it; the same one again is answered as it is."""
    check_name(request["serviceName"])
    check_tags(request.get("tags", []))
    cluster = await use_cluster(face, request.get("cluster"))
    async with face.alone(names_of(face).service_arn(cluster, request["serviceName"])):
        return await _create(face, request, cluster)


async def _create(face: Face, request: Request, cluster: str) -> dict[str, Any]:
    known = await find_service(face, cluster, request["serviceName"])
    said = {k: v for k, v in request.input.items() if k != "clientToken"}
    version = 0
    if known is not None:
        same = await _standing(face, known, said)
        if same is not None:
            return same
        found = await face.documents.get(KIND, known.arn)
        version = found.version if found else 0
    if not request.get("taskDefinition"):
        raise invalid("TaskDefinition can not be blank.")
    service = _fresh(face, request, cluster, said)
    check_spec(service.spec)
    definition = await usable_definition(face, request["taskDefinition"])
    spec = await _in_network(face, definition, service.spec)
    await check_balancers(face, spec, definition)
    service = replace(service, spec=spec, task_definition=definition.arn)
    app = await app_for(face, service, definition)
    await _begin(face, service, version)
    await take_over(face, service.spec)
    try:
        await face.operations.put_app(
            app.stack,
            app,
            count=service.spec.get("desiredCount"),
            description=f"CreateService {service.name}",
            note=f"service {service.name} is created",
            within_policy=face.caller.within_policy,
        )
    except PortwayError:
        await face.documents.delete(KIND, service.arn)
        raise
    await changed(
        face.documents,
        KIND,
        service.arn,
        lambda body: {k: v for k, v in body.items() if k != PENDING},
    )
    return {"service": await _described(face, service, include=("TAGS",))}


def _fresh(face: Face, request: Request, cluster: str, said: Mapping[str, Any]) -> Service:
    name = request["serviceName"]
    return Service(
        cluster=cluster,
        name=name,
        arn=names_of(face).service_arn(cluster, name),
        status=ACTIVE,
        created_at_ms=face.now_ms(),
        task_definition="",
        spec={k: v for k, v in said.items() if k not in _ELSEWHERE},
        tags=tuple(merged([], request.get("tags", []))),
        request=said,
        created_by=face.caller.arn,
    )


async def _standing(face: Face, known: Service, said: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer where there is such a service already; None where it is gone and the name is free."""
    overview = await face.operations.overview(app_ids=(known.app_id,))
    state = overview.apps.get(known.app_id)
    if known.is_of_files:
        raise of_files(known, "Creation of service was not idempotent.")
    if state is not None and known.status_with(state) == DRAINING:
        raise invalid("Unable to Start a service that is still Draining.")
    if known.status == DRAINING:
        return None
    if known.request != said:
        raise invalid("Creation of service was not idempotent.")
    if state is None:
        return None  # it was kept and never came to run
    return {"service": await _described(face, known, include=("TAGS",))}


async def _begin(face: Face, service: Service, version: int) -> None:
    """Keep it before anything runs; what was told of one before it is forgotten."""
    await forget_history(face.documents, service.arn)
    await forget_deployments(face.documents, service.arn)
    try:
        body = {**service.body(), PENDING: face.caller.within_policy}
        await face.documents.put(KIND, service.arn, body, version)
    except DocumentChangedError:
        raise invalid("Creation of service was not idempotent.") from None


@operation("ecs", "UpdateService", refuses=_REFUSES, ignores=_IGNORES)
async def update_service(face: Face, request: Request) -> dict[str, Any]:
    """Change a service; what its tasks are made of changes by a new deployment."""
    cluster = await find_cluster(face, request.get("cluster"))
    async with face.alone(_key(face, cluster, request["service"])):
        return await _update(face, request, cluster)


def _key(face: Face, cluster: str, wanted: str) -> str:
    """What a service is changed under, by name or ARN; whoever makes one of that name waits as well."""
    return names_of(face).service_arn(cluster, within(face, wanted, cluster, "service"))


async def _update(face: Face, request: Request, cluster: str) -> dict[str, Any]:
    known = await _found(face, cluster, request["service"])
    overview = await face.operations.overview(app_ids=(known.app_id,))
    state = overview.apps.get(known.app_id)
    if known.status_with(state) != ACTIVE:
        raise AwsError("ServiceNotActiveException", "Service was not ACTIVE.", 400)
    if known.is_of_files:
        return await _update_of_files(face, request, known)
    known = as_it_runs(known, state)
    given = {k: v for k, v in request.input.items() if k not in _ELSEWHERE}
    count = request.get("desiredCount")
    desired = count if count is not None else state.count if state else known.spec.get("desiredCount")  # fmt: skip
    spec = {**known.spec, **_merged_deployment(known.spec, given)}
    if not known.is_daemon:
        spec["desiredCount"] = desired
    check_spec(_as_updated(spec, given))
    wanted = request.get("taskDefinition") or _runs(known, state)
    definition = await usable_definition(face, wanted)
    spec = await _in_network(face, definition, spec)
    await check_balancers(face, spec, definition)
    service = replace(known, spec=spec, task_definition=definition.arn)
    app = await app_for(face, service, definition)
    replaced = definition.arn != _runs(known, state) or any(
        m in given and spec.get(m) != known.spec.get(m) for m in _REPLACES
    )
    if names_in(spec) != names_in(known.spec):
        await take_over(face, spec)
    await face.operations.put_app(
        app.stack,
        app,
        count=count,
        description=f"UpdateService {service.name}",
        note=f"service {service.name} is updated",
        force=bool(request.get("forceNewDeployment")) or replaced,
        within_policy=face.caller.within_policy,
    )
    kept = await changed(
        face.documents,
        KIND,
        known.arn,
        lambda body: {**body, "spec": dict(spec), "task_definition": definition.arn},
    )
    shown = service_of(kept) if kept else service
    return {"service": await _described(face, shown, include=("TAGS",))}


async def _update_of_files(face: Face, request: Request, known: Service) -> dict[str, Any]:
    """Of a service deployed as files the count can be changed, and its tasks replaced; the rest is in the files."""
    others = sorted(request.input.keys() - {"cluster", "service", "desiredCount", "forceNewDeployment"})  # fmt: skip
    if others:
        raise of_files(known, f"{others[0]} cannot be changed.")
    stack, _, app = known.app_id.rpartition("/")
    if request.get("desiredCount") is not None:
        await face.operations.scale(stack, {app: request["desiredCount"]})
    if request.get("forceNewDeployment"):
        await face.operations.restart(stack, app)
    return {"service": await _described(face, known, include=("TAGS",))}


def of_files(service: Service, told: str) -> AwsError:
    """The refusal of what only the files of a service can say."""
    stack = service.app_id.rpartition("/")[0]
    return invalid(
        f"{told} The service {service.name} was deployed as files, with the stack {stack}: change them and `portway deploy -a {stack}`."
    )


async def _in_network(
    face: Face, definition: Definition, spec: Mapping[str, Any]
) -> dict[str, Any]:
    """The spec with its network as it is shown; InvalidParameterException where that cannot be."""
    network = await checked_network(face, definition.body, spec)
    return {**spec, **({"networkConfiguration": network} if network else {})}


def _runs(service: Service, state: AppState | None) -> str:
    """The task definition that the service runs now: after a rollback not the one it was told last."""
    origin = origin_of(state.target.app) if state is not None and state.target else None
    return origin.task_definition if origin else service.task_definition


def _merged_deployment(old: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, on top; of deploymentConfiguration member by member."""
    merged_spec = dict(given)
    if "deploymentConfiguration" in given:
        before = old.get("deploymentConfiguration") or {}
        merged_spec["deploymentConfiguration"] = {**before, **given["deploymentConfiguration"]}
    return merged_spec


def _as_updated(spec: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec as it is checked: a grace period is looked at where it is given."""
    if "healthCheckGracePeriodSeconds" in given or spec.get("loadBalancers"):
        return spec
    return {k: v for k, v in spec.items() if k != "healthCheckGracePeriodSeconds"}


@operation("ecs", "DeleteService")
async def delete_service(face: Face, request: Request) -> dict[str, Any]:
    """Drain and stop a service. It is DRAINING until its last task is gone, then INACTIVE."""
    cluster = await find_cluster(face, request.get("cluster"))
    async with face.alone(_key(face, cluster, request["service"])):
        return await _delete(face, request, cluster)


async def _delete(face: Face, request: Request, cluster: str) -> dict[str, Any]:
    known = await _found(face, cluster, request["service"])
    overview = await face.operations.overview(app_ids=(known.app_id,))
    state = overview.apps.get(known.app_id)
    if known.is_of_files:
        raise of_files(known, "It cannot be deleted alone.")
    if known.status == ACTIVE:
        if state is not None and not request.get("force") and not known.is_daemon:
            if state.count > 0:
                raise invalid("The service cannot be stopped while it is scaled above 0.")
            if len(deployments_of(state, names_of(face))) > 1:
                raise invalid("The service cannot be stopped while deployments are active.")
        kept = await changed(
            face.documents, KIND, known.arn, lambda body: {**body, "status": DRAINING}
        )
        known = service_of(kept) if kept else known
        if state is not None and state.target is not None:
            stack, _, app = known.app_id.rpartition("/")
            await face.operations.remove_app(stack, app)
    return {"service": await _described(face, known)}


@operation("ecs", "DescribeServices")
async def describe_services(face: Face, request: Request) -> dict[str, Any]:
    """Up to ten services by name or ARN."""
    wanted = request["services"]
    if not wanted:
        raise invalid("Services cannot be empty.")
    if len(wanted) > _SERVICES_MAX:
        raise invalid("Services can have at most 10 items.")
    cluster = await find_cluster(face, request.get("cluster"))
    services: list[Service] = []
    failures: list[dict[str, str]] = []
    for one in dict.fromkeys(wanted):
        found = await find_service(face, cluster, one)
        if found is None:
            arn = one if is_arn(one) else names_of(face).service_arn(cluster, one)
            failures.append(missing(arn))
        else:
            services.append(found)
    overview = await face.operations.overview(app_ids=[s.app_id for s in services])
    include = request.get("include", [])
    shown = [
        shown_service(
            service,
            overview,
            names_of(face),
            history=await history_of(face.documents, service.arn),
            include=include,
        )
        for service in services
    ]
    return {"services": shown, "failures": failures}


@operation("ecs", "ListServices")
async def list_services(face: Face, request: Request) -> dict[str, Any]:
    """The ARNs of a cluster's services; those that are being deleted are not there any more."""
    cluster = await find_cluster(face, request.get("cluster"))
    launch_type, strategy = request.get("launchType"), request.get("schedulingStrategy")
    if request.get("resourceManagementType") not in (None, "CUSTOMER"):
        return {"serviceArns": []}
    names = names_of(face)
    found = [
        names.service_arn(cluster, origin.service)
        for origin, app in await running_in(face, cluster)
        if launch_type in (None, origin.launch_type)
        and strategy in (None, "DAEMON" if app.placement.daemon else "REPLICA")
    ]
    return listed(request, "serviceArns", found, size=_LISTED)


async def _found(face: Face, cluster: str, wanted: str) -> Service:
    """The service, unless it is gone altogether."""
    found = await find_service(face, cluster, wanted)
    if found is not None and found.status == DRAINING:
        overview = await face.operations.overview(app_ids=(found.app_id,))
        if not overview.apps:
            found = None
    if found is None:
        raise AwsError("ServiceNotFoundException", "Service not found.", 400)
    return found


async def _described(
    face: Face, service: Service, *, include: Collection[str] = ()
) -> dict[str, Any]:
    overview = await face.operations.overview(app_ids=(service.app_id,))
    history = await history_of(face.documents, service.arn)
    return shown_service(service, overview, names_of(face), history=history, include=include)
