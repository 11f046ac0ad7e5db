"""Requests to ECS that a crash cut short, in memory."""

from __future__ import annotations

from pathlib import Path

from portway.api.aws.ecs.repairs import repair_ecs
from portway.api.aws.ecs.service_store import KIND, PENDING
from portway.api.aws.settings import AwsSettings
from portway.controller.ecs.histories import TOKEN_KIND
from tests.api.aws.ecs.conftest import Ecs
from tests.api.aws.ecs.test_services import create, described, register, settled


async def repaired(ecs: Ecs) -> None:
    portway = ecs.portway
    settings = AwsSettings(
        documents=portway.store.documents,
        keys=Path("/nowhere"),
        now_ms=portway.clock.now_ms,
        home_id=portway.world.home_id,
    )
    await repair_ecs(portway.operations, settings)


async def half_made(ecs: Ecs, **changes: object) -> None:
    """A service that is kept, of which nothing runs: its server died in between."""
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    await create(ecs)
    [document] = await ecs.portway.store.documents.list(KIND)
    await ecs.portway.operations.remove_app("c", "web")
    await ecs.portway.until(lambda: "c/web" not in ecs.portway.world.apps)
    await ecs.portway.idle(1)
    body = {**document.body, PENDING: False, **changes}
    await ecs.portway.store.documents.put(KIND, document.key, body)


async def test_a_service_that_was_kept_and_never_ran_runs(ecs: Ecs) -> None:
    await half_made(ecs)
    await repaired(ecs)
    service = await settled(ecs)
    assert (service["status"], service["runningCount"]) == ("ACTIVE", 2)
    [document] = await ecs.portway.store.documents.list(KIND)
    assert PENDING not in document.body


async def test_one_that_would_be_refused_now_is_forgotten(ecs: Ecs) -> None:
    await half_made(ecs, task_definition="gone:1")
    await repaired(ecs)
    assert await ecs.portway.store.documents.list(KIND) == ()


async def test_one_whose_app_is_there_already_is_only_marked(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    await create(ecs)
    before = (await settled(ecs))["deployments"]
    [document] = await ecs.portway.store.documents.list(KIND)
    await ecs.portway.store.documents.put(KIND, document.key, {**document.body, PENDING: True})
    await repaired(ecs)
    assert (await described(ecs))["deployments"] == before
    [document] = await ecs.portway.store.documents.list(KIND)
    assert PENDING not in document.body


async def test_one_that_was_to_go_goes(ecs: Ecs) -> None:
    await ecs("create_cluster", clusterName="c")
    await register(ecs)
    await create(ecs)
    [document] = await ecs.portway.store.documents.list(KIND)
    await ecs.portway.store.documents.put(KIND, document.key, {**document.body, "status": "DRAINING"})  # fmt: skip
    await repaired(ecs)
    await ecs.portway.until(lambda: "c/web" not in ecs.portway.world.apps)
    assert (await described(ecs))["status"] == "INACTIVE"


async def test_the_token_of_a_request_that_was_never_answered_is_free(ecs: Ecs) -> None:
    documents = ecs.portway.store.documents
    await documents.put(TOKEN_KIND, "default/t", {"request": {}, "tasks": None})
    await documents.put(TOKEN_KIND, "default/u", {"request": {}, "tasks": []})
    await repaired(ecs)
    assert [d.key for d in await documents.list(TOKEN_KIND)] == ["default/u"]
