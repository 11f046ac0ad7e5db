"""Service deployments in the store."""

from __future__ import annotations

from portway.controller.ecs.deployments import (
    KIND,
    DeploymentBook,
    forget_deployments,
    stored_deployments,
)
from portway.core.instance import Phase
from portway.core.state import DeploymentStatus
from portway.store.documents import MemoryDocuments
from tests.core.ecs.made import APP_ID, NAMES, app, deployment, record, state

ARN = NAMES.service_arn("c", "web")
DONE = deployment("R1", DeploymentStatus.DONE, ended_at_ms=1500)


async def test_what_is_written_is_read_and_written_once() -> None:
    documents, book = MemoryDocuments(), DeploymentBook()
    service = state(record(1, Phase.READY), of=app("group"), deployment=DONE)
    await book.write(documents, ARN, service, NAMES, now_ms=1)
    [stored] = await stored_deployments(documents, ARN)
    assert (stored.revision, stored.status, stored.targets[0].group) == ("R1", "SUCCESSFUL", "group")  # fmt: skip
    before = await documents.get(KIND, ARN)
    await book.write(documents, ARN, service, NAMES, now_ms=2)
    await DeploymentBook().write(documents, ARN, service, NAMES, now_ms=3)
    assert await documents.get(KIND, ARN) == before


async def test_a_new_service_of_the_name_begins_anew() -> None:
    documents, book = MemoryDocuments(), DeploymentBook()
    await book.write(documents, ARN, state(deployment=DONE), NAMES, now_ms=1)
    book.drop(APP_ID)
    await forget_deployments(documents, ARN)
    await book.write(documents, ARN, state(deployment=None), NAMES, now_ms=1)
    assert await stored_deployments(documents, ARN) == ()
