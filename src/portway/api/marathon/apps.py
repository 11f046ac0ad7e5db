"""/v2/apps: apps as definitions, with what runs of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response, StreamingResponse

from portway.api.marathon.answers import answer
from portway.api.marathon.call import Call
from portway.api.marathon.deploying import (
    ID_HEADER,
    deployed,
    known_app,
    must_know,
    refuse_existing,
    replaced_app,
    tell_posted,
    updated_app,
    version_body,
)
from portway.api.marathon.infos import ALWAYS, FAILURE, TASKS, embeds_of
from portway.controller.marathon.catalogue import APP, Catalogue, Entry
from portway.controller.marathon.refusals import no_such
from portway.controller.marathon.updates import Wanted
from portway.core.marathon.selector import SelectorError, parse_selector
from portway.manifests.marathon.accept import accept_app, id_of_update, version_of
from portway.manifests.marathon.paths import is_in
from portway.manifests.marathon.refusal import illegal

NEW_COUNTS = {"tasksStaged": 0, "tasksRunning": 0, "tasksHealthy": 0, "tasksUnhealthy": 0}
JSON = "application/json"


async def list_apps(call: Call) -> Response:
    """GET /v2/apps"""
    fits = _filter_of(call)
    embeds = ALWAYS | embeds_of(call.query.getlist("embed"))
    entries = [entry for entry in all_apps(call) if fits(entry)]
    body = call.shared.infos.listed(entries, embeds, name="apps")
    return StreamingResponse(body, media_type=JSON)


def all_apps(call: Call) -> list[Entry]:
    """The apps there are, by path, those made otherwise too."""
    marathon = call.marathon
    own = [entry for entry in marathon.catalogue.entries.values() if entry.kind == APP]
    return sorted((*own, *marathon.foreign), key=lambda entry: entry.path)


def _filter_of(call: Call) -> Callable[[Entry], bool]:
    command, part = call.query.get("cmd", "").lower(), call.query.get("id", "")
    try:
        text = call.query.get("label")
        selector = parse_selector(text) if text else None
    except SelectorError as error:
        raise illegal(str(error)) from None

    def fits(entry: Entry) -> bool:
        definition = entry.definition
        if command and command not in str(definition.get("cmd") or "").lower():
            return False
        if part and part not in entry.path:
            return False
        return selector is None or selector.matches(definition.get("labels") or {})

    return fits


async def create_app(call: Call) -> Response:
    """POST /v2/apps"""
    raw, made = call.object(), dict[str, Any]()

    def change(catalogue: Catalogue) -> Wanted:
        made.update(accept_app(raw, call.marathon.settings.definitions))
        path = made["id"]
        if call.marathon.find(path) is not None:
            raise refuse_existing(path)
        made.update(replaced_app(call, catalogue, raw, path))
        return Wanted(apps={path: made}, within_policy=call.within_policy)

    deployment = await call.marathon.update(change, force=call.flag("force"))
    # As in Marathon it is shown as it was sent; the service ports assigned to it are in the next answer.
    shown = {**made, "version": deployment.version}
    tell_posted(call, shown)
    shown |= {**NEW_COUNTS, "deployments": [{"id": deployment.id}]}
    headers = {"Location": made["id"], ID_HEADER: deployment.id}
    return answer(shown, status=201, headers=headers)


async def show_app(call: Call) -> Response:
    """GET /v2/apps/{id}"""
    embeds = ALWAYS | {TASKS, FAILURE} | embeds_of(call.query.getlist("embed"))
    return answer({"app": call.shared.infos.part(call.entry(APP), embeds)})


async def show_apps_of_group(call: Call) -> Response:
    """GET /v2/apps/{group}/*"""
    group = call.path("group")
    found = apps_of_group(call, group)
    embeds = ALWAYS | {TASKS, FAILURE} | embeds_of(call.query.getlist("embed"))
    return answer({"*": [call.shared.infos.part(entry, embeds) for entry in found]})


def apps_of_group(call: Call, group: str) -> list[Entry]:
    """The apps of a group and of its groups; 404 without the group."""
    found = [entry for entry in all_apps(call) if is_in(entry.path, group)]
    if not found and not call.marathon.catalogue.has_group(group):
        raise no_such("Group", group)
    return found


async def put_app(call: Call) -> Response:
    """PUT /v2/apps/{id}"""
    return await _change_app(call, creates=True, partial=call.flag("partialUpdate", default=True))


async def patch_app(call: Call) -> Response:
    """PATCH /v2/apps/{id}"""
    return await _change_app(call, creates=False, partial=True)


async def _change_app(call: Call, *, creates: bool, partial: bool) -> Response:
    path, raw = call.new_path(), call.object()
    known = known_app(call, call.marathon.catalogue, path)
    if known is None and not creates:
        raise no_such("App", path)
    back = version_of(raw) if partial else None
    if back is not None:
        body = await version_body(call, must_know(call, call.marathon.catalogue, path), back)
        raw, partial = dict(body), False
    result: dict[str, Any] = {}

    def change(catalogue: Catalogue) -> Wanted:
        there = known_app(call, catalogue, path)
        if there is not None and partial:
            result.update(updated_app(call, catalogue, raw, there))
        else:
            result.update(replaced_app(call, catalogue, raw, path))
        return Wanted(apps={path: result}, within_policy=call.within_policy)

    deployment = await call.marathon.update(change, force=call.flag("force"))
    tell_posted(call, {**result, "version": deployment.version})
    if known is None:
        return deployed(deployment, status=201, headers={"Location": path})
    return deployed(deployment)


async def put_apps(call: Call) -> Response:
    """PUT /v2/apps"""
    return await _change_apps(call, creates=True, partial=call.flag("partialUpdate", default=True))


async def patch_apps(call: Call) -> Response:
    """PATCH /v2/apps"""
    return await _change_apps(call, creates=False, partial=True)


async def _change_apps(call: Call, *, creates: bool, partial: bool) -> Response:
    given: dict[str, Any] = {}
    backs: dict[str, Mapping[str, Any]] = {}
    for raw in call.array():
        path = id_of_update(raw)
        if path is None:
            raise illegal("App Update must have app id set")
        given[path] = raw
        back = version_of(raw) if partial else None
        if back is not None:
            entry = must_know(call, call.marathon.catalogue, path)
            backs[path] = await version_body(call, entry, back)

    def change(catalogue: Catalogue) -> Wanted:
        apps: dict[str, Mapping[str, Any]] = {}
        for path, raw in given.items():
            there = known_app(call, catalogue, path)
            if there is None and not creates:
                raise no_such("App", path)
            if path in backs or there is None or not partial:
                apps[path] = replaced_app(call, catalogue, backs.get(path, raw), path)
            else:
                apps[path] = updated_app(call, catalogue, raw, there)
        return Wanted(apps=apps, within_policy=call.within_policy)

    return deployed(await call.marathon.update(change, force=call.flag("force")))


async def delete_app(call: Call) -> Response:
    """DELETE /v2/apps/{id}"""
    path = call.path()

    def change(catalogue: Catalogue) -> Wanted:
        must_know(call, catalogue, path)
        return Wanted(apps={path: None})

    return deployed(await call.marathon.update(change, force=call.flag("force", default=True)))


async def restart_app(call: Call) -> Response:
    """POST /v2/apps/{id}/restart"""
    path = call.path()

    def change(catalogue: Catalogue) -> Wanted:
        known = must_know(call, catalogue, path)
        return Wanted(apps={path: known.definition}, restart=frozenset({path}))

    return deployed(await call.marathon.update(change, force=call.flag("force")))


async def list_versions(call: Call) -> Response:
    """GET /v2/apps/{id}/versions"""
    entry = call.entry(APP)
    return answer({"versions": [entry.version, *entry.versions]})


async def show_version(call: Call) -> Response:
    """GET /v2/apps/{id}/versions/{version}"""
    return answer(await version_body(call, call.entry(APP), call.parts["version"]))
