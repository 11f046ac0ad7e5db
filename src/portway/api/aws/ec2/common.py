"""What all of EC2's objects have: ids, filters, tags, pages, and the refusals about them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache, wraps
from typing import Any

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import Body, Tags, changed, merged_tags
from portway.api.aws.operation import Handler, Request, operation
from portway.api.aws.paging import page
from portway.controller.network.reading import ensure_network
from portway.core.ecs.labels import Origin, origin_of_state
from portway.core.network.defaults import ACL, GATEWAY, GROUP, INSTANCE, ROUTE_TABLE, SUBNET, VPC
from portway.store.base import Document

TAGS_MAX = 50
_PAGE_SIZE = 1000
_ID_BYTES = 9

# What an id is called where there is none: code, and the noun of the sentence.
NOT_FOUND = {
    VPC: ("InvalidVpcID.NotFound", "vpc ID"),
    SUBNET: ("InvalidSubnetID.NotFound", "subnet ID"),
    GROUP: ("InvalidGroup.NotFound", "security group"),
    ACL: ("InvalidNetworkAclID.NotFound", "networkAcl ID"),
    GATEWAY: ("InvalidInternetGatewayID.NotFound", "internetGateway ID"),
    ROUTE_TABLE: ("InvalidRouteTableID.NotFound", "routeTable ID"),
    INSTANCE: ("InvalidInstanceID.NotFound", "instance ID"),
}
Fields = Mapping[str, Iterable[str]]
Ec2Handler = Callable[[Face, Request], Awaitable[Mapping[str, Any]]]


def ec2(
    name: str, *, ignores: tuple[str, ...] = (), refuses: Mapping[str, str] | None = None
) -> Callable[[Ec2Handler], Handler]:
    """Register an operation of EC2: the default network is there before it runs, and DryRun is answered."""

    def register(run: Ec2Handler) -> Handler:
        @wraps(run)
        async def prepared(face: Face, request: Request) -> Mapping[str, Any]:
            if request.get("DryRun"):
                told = "Request would have succeeded, but DryRun flag is set."
                raise AwsError("DryRunOperation", told, 412)
            await ensure_network(face.documents, home_id=face.home_id, region=face.region)
            if name.startswith("Describe"):
                return await run(face, request)
            async with face.alone("ec2"):  # what is made is clear of what is there: names, blocks
                return await run(face, request)

        return operation("ec2", name, ignores=ignores, refuses=refuses)(prepared)

    return register


def new_id(face: Face, prefix: str) -> str:
    """subnet- and seventeen hexadecimal digits."""
    return f"{prefix}-{face.new_id(_ID_BYTES)[:17]}"


def not_found(kind: str, key: str) -> AwsError:
    """The refusal of an id nobody has."""
    code, noun = NOT_FOUND[kind]
    return AwsError(code, f"The {noun} '{key}' does not exist", 400)


async def find(face: Face, kind: str, key: str) -> Mapping[str, Any]:
    """One object; the refusal when there is none."""
    found = await face.documents.get(kind, key)
    if found is None:
        raise not_found(kind, key)
    return found.body


async def change(face: Face, kind: str, key: str, by: Callable[[Body], Body]) -> Document:
    """Change one object; the refusal when there is none."""
    made = await changed(face.documents, kind, key, by)
    if made is None:
        raise not_found(kind, key)
    return made


async def origins_in_use(face: Face) -> list[Origin]:
    """Of every service and task that runs or should: each may be in a subnet and in groups."""
    overview = await face.operations.overview()
    found = map(origin_of_state, overview.apps.values())
    return [origin for origin in found if origin is not None]


async def bodies(face: Face, kind: str, **members: str) -> list[Mapping[str, Any]]:
    """The objects of a kind whose members are so."""
    return [
        document.body
        for document in await face.documents.list(kind)
        if all(document.body.get(name) == value for name, value in members.items())
    ]


def in_use(noun: str, key: str) -> AwsError:
    """The refusal to delete what something else needs."""
    told = f"The {noun} '{key}' has dependencies and cannot be deleted."
    return AwsError("DependencyViolation", told, 400)


def asked_tags(request: Request, resource_type: str) -> Tags:
    """The tags given for the object being made; those for another type of object are a mistake."""
    tags: Tags = []
    for given in request.get("TagSpecifications", []):
        if given.get("ResourceType") != resource_type:
            told = f"'{given.get('ResourceType')}' is not a valid taggable resource type for this operation."
            raise AwsError("InvalidParameterValue", told, 400)
        tags = merged_tags(tags, given.get("Tags", []))
    check_tags(tags)
    return tags


def check_tags(tags: Tags) -> None:
    """The refusal of more tags than an object may have, or of AWS's own."""
    if len(tags) > TAGS_MAX:
        told = f"The maximum number of tags for the resource is {TAGS_MAX}."
        raise AwsError("TagLimitExceeded", told, 400)
    if any(tag["Key"].lower().startswith("aws:") for tag in tags):
        told = "Tag keys starting with 'aws:' are reserved for internal use"
        raise AwsError("InvalidParameterValue", told, 400)


def matching(
    request: Request,
    found: Iterable[Mapping[str, Any]],
    fields: Callable[[Mapping[str, Any]], Fields],
) -> list[Mapping[str, Any]]:
    """Those that every filter accepts: any of its values, with * and ?. A filter nobody knows is refused."""
    filters = [(each.get("Name", ""), each.get("Values", [])) for each in request.get("Filters", [])]  # fmt: skip
    return [body for body in found if all(_accepts(body, fields, *each) for each in filters)]


def _accepts(
    body: Mapping[str, Any],
    fields: Callable[[Mapping[str, Any]], Fields],
    name: str,
    wanted: Sequence[str],
) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in body.get("Tags", ())}
    known: Fields = {"tag-key": tags, **fields(body)}
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        values: Iterable[str] = (tags[key],) if key in tags else ()
    elif name in known:
        values = known[name]
    else:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid", 400)
    patterns = [_pattern(text) for text in wanted]
    return any(pattern.fullmatch(value) for value in values for pattern in patterns)


@lru_cache(maxsize=256)
def _star(text: str) -> re.Pattern[str]:
    return re.compile(translate(text.replace("[", "[[]")), re.DOTALL)


def _pattern(text: str) -> re.Pattern[str]:
    return _star(text) if len(text) <= _PATTERN_MAX else re.compile(re.escape(text))


_PATTERN_MAX = 256


def flag(value: object) -> tuple[str]:
    """A truth as filters spell it."""
    return ("true" if value else "false",)


def only(
    request: Request, kind: str, ids: str, key: str, found: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those named in the request, all when none is; the refusal of an id nobody has."""
    wanted, known = request.get(ids) or [], list(found)
    missing = set(wanted) - {body[key] for body in known}
    if missing:
        raise not_found(kind, min(missing))
    return [body for body in known if not wanted or body[key] in wanted]


def listing(
    request: Request,
    member: str,
    found: Sequence[Mapping[str, Any]],
    key: str,
    shown: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> dict[str, Any]:
    """A page of a listing as EC2 gives it."""
    taken, token = page(
        found,
        key=lambda body: body[key],
        size=request.get("MaxResults") or _PAGE_SIZE,
        token=request.get("NextToken"),
        scope=f"{request.operation} {request.get('Filters')}",
        code="InvalidNextToken",
        message="The token is not valid.",
    )
    return {member: [shown(body) for body in taken], "NextToken": token}
