"""What a crash in the middle of a request left half done is finished, or taken back, before anything new is asked."""

from __future__ import annotations

import structlog

from portway.api.aws.ecs.common import ACTIVE, DRAINING
from portway.api.aws.ecs.service_store import (
    KIND,
    PENDING,
    Service,
    app_for,
    service_of,
    usable_definition,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Caller, Face
from portway.api.aws.keys import KeyFolder
from portway.api.aws.settings import AwsSettings
from portway.api.roles import Role
from portway.controller.contract import Operations
from portway.controller.ecs.histories import TOKEN_KIND
from portway.core.errors import PortwayError, RequestError
from portway.store.base import Document

log = structlog.get_logger()


async def repair_ecs(operations: Operations, settings: AwsSettings) -> None:
    """Services that were kept and never came to run, or were to go and still do; tokens of requests nobody answers."""
    face = _face(operations, settings)
    overview = await face.operations.overview()
    for document in await face.documents.list(KIND):
        service = service_of(document)
        state = overview.apps.get(service.app_id)
        try:
            if service.status == DRAINING and state is not None and state.target is not None:
                stack, _, app = service.app_id.rpartition("/")
                await face.operations.remove_app(stack, app)
            elif service.status == ACTIVE and PENDING in document.body:
                await _finish(face, service, document, is_there=state is not None)
        except PortwayError as error:
            log.warning("service_not_repaired", service=service.arn, error=str(error))
    for document in await face.documents.list(TOKEN_KIND):
        if document.body.get("tasks") is None:
            await face.documents.delete(TOKEN_KIND, document.key)


def _face(operations: Operations, settings: AwsSettings) -> Face:
    return Face(
        operations=operations,
        documents=settings.documents,
        keys=KeyFolder(settings.keys),
        account_id=settings.account_id,
        region=settings.region,
        home_id=settings.home_id,
        caller=Caller(name="", role=Role.ADMIN),
        now_ms=settings.now_ms,
    )


async def _finish(face: Face, service: Service, document: Document, *, is_there: bool) -> None:
    """Have the service run; one that is refused now is forgotten, as its maker would have been told."""
    if not is_there:
        try:
            definition = await usable_definition(face, service.task_definition)
            app = await app_for(face, service, definition)
            await face.operations.put_app(
                app.stack,
                app,
                count=service.spec.get("desiredCount"),
                description=f"CreateService {service.name}",
                note=f"service {service.name} is created, after its server stopped in between",
                within_policy=bool(document.body[PENDING]),
            )
        except (AwsError, RequestError) as error:
            log.warning("service_forgotten", service=service.arn, error=str(error))
            await face.documents.delete(KIND, document.key)
            return
    await face.documents.put(KIND, document.key, service.body(), document.version)
