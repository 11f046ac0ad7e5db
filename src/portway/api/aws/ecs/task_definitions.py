"""RegisterTaskDefinition and all that is done with task definitions afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import json

from portway.api.aws.ecs.definitions import (
    ACTIVE,
    DELETING,
    INACTIVE,
    KIND,
    Definition,
    all_definitions,
    change_definition,
    definition_of,
    document_key,
    find_definition,
    next_revision,
    split_name,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import Body
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page
from portway.core.aws_names import AwsNames
from portway.core.ecs.labels import origin_of_state
from portway.manifests.ecs_definition import check_definition, registered
from portway.manifests.ecs_fields import Use, task_fields
from portway.manifests.ecs_shape import Fault
from portway.manifests.json_reader import path_text

_PAGE_SIZE = 100
_DELETED_AT_ONCE_MAX = 10
_REVISION_MAX = 1_000_000
SIZE_MAX_BYTES = 64 * 1024
_DESCRIBED_AFTER_MS = 3600 * 1000  # a deleted one is still described so long
_LAST = 0x10FFFF


def _members(use: Use) -> dict[str, str]:
    fields = task_fields().values()
    return {field.path.replace("[]", ""): field.told for field in fields if field.use is use}


@operation(
    "ecs",
    "RegisterTaskDefinition",
    ignores=tuple(_members(Use.IGNORED)),
    refuses=_members(Use.REFUSED),
)
async def register_task_definition(face: Face, request: Request) -> dict[str, Any]:
    """Keep a new revision of a family."""
    _check_size(request.input)
    checked = check_definition(dict(request.input))
    if checked.faults:
        raise AwsError("ClientException", refusal_text(checked.faults[0]))
    family = checked.body["family"]
    revision = await next_revision(face, family)
    if revision > _REVISION_MAX:
        told = f"The family {family} has had {_REVISION_MAX} revisions, which is the limit."
        raise AwsError("LimitExceededException", told)
    tags = [
        {"key": tag.get("key") or "", "value": tag.get("value") or ""}
        for tag in request.get("tags") or ()
    ]
    names = AwsNames(region=face.region, account_id=face.account_id)
    stored = {
        "arn": names.task_definition_arn(family, revision),
        "family": family,
        "revision": revision,
        "status": ACTIVE,
        "body": registered(checked.body),
        "tags": tags,
        "registered_at_ms": face.now_ms(),
        "registered_by": face.caller.arn,
    }
    document = await face.documents.put(KIND, document_key(family, revision), stored, 0)
    return {"taskDefinition": definition_of(document).shown(), "tags": tags}


def _check_size(given: Mapping[str, Any]) -> None:
    size = len(json.encode(given))
    if size > SIZE_MAX_BYTES:
        raise AwsError("ClientException", f"Actual length: '{size}'. Max allowed length is '{SIZE_MAX_BYTES}' bytes.")  # fmt: skip


def refusal_text(fault: Fault) -> str:
    """AWS's own message as it is; one of ours with the field before and what to do after it."""
    if fault.aws:
        return fault.message
    where = f"{path_text(fault.where)}: " if fault.where else ""
    return f"{where}{fault.message} {fault.hint}".strip()


@operation("ecs", "DescribeTaskDefinition")
async def describe_task_definition(face: Face, request: Request) -> dict[str, Any]:
    """One revision; of a family alone the newest that is ACTIVE."""
    found = await _found(face, request["taskDefinition"])
    answer: dict[str, Any] = {"taskDefinition": found.shown()}
    if "TAGS" in (request.get("include") or ()):
        answer["tags"] = list(found.tags)
    return answer


@operation("ecs", "DeregisterTaskDefinition")
async def deregister_task_definition(face: Face, request: Request) -> dict[str, Any]:
    """Make a revision INACTIVE: what runs goes on, nothing new is made of it."""
    name = request["taskDefinition"]
    if split_name(name)[1] is None:
        raise AwsError("ClientException", "Revision is missing.")
    now_ms = face.now_ms()

    def change(body: Body) -> Body:
        if body["status"] != ACTIVE:
            return body
        return {**body, "status": INACTIVE, "deregistered_at_ms": now_ms}

    found = await change_definition(face, await _found(face, name), change)
    return {"taskDefinition": found.shown()}


@operation("ecs", "DeleteTaskDefinitions")
async def delete_task_definitions(face: Face, request: Request) -> dict[str, Any]:
    """Delete INACTIVE revisions; each that cannot be is a failure of its own."""
    names = list(dict.fromkeys(request["taskDefinitions"]))
    if not names:
        raise AwsError("InvalidParameterException", "References list cannot be empty.")
    if len(names) > _DELETED_AT_ONCE_MAX:
        told = f"References list cannot contain more than {_DELETED_AT_ONCE_MAX} items."
        raise AwsError("InvalidParameterException", told)
    if any(split_name(name)[1] is None for name in names):
        raise AwsError("ClientException", "Revision is missing.")
    deleted: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for name in names:
        found = await find_definition(face, name)
        failure = _undeletable(name, found)
        if failure or found is None:
            failures.append(failure)
        else:
            deleted.append((await _delete(face, found)).shown())
    await _forget_deleted(face)
    return {"taskDefinitions": deleted, "failures": failures}


def _undeletable(name: str, found: Definition | None) -> dict[str, Any]:
    if found is None:
        return {"arn": name, "reason": "The specified task definition does not exist. Specify a valid account, family, revision and try again."}  # fmt: skip
    if found.status == ACTIVE:
        return {"arn": found.arn, "reason": "The specified task definition is still in ACTIVE status. Please deregister the target and try again."}  # fmt: skip
    return {}


async def _delete(face: Face, found: Definition) -> Definition:
    now_ms = face.now_ms()

    def change(body: Body) -> Body:
        if body["status"] == DELETING:
            return body
        return {**body, "status": DELETING, "delete_requested_at_ms": now_ms}

    return await change_definition(face, found, change)


async def _forget_deleted(face: Face) -> None:
    now_ms = face.now_ms()
    for found in await all_definitions(face):
        asked_at_ms = found.delete_requested_at_ms
        if asked_at_ms is not None and now_ms - asked_at_ms > _DESCRIBED_AFTER_MS:
            await face.documents.delete(KIND, document_key(found.family, found.revision))


@operation("ecs", "ListTaskDefinitions")
async def list_task_definitions(face: Face, request: Request) -> dict[str, Any]:
    """The ARNs of revisions, by family and number."""
    family, status = request.get("familyPrefix") or "", request.get("status") or ACTIVE
    is_descending = request.get("sort") == "DESC"
    found = [
        each
        for each in await all_definitions(face)
        if each.status == status and family in ("", each.family)
    ]
    taken, token = page(
        found,
        key=_descending if is_descending else _ascending,
        size=_size(request),
        token=request.get("nextToken"),
        scope=f"task-definitions {family} {status} {is_descending}",
    )
    return _listing("taskDefinitionArns", (each.arn for each in taken), token)


@operation("ecs", "ListTaskDefinitionFamilies")
async def list_task_definition_families(face: Face, request: Request) -> dict[str, Any]:
    """The families with an ACTIVE revision, without one, or all."""
    prefix, status = request.get("familyPrefix") or "", request.get("status") or "ALL"
    found = await all_definitions(face)
    active = {each.family for each in found if each.status == ACTIVE}
    known = {each.family for each in found if each.status != DELETING}
    chosen = {ACTIVE: active, INACTIVE: known - active}.get(status, known)
    taken, token = page(
        [family for family in chosen if family.startswith(prefix)],
        key=str,
        size=_size(request),
        token=request.get("nextToken"),
        scope=f"families {prefix} {status}",
    )
    return _listing("families", taken, token)


async def _found(face: Face, name: str) -> Definition:
    found = await find_definition(face, name)
    if found is None:
        why = await _of_files(face, name)
        raise AwsError("ClientException", f"Unable to describe task definition.{why}")
    return found


async def _of_files(face: Face, name: str) -> str:
    """Where a revision is that runs and was never registered: in the files of a stack; "" for any other."""
    family, revision = split_name(name)
    overview = await face.operations.overview()
    for state in overview.apps.values():
        origin = origin_of_state(state)
        if origin is None or not origin.is_of_files or origin.family != family:
            continue
        if revision in (None, int(origin.task_definition.rpartition(":")[2])):
            stack = state.app_id.rpartition("/")[0]
            return f" {origin.task_definition} was deployed as files with the stack {stack}, not registered."
    return ""


def _size(request: Request) -> int:
    return min(request.get("maxResults") or _PAGE_SIZE, _PAGE_SIZE)


def _listing(member: str, values: Iterable[str], token: str | None) -> dict[str, Any]:
    listed: Mapping[str, Any] = {member: list(values)}
    return {**listed, "nextToken": token} if token else {**listed}


def _ascending(definition: Definition) -> str:
    return f"{definition.family}\0{definition.revision:08d}"


def _descending(definition: Definition) -> str:
    """A key that sorts the other way round: each character is what it lacks to the last one there is."""
    return "".join(chr(_LAST - ord(c)) for c in _ascending(definition)) + chr(_LAST)
