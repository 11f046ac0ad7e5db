"""Services as they are found: kept as documents, or read from the Apps of those that were deployed as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from portway.api.aws.ecs.common import ACTIVE, Body, names_of, within
from portway.api.aws.ecs.service_store import KIND, Service, service_of
from portway.api.aws.face import Face
from portway.controller.overview import Overview
from portway.core.app import App
from portway.core.aws_names import AwsNames, service_app_id, slug
from portway.core.balancing.model import is_classic
from portway.core.ecs.labels import SERVICE, Origin, origin_of, origin_of_state
from portway.core.state import AppState


async def find_service(face: Face, cluster: str, wanted: str) -> Service | None:
    """The service by its name or ARN; one that is deleted is found as long as it is kept."""
    name = within(face, wanted, cluster, "service")
    if not name:
        return None
    names = names_of(face)
    document = await face.documents.get(KIND, names.service_arn(cluster, name))
    if document is not None:
        return service_of(document)
    overview = await face.operations.overview(app_ids=(service_app_id(cluster, name),))
    found = services_of_files(overview, cluster, names)
    return next((service for service in found if service.name == name), None)


async def running_in(face: Face, cluster: str) -> list[tuple[Origin, App]]:
    """The services of a cluster that are not being deleted, by their Apps alone: a listing reads no document."""
    overview = await face.operations.overview(slug(cluster))
    targets = [state.target.app for state in overview.apps.values() if state.target]
    found = [(origin, app) for app in targets if (origin := origin_of(app)) is not None]
    return [one for one in found if (one[0].kind, one[0].cluster) == (SERVICE, cluster)]


def services_of_files(overview: Overview, cluster: str, names: AwsNames) -> Iterator[Service]:
    """Those that were deployed as files: no document says what was asked for, so their Apps do."""
    for state in overview.apps.values():
        origin = origin_of_state(state)
        if origin is not None and origin.is_of_files and origin.cluster == cluster:
            yield _service(state, origin, overview, names)


def _service(state: AppState, origin: Origin, overview: Overview, names: AwsNames) -> Service:
    app = _app_of(state)
    return Service(
        cluster=origin.cluster,
        name=origin.service,
        arn=names.service_arn(origin.cluster, origin.service),
        status=ACTIVE,
        created_at_ms=overview.since_ms.get(state.app_id.rpartition("/")[0], 0),
        task_definition=origin.definition_arn(names),
        spec=_spec(app, state.count) if app else {},
        is_of_files=True,
    )


def _app_of(state: AppState) -> App | None:
    revisions = [*state.revisions.values(), *([state.target] if state.target else [])]
    return revisions[-1].app if revisions else None


def _spec(app: App, count: int) -> dict[str, Any]:
    """What CreateService would have said."""
    rollout, placement = app.rollout, app.placement
    breaker = {"enable": rollout.breaker.enabled, "rollback": rollout.breaker.rollback}
    spec: dict[str, Any] = {
        "loadBalancers": _bound(app),
        "deploymentConfiguration": {
            "minimumHealthyPercent": rollout.minimum_percent,
            "maximumPercent": rollout.maximum_percent,
            "deploymentCircuitBreaker": breaker,
        },
        "placementStrategy": [
            {"type": kind.value, **({"field": field} if field else {})}
            for kind, field in placement.strategies
        ],
        "placementConstraints": [
            *({"type": "memberOf", "expression": text} for text in placement.members),
            *([{"type": "distinctInstance"}] if placement.distinct else []),
        ],
    }
    if placement.daemon:
        spec["schedulingStrategy"] = "DAEMON"
    else:
        spec["desiredCount"] = count
    if app.health_grace_s:
        spec["healthCheckGracePeriodSeconds"] = int(app.health_grace_s)
    return spec


def _bound(app: App) -> list[dict[str, Any]]:
    return [
        {
            "loadBalancerName" if is_classic(binding.group) else "targetGroupArn": binding.group,
            "containerName": binding.container,
            "containerPort": binding.container_port,
        }
        for binding in app.targets
    ]


def as_it_runs(service: Service, state: AppState | None) -> Service:
    """The service as its App is: `portway rollback` brings the target groups of then back, `portway scale` another count."""
    if state is None or state.target is None:
        return service
    spec = dict(service.spec)
    if not service.is_daemon:
        spec["desiredCount"] = state.count
    said = list(spec.get("loadBalancers") or ())
    bound = _bound(state.target.app)
    if _as_set(said) != _as_set(bound):
        spec["loadBalancers"] = bound
    return replace(service, spec=spec)


def _as_set(balancers: Iterable[Body]) -> set[tuple[Any, ...]]:
    keys = ("targetGroupArn", "loadBalancerName", "containerName", "containerPort")
    return {tuple(one.get(key) for key in keys) for one in balancers}
