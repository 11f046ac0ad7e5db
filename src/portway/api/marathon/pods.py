"""/v2/pods: pods as definitions, and how their instances stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.responses import Response

from portway.api.marathon.answers import answer, nothing
from portway.api.marathon.call import Call
from portway.api.marathon.deploying import ID_HEADER, must_know, replaced_pod, version_body
from portway.api.marathon.tasks import stop
from portway.controller.marathon.catalogue import POD, Catalogue, Entry
from portway.controller.marathon.pod_status import PodStatus
from portway.controller.marathon.refusals import because, no_such
from portway.controller.marathon.sight import Seen
from portway.controller.marathon.updates import Wanted
from portway.manifests.marathon.accept import accept_pod
from portway.manifests.marathon.paths import canonical
from portway.manifests.marathon.refusal import MarathonRefusal


def _pods(call: Call) -> Iterator[Entry]:
    entries = call.marathon.catalogue.entries
    return (entries[path] for path in sorted(entries) if entries[path].kind == POD)


async def list_pods(call: Call) -> Response:
    """GET /v2/pods"""
    if call.request.method == "HEAD":
        return nothing()
    return answer([entry.definition for entry in _pods(call)])


async def create_pod(call: Call) -> Response:
    """POST /v2/pods"""
    raw, made = call.object(), dict[str, Any]()

    def change(catalogue: Catalogue) -> Wanted:
        made.update(accept_pod(raw, call.marathon.settings.definitions))
        path = made["id"]
        if call.marathon.find(path) is not None:
            raise because(409, f"A pod with id [{path}] already exists.")
        made.update(replaced_pod(call, catalogue, raw, path))
        return Wanted(pods={path: made}, within_policy=call.within_policy)

    deployment = await call.marathon.update(change, force=call.flag("force"))
    _tell(call, "pod_created_event")
    headers = {"Location": made["id"], ID_HEADER: deployment.id}
    return answer({**made, "version": deployment.version}, status=201, headers=headers)


def _tell(call: Call, kind: str) -> None:
    call.marathon.happenings.publish(kind, clientIp=call.client_ip, uri=call.uri)


async def show_pod(call: Call) -> Response:
    """GET /v2/pods/{id}"""
    return answer(call.entry(POD).definition)


async def put_pod(call: Call) -> Response:
    """PUT /v2/pods/{id}"""
    path, raw, made = call.path(), call.object(), dict[str, Any]()
    given = raw.get("id")
    if isinstance(given, str) and canonical(given) != path:
        raise because(400, f"'{path}' does not match definition's id ('{canonical(given)}')")

    def change(catalogue: Catalogue) -> Wanted:
        must_know(call, catalogue, path, POD)
        made.update(replaced_pod(call, catalogue, raw, path))
        return Wanted(pods={path: made}, within_policy=call.within_policy)

    deployment = await call.marathon.update(change, force=call.flag("force"))
    _tell(call, "pod_updated_event")
    return answer({**made, "version": call.entry(POD).version}, headers={ID_HEADER: deployment.id})


async def delete_pod(call: Call) -> Response:
    """DELETE /v2/pods/{id}"""
    path = call.path()

    def change(catalogue: Catalogue) -> Wanted:
        must_know(call, catalogue, path, POD)
        return Wanted(pods={path: None})

    deployment = await call.marathon.update(change, force=call.flag("force"))
    _tell(call, "pod_deleted_event")
    return nothing(202, {"Location": deployment.id, ID_HEADER: deployment.id})


def _status(call: Call) -> PodStatus:
    return PodStatus(call.marathon)


async def list_pod_statuses(call: Call) -> Response:
    """GET /v2/pods::status"""
    return answer([_status(call).of(entry) for entry in _pods(call)])


async def show_pod_status(call: Call) -> Response:
    """GET /v2/pods/{id}::status"""
    return answer(_status(call).of(call.entry(POD)))


async def list_pod_versions(call: Call) -> Response:
    """GET /v2/pods/{id}::versions"""
    entry = call.entry(POD)
    return answer([entry.version, *entry.versions])


async def show_pod_version(call: Call) -> Response:
    """GET /v2/pods/{id}::versions/{version}"""
    return answer(await version_body(call, call.entry(POD), call.parts["version"]))


async def kill_pod_instance(call: Call) -> Response:
    """DELETE /v2/pods/{id}::instances/{instance}"""
    entry = must_know(call, call.marathon.catalogue, call.path(), POD)
    seen = _found(call, entry, call.parts["instance"])
    shown = _status(call).instance(entry, seen)
    await stop(call, entry, seen)
    return answer(shown)


async def kill_pod_instances(call: Call) -> Response:
    """DELETE /v2/pods/{id}::instances"""
    entry = must_know(call, call.marathon.catalogue, call.path(), POD)
    names = call.array()
    if not all(isinstance(name, str) for name in names):
        details = [{"path": "/", "errors": ["error.expected.jsstring"]}]
        raise MarathonRefusal(422, {"message": "Invalid JSON", "details": details})
    found = [call.marathon.sight.find(entry, name) for name in names]
    victims = [seen for seen in found if seen is not None]
    shown = [_status(call).instance(entry, seen) for seen in victims]
    for seen in victims:
        await stop(call, entry, seen)
    return answer(shown)


def _found(call: Call, entry: Entry, name: str) -> Seen:
    seen = call.marathon.sight.find(entry, name)
    if seen is None:
        raise no_such("Instance", name)
    return seen
