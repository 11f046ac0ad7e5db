"""Objects of every service by their tags, as each service keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from portway.api.aws.ec2.tags import tagged
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.logs.common import group_arn
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page
from portway.controller.cloudwatch.keeping import GROUP
from portway.core.aws_names import is_arn, read_arn

_SERVICE = "resourcegroupstaggingapi"
_PAGE_SIZE = 50
_KINDS = (
    "ecs.cluster", "ecs.service", "ecs.task-definition", "ecs.task", "elbv2.load-balancer", "elbv2.target-group",
    "elbv2.listener", "elbv2.rule", "elb.load-balancer", "aws/acm/certificate",
)  # fmt: skip
_ARNS = ("arn", "Arn", "clusterArn", "serviceArn", "taskDefinitionArn", "taskArn")

Found = list[tuple[str, dict[str, str]]]


@operation(
    _SERVICE,
    "GetResources",
    ignores=("TagsPerPage", "IncludeComplianceDetails", "ExcludeCompliantResources"),
)
async def get_resources(face: Face, request: Request) -> dict[str, Any]:
    """What has tags, by key and value, by type, or by ARN."""
    wanted: set[str] = set(request.get("ResourceARNList") or ())
    types: list[str] = request.get("ResourceTypeFilters") or []
    filters: list[dict[str, Any]] = request.get("TagFilters") or []
    if wanted and (types or filters):
        told = "ResourceARNList cannot be given together with TagFilters or ResourceTypeFilters."
        raise AwsError("InvalidParameterException", told)
    found = [
        (arn, tags)
        for arn, tags in await _everything(face)
        if (not wanted or arn in wanted) and _is_of(arn, types) and _matches(tags, filters)
    ]
    taken, token = page(
        found,
        key=lambda pair: pair[0],
        size=request.get("ResourcesPerPage") or _PAGE_SIZE,
        token=request.get("PaginationToken"),
        scope=f"resources {types} {filters}",
        message="The token is not valid.",
    )
    listed = [
        {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        for arn, tags in taken
    ]
    return {"ResourceTagMappingList": listed, "PaginationToken": token or ""}


async def _everything(face: Face) -> Found:
    """Every object with tags."""
    found: Found = [
        (face.arn("ec2", f"{type_}/{key}"), _read(tags)) for key, type_, tags in await tagged(face)
    ]
    for kind in _KINDS:
        for document in await face.documents.list(kind):
            names = (document.key, *(document.body.get(name) or "" for name in _ARNS))
            arn = next((name for name in names if is_arn(str(name))), "")
            found.append((arn, _read(document.body.get("tags") or document.body.get("Tags"))))
    for group in await face.documents.list(GROUP):
        found.append((group_arn(face, group.key), _read(group.body["tags"])))
    return [(arn, tags) for arn, tags in found if arn and tags]


def _read(tags: Any) -> dict[str, str]:
    """Tags as a mapping, however a service keeps them."""
    if isinstance(tags, Mapping):
        return dict(cast("Mapping[str, str]", tags))
    listed = cast("Iterable[Mapping[str, str]]", tags or ())
    return {
        tag.get("Key", tag.get("key", "")): tag.get("Value", tag.get("value")) or ""
        for tag in listed
    }


def _is_of(arn: str, types: Iterable[str]) -> bool:
    """Whether the ARN is of one of the types, "ecs" or "ecs:service"."""
    parts = read_arn(arn)
    names = (parts.service, f"{parts.service}:{parts.kind}") if parts else ()
    wanted = list(types)
    return not wanted or any(name in wanted for name in names)


def _matches(tags: Mapping[str, str], filters: Iterable[Mapping[str, Any]]) -> bool:
    """Whether every filter's key is there, with one of its values where it has any."""
    return all(
        each.get("Key") in tags and (not each.get("Values") or tags[each["Key"]] in each["Values"])
        for each in filters
    )
