"""Services as they are kept: what was asked for, in CreateService's own words, and the App that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from portway.api.aws.ecs.awsvpc import in_network
from portway.api.aws.ecs.common import ACTIVE, DRAINING, INACTIVE, refused
from portway.api.aws.ecs.definitions import Definition, find_definition
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.controller.ecs.histories import PENDING_MARK, SERVICE_KIND
from portway.core.app import App
from portway.core.aws_names import service_app_id
from portway.core.ecs.labels import SERVICE, Origin, labels_of
from portway.core.state import AppState
from portway.manifests.ecs_app import Making, app_of, secret_faults, secret_names
from portway.manifests.ecs_ports import Reach
from portway.manifests.ecs_service import with_service
from portway.store.base import Document

KIND = SERVICE_KIND
# Of a document whose App was not put yet: whether its maker is bound by the policy.
PENDING = PENDING_MARK

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service. `spec`: what CreateService and UpdateService said; `request`: the first of it, to know it again.

    `is_of_files`: it was deployed as files, and is read from the App that they made.
    """

    cluster: str
    name: str
    arn: str
    status: str
    created_at_ms: int
    task_definition: str
    spec: Body
    tags: tuple[Mapping[str, str], ...] = ()
    request: Body | None = None
    created_by: str = ""
    is_of_files: bool = False

    @property
    def app_id(self) -> str:
        """The App that it is."""
        return service_app_id(self.cluster, self.name)

    @property
    def is_daemon(self) -> bool:
        """Whether it runs once on every container instance."""
        return self.spec.get("schedulingStrategy") == "DAEMON"

    @property
    def is_classic(self) -> bool:
        """Whether it is behind a classic load balancer."""
        return any(lb.get("loadBalancerName") for lb in self.spec.get("loadBalancers") or ())

    def status_with(self, state: AppState | None) -> str:
        """DRAINING until nothing of it is left, whoever took it away; then INACTIVE."""
        if state is None:
            return INACTIVE
        return DRAINING if state.target is None else self.status

    def body(self) -> dict[str, Any]:
        """The document."""
        return {
            "cluster": self.cluster,
            "name": self.name,
            "arn": self.arn,
            "status": self.status,
            "created_at_ms": self.created_at_ms,
            "task_definition": self.task_definition,
            "spec": dict(self.spec),
            "tags": [dict(tag) for tag in self.tags],
            "request": dict(self.request) if self.request is not None else None,
            "created_by": self.created_by,
        }


def service_of(document: Document) -> Service:
    """What a document says."""
    stored = document.body
    return Service(
        cluster=stored["cluster"],
        name=stored["name"],
        arn=stored["arn"],
        status=stored.get("status", ACTIVE),
        created_at_ms=stored.get("created_at_ms", 0),
        task_definition=stored.get("task_definition", ""),
        spec=stored.get("spec") or {},
        tags=tuple(stored.get("tags") or ()),
        request=stored.get("request"),
        created_by=stored.get("created_by", ""),
    )


async def usable_definition(face: Face, wanted: str) -> Definition:
    """The task definition that a service or task is to run; ClientException for one that is not there or not ACTIVE."""
    found = await find_definition(face, wanted)
    if found is None:
        raise refused("TaskDefinition not found.")
    if found.status != ACTIVE:
        raise refused("TaskDefinition is inactive")
    return found


async def secrets_for(face: Face, body: Body) -> Mapping[str, str]:
    """What the secrets of a task definition hold; ClientException for the first that nobody has."""
    names = secret_names(body)
    if not names:
        return {}
    secrets = await face.operations.secrets(names)
    for fault in secret_faults(body, secrets, file="secrets/{name} in the home of portway"):
        raise AwsError("ClientException", f"{fault.message}. {fault.hint}", 400)
    return secrets


async def app_for(face: Face, service: Service, definition: Definition) -> App:
    """The App of a service that runs this task definition."""
    secrets = await secrets_for(face, definition.body)
    making = Making(app_id=service.app_id, reach=Reach.NODE, secrets=secrets)
    app = with_service(app_of(definition.body, making), service.spec, reach=Reach.NODE)
    made = Origin(
        kind=SERVICE,
        cluster=service.cluster,
        service=service.name,
        task_definition=definition.arn,
        launch_type=service.spec.get("launchType") or "EC2",
    )
    origin = await in_network(face, made, service.spec.get("networkConfiguration"))
    return replace(app, labels={**app.labels, **labels_of(origin)})
