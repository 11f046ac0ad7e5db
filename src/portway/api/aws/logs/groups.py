"""Log groups: made, listed, tagged, and how long they keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.logs.common import group_arn, keeper, missing, named_group, no_group
from portway.api.aws.objects import Body, changed
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page
from portway.controller.cloudwatch.keeping import GROUP
from portway.store.base import Document

_TAGS_MAX = 50
_PAGE_SIZE = 50
_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
_ONE_ACCOUNT = ("accountIdentifiers", "includeLinkedAccounts")


@operation("logs", "CreateLogGroup", ignores=("kmsKeyId", "deletionProtectionEnabled"))
async def create_log_group(face: Face, request: Request) -> dict[str, Any]:
    """Make a group."""
    tags = dict(request.get("tags") or {})
    log_class = request.get("logGroupClass", "STANDARD")
    _check_tags(tags)
    if not await keeper(face).create_group(request["logGroupName"], tags=tags, log_class=log_class):
        told = "The specified log group already exists"
        raise AwsError("ResourceAlreadyExistsException", told)
    return {}


@operation("logs", "DeleteLogGroup")
async def delete_log_group(face: Face, request: Request) -> dict[str, Any]:
    """Forget a group with its streams and events."""
    with missing():
        await keeper(face).delete_group(request["logGroupName"])
    return {}


@operation("logs", "DescribeLogGroups", ignores=_ONE_ACCOUNT)
async def describe_log_groups(face: Face, request: Request) -> dict[str, Any]:
    """Groups by prefix, part of the name, or identifiers."""
    prefix, part = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
    if prefix and part:
        told = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        raise AwsError("InvalidParameterException", told)
    wanted = {named_group(given) for given in request.get("logGroupIdentifiers") or ()}
    log_class = request.get("logGroupClass")
    found = [
        document
        for document in await keeper(face).groups(prefix or "")
        if (not part or part.lower() in document.key.lower())
        and (not wanted or document.key in wanted)
        and (not log_class or document.body.get("log_class") == log_class)
    ]
    taken, token = page(
        found,
        key=lambda document: document.key,
        size=request.get("limit") or _PAGE_SIZE,
        token=request.get("nextToken"),
        scope=f"groups {prefix} {part}",
        message="The specified nextToken is invalid.",
    )
    shown = [await _shown(face, document) for document in taken]
    return {"logGroups": shown, "nextToken": token}


@operation("logs", "PutRetentionPolicy")
async def put_retention_policy(face: Face, request: Request) -> dict[str, Any]:
    """Keep events so many days; what is older is shown no more, and goes with the next that comes."""
    days = request["retentionInDays"]
    if days not in _RETENTION_DAYS:
        listed = ", ".join(str(each) for each in _RETENTION_DAYS)
        told = f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [{listed}]"
        raise AwsError("InvalidParameterException", told)
    await _change(face, request["logGroupName"], lambda body: {**body, "retention_days": days})
    return {}


@operation("logs", "DeleteRetentionPolicy")
async def delete_retention_policy(face: Face, request: Request) -> dict[str, Any]:
    """Keep events until there is no more room."""
    await _change(face, request["logGroupName"], lambda body: {**body, "retention_days": None})
    return {}


@operation("logs", "TagResource")
async def tag_resource(face: Face, request: Request) -> dict[str, Any]:
    """Tag a group."""
    return await _tag(face, named_group(request["resourceArn"]), request["tags"])


@operation("logs", "TagLogGroup")
async def tag_log_group(face: Face, request: Request) -> dict[str, Any]:
    """Tag a group by its name."""
    return await _tag(face, request["logGroupName"], request["tags"])


@operation("logs", "UntagResource")
async def untag_resource(face: Face, request: Request) -> dict[str, Any]:
    """Remove tags of a group."""
    return await _untag(face, named_group(request["resourceArn"]), request["tagKeys"])


@operation("logs", "UntagLogGroup")
async def untag_log_group(face: Face, request: Request) -> dict[str, Any]:
    """Remove tags of a group by its name."""
    return await _untag(face, request["logGroupName"], request["tags"])


@operation("logs", "ListTagsForResource")
async def list_tags_for_resource(face: Face, request: Request) -> dict[str, Any]:
    """The tags of a group."""
    with missing():
        return {
            "tags": (await keeper(face).group(named_group(request["resourceArn"]))).body["tags"]
        }


@operation("logs", "ListTagsLogGroup")
async def list_tags_log_group(face: Face, request: Request) -> dict[str, Any]:
    """The tags of a group by its name."""
    with missing():
        return {"tags": (await keeper(face).group(request["logGroupName"])).body["tags"]}


async def _tag(face: Face, name: str, tags: dict[str, str]) -> dict[str, Any]:
    def by(body: Body) -> Body:
        merged = {**body["tags"], **tags}
        _check_tags(merged)
        return {**body, "tags": merged}

    await _change(face, name, by)
    return {}


async def _untag(face: Face, name: str, keys: list[str]) -> dict[str, Any]:
    def by(body: Body) -> Body:
        kept = {key: value for key, value in body["tags"].items() if key not in keys}
        return {**body, "tags": kept}

    await _change(face, name, by)
    return {}


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > _TAGS_MAX:
        told = f"A log group can have at most {_TAGS_MAX} tags."
        raise AwsError("TooManyTagsException", told)


async def _change(face: Face, name: str, by: Callable[[Body], Body]) -> None:
    if await changed(face.documents, GROUP, name, by) is None:
        raise no_group()


async def _shown(face: Face, document: Document) -> dict[str, Any]:
    body = document.body
    arn = group_arn(face, document.key)
    streams = await keeper(face).streams(document.key)
    size = sum(chunk["bytes"] for stream in streams for chunk in stream.body["chunks"])
    return {
        "logGroupName": document.key,
        "creationTime": body["created_at_ms"],
        "retentionInDays": body.get("retention_days"),
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "storedBytes": size,
        "logGroupClass": body.get("log_class", "STANDARD"),
    }
