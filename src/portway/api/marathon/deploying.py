"""What every call that deploys does alike: reads definitions as its caller may, and answers with the deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from portway.api.marathon.answers import answer
from portway.api.marathon.call import Call
from portway.controller.marathon.catalogue import APP, Catalogue, Deployment, Entry
from portway.controller.marathon.refusals import because, made_elsewhere, no_such
from portway.controller.marathon.shown import deployment_result
from portway.manifests.marathon.accept import accept_app, accept_pod, accept_update
from portway.manifests.marathon.paths import segments

ID_HEADER = "Marathon-Deployment-Id"


def deployed(
    deployment: Deployment, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The DeploymentResult of a deployment that has begun."""
    told = {ID_HEADER: deployment.id, **(headers or {})}
    return answer(deployment_result(deployment), status=status, headers=told)


def enforces_role(catalogue: Catalogue, path: str) -> bool:
    """Whether the top-level group of a path has one role for all that is in it."""
    group = catalogue.groups.get(f"/{segments(path)[0]}") if segments(path) else None
    return bool(group and group.enforce_role)


def replaced_app(call: Call, catalogue: Catalogue, raw: Any, path: str) -> dict[str, Any]:
    """The definition that a whole one makes of an app, whether or not there is one."""
    return _replaced(accept_app, call, catalogue, raw, path)


def replaced_pod(call: Call, catalogue: Catalogue, raw: Any, path: str) -> dict[str, Any]:
    """Likewise of a pod."""
    return _replaced(accept_pod, call, catalogue, raw, path)


def _replaced(
    accept: Callable[..., dict[str, Any]], call: Call, catalogue: Catalogue, raw: Any, path: str
) -> dict[str, Any]:
    known = catalogue.entries.get(path)
    return accept(
        raw,
        call.marathon.settings.definitions,
        path=path,
        existing=known.definition if known is not None else None,
        enforces_role=enforces_role(catalogue, path),
    )


def updated_app(call: Call, catalogue: Catalogue, raw: Any, known: Entry) -> dict[str, Any]:
    """The definition that a partial update makes of an app."""
    return accept_update(
        raw,
        known.definition,
        call.marathon.settings.definitions,
        enforces_role=enforces_role(catalogue, known.path),
    )


def known_app(call: Call, catalogue: Catalogue, path: str, kind: str = APP) -> Entry | None:
    """The app of a path as it is to be changed; refused where something else made it."""
    known = catalogue.entries.get(path)
    if known is not None and known.kind == kind:
        return known
    foreign = call.marathon.foreign.at(path) if known is None else None
    if foreign is not None:
        by_ecs = call.marathon.foreign.is_of_ecs(foreign.app_id)
        raise made_elsewhere(path, foreign.app_id, by_ecs=by_ecs)
    return None


def must_know(call: Call, catalogue: Catalogue, path: str, kind: str = APP) -> Entry:
    """Likewise; 404 where there is none."""
    known = known_app(call, catalogue, path, kind)
    if known is None:
        raise no_such(kind.capitalize(), path)
    return known


async def version_body(call: Call, entry: Entry, version: str) -> Mapping[str, Any]:
    """The definition as it was in a version; 404 for one that is not kept."""
    found = await call.marathon.documents.version_of(entry, version)
    if found is None:
        raise no_such(entry.kind.capitalize(), entry.path, version=version)
    return found


def tell_posted(call: Call, definition: Mapping[str, Any]) -> None:
    """Say that somebody sent the definition of an app."""
    call.marathon.happenings.publish(
        "api_post_event", clientIp=call.client_ip, uri=call.uri, appDefinition=definition
    )


def refuse_existing(path: str) -> Exception:
    """409 for a path that an app has."""
    return because(409, f"An app with id [{path}] already exists.")
