"""/v2/deployments: updates on their way, and their end before it."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from portway.api.marathon.answers import answer, nothing
from portway.api.marathon.call import Call
from portway.api.marathon.deploying import deployed
from portway.controller.marathon.catalogue import Action
from portway.controller.marathon.shown import shown_deployment


async def list_deployments(call: Call) -> Response:
    """GET /v2/deployments"""
    catalogue, sight = call.marathon.catalogue, call.marathon.sight

    def readiness_of(action: Action) -> list[dict[str, Any]]:
        entry = catalogue.entries.get(action.path)
        return sight.readiness(entry) if entry is not None else []

    running = sorted(catalogue.deployments.values(), key=lambda d: d.version)
    return answer([shown_deployment(one, readiness_of) for one in running])


async def cancel_deployment(call: Call) -> Response:
    """DELETE /v2/deployments/{deployment}"""
    rollback = not call.flag("force")
    undo = await call.marathon.cancel(call.parts["deployment"], rollback=rollback)
    return nothing(202) if undo is None else deployed(undo)
