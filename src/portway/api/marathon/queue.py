"""/v2/queue: what waits to be started, and for what."""

from __future__ import annotations

from starlette.responses import Response

from portway.api.marathon.answers import answer, nothing
from portway.api.marathon.call import Call
from portway.controller.marathon.queueing import queue_item, waiting
from portway.controller.marathon.refusals import because


async def list_queue(call: Call) -> Response:
    """GET /v2/queue"""
    marathon = call.marathon
    found = (
        queue_item(marathon.world, entry, entry.definition, now_ms=marathon.now_ms)
        for entry in [*marathon.catalogue.entries.values()]
    )
    return answer({"queue": [item for item in found if item is not None]})


async def reset_delay(call: Call) -> Response:
    """DELETE /v2/queue/{id}/delay"""
    path, marathon = call.path(), call.marathon
    entry = marathon.catalogue.entries.get(path)
    state = marathon.world.apps.get(entry.app_id) if entry is not None else None
    if entry is None or state is None or not waiting(state):
        raise because(404, f"Application {path} not found in tasks queue.")
    stack, _, name = entry.app_id.partition("/")
    await marathon.operations.end_delay(stack, name)
    return nothing(204)
