"""Tasks: what runs of apps, listed and killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from portway.api.marathon.answers import answer
from portway.api.marathon.apps import all_apps, apps_of_group
from portway.api.marathon.call import Call
from portway.api.marathon.deploying import deployed, known_app, must_know
from portway.api.marathon.endpoints_text import endpoints_text
from portway.controller.marathon.catalogue import APP, POD, Catalogue, Entry
from portway.controller.marathon.refusals import because, no_such
from portway.controller.marathon.sight import KILLING, RUNNING, STAGING, Seen
from portway.controller.marathon.updates import Wanted
from portway.core.marathon.names import parse_task_name, segments_of
from portway.manifests.marathon.refusal import MarathonRefusal

KILLED = "killed over the Marathon API"
_AT_ONCE = 100
_STATES = {"running": RUNNING, "staging": STAGING}
Victims = Sequence[tuple[Entry, Seen]]


async def list_tasks(call: Call) -> Response:
    """GET /v2/tasks"""
    entries = all_apps(call)
    if _wants_text(call):
        return Response(endpoints_text(call.marathon.sight, entries), media_type="text/plain")
    words = (*call.query.getlist("status"), *call.query.getlist("status[]"))
    states = {_STATES[word] for word in words if word in _STATES}
    tasks: list[dict[str, Any]] = []
    for nth, entry in enumerate((*entries, *_pods(call))):
        found = call.marathon.sight.tasks(entry, service_ports=True)
        tasks += [task for task in found if not states or task["state"] in states]
        if nth % _AT_ONCE == 0:
            await asyncio.sleep(0)  # thousands of apps keep nobody else waiting
    return answer({"tasks": tasks})


def _pods(call: Call) -> list[Entry]:
    return [entry for entry in call.marathon.catalogue.entries.values() if entry.kind == POD]


def _wants_text(call: Call) -> bool:
    accepted = call.request.headers.get("accept", "").lower()
    return "text/plain" in accepted and "application/json" not in accepted


async def list_tasks_of_app(call: Call) -> Response:
    """GET /v2/apps/{id}/tasks"""
    return answer({"tasks": call.marathon.sight.tasks(call.entry(APP))})


async def list_tasks_of_group(call: Call) -> Response:
    """GET /v2/apps/{group}/*/tasks"""
    found = apps_of_group(call, call.path("group"))
    return answer({"tasks": [task for entry in found for task in call.marathon.sight.tasks(entry)]})


async def kill_tasks_of_app(call: Call) -> Response:
    """DELETE /v2/apps/{id}/tasks"""
    _refuse_both(call)
    entry = must_know(call, call.marathon.catalogue, call.path())
    host = call.query.get("host", "*")
    victims = [
        (entry, seen)
        for seen in call.marathon.sight.seen(entry)
        if host in ("*", seen.host, seen.record.identity.node)
    ]
    return await _kill(call, victims, name="tasks")


async def kill_tasks_of_group(call: Call) -> Response:
    """DELETE /v2/apps/{group}/*/tasks"""
    _refuse_both(call)
    entries = apps_of_group(call, call.path("group"))
    known = [must_know(call, call.marathon.catalogue, entry.path) for entry in entries]
    victims = [(entry, seen) for entry in known for seen in call.marathon.sight.seen(entry)]
    return await _kill(call, victims, name="tasks")


async def kill_task(call: Call) -> Response:
    """DELETE /v2/apps/{id}/tasks/{task}"""
    _refuse_both(call)
    entry = must_know(call, call.marathon.catalogue, call.path())
    seen = call.marathon.sight.find(entry, call.parts["task"])
    if seen is None:
        raise no_such("Task", call.parts["task"])
    return await _kill(call, [(entry, seen)], name="task")


async def delete_tasks(call: Call) -> Response:
    """POST /v2/tasks/delete"""
    _refuse_both(call)
    ids = call.object().get("ids")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        details = [{"path": "/ids", "errors": ["error.expected.jsarray"]}]
        raise MarathonRefusal(422, {"message": "Invalid JSON", "details": details})
    return await _kill(call, list(_named(call, ids)), name="tasks")


def _named(call: Call, ids: Iterable[str]) -> Iterator[tuple[Entry, Seen]]:
    """The tasks with these ids; one that is nobody's is passed over, one that can be none is refused."""
    for name in dict.fromkeys(ids):
        if parse_task_name(name) is None:
            raise because(
                400, f"Invalid task id '{name[:200]}'. [An id is APP.instance-UUID._app.N.]"
            )
        entry = known_app(call, call.marathon.catalogue, _path_in(name))
        entry = entry or known_app(call, call.marathon.catalogue, _path_in(name), POD)
        seen = call.marathon.sight.find(entry, name) if entry is not None else None
        if entry is not None and seen is not None:
            yield entry, seen


def _path_in(task: str) -> str:
    """The path at the beginning of a task's id."""
    safe = task.partition(".instance-")[0].partition(".marathon-")[0]
    return "/" + "/".join(segments_of(safe.replace("_", "/")))


def _refuse_both(call: Call) -> None:
    if call.flag("scale") and call.flag("wipe"):
        raise because(400, "You cannot use scale and wipe at the same time.")


async def _kill(call: Call, victims: Victims, *, name: str) -> Response:
    """Stop them, drained; they are replaced, unless their app is to have so many fewer."""
    if call.flag("scale"):
        return await _scale_down(call, victims)
    sight = call.marathon.sight
    tasks = [sight.task(entry, seen) for entry, seen in victims]
    for entry, seen in victims:
        await stop(call, entry, seen)
    return answer({name: tasks} if name == "tasks" else {name: tasks[0]})


async def stop(call: Call, entry: Entry, seen: Seen) -> None:
    """Have one instance leave, as a user asks for it."""
    stack, instance = entry.app_id.partition("/")[0], seen.record.id.rpartition("/")[2]
    await call.marathon.operations.stop_instance(stack, instance, reason=KILLED)


async def _scale_down(call: Call, victims: Victims) -> Response:
    doomed: dict[str, list[str]] = {}
    for entry, seen in victims:
        if seen.state != KILLING:
            doomed.setdefault(entry.path, []).append(seen.record.id)

    def change(catalogue: Catalogue) -> Wanted:
        apps: dict[str, Mapping[str, Any]] = {}
        for path, ids in doomed.items():
            known = must_know(call, catalogue, path)
            apps[path] = {**known.definition, "instances": max(0, known.count - len(ids))}
        return Wanted(apps=apps, victims={path: tuple(ids) for path, ids in doomed.items()})

    return deployed(await call.marathon.update(change, force=call.flag("force")))
