"""What all of ECS's objects have: names and ARNs, clusters, tags, pages, failures and the refusals about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request
from portway.api.aws.paging import page
from portway.core.aws_names import AwsNames, is_arn, last_part, read_arn, slug
from portway.core.ecs.labels import origin_of_state

T = TypeVar("T")

CLUSTER_KIND = "ecs.cluster"
DEFAULT_CLUSTER = "default"
ACTIVE, INACTIVE, DRAINING = "ACTIVE", "INACTIVE", "DRAINING"
DESCRIBED_MAX = 100
TAGS_MAX = 50

_PAGE_SIZE = 100

Body = Mapping[str, Any]
EcsTags = list[dict[str, str]]


def names_of(face: Face) -> AwsNames:
    """The ARNs and ids of this portway."""
    return AwsNames(region=face.region, account_id=face.account_id, home_id=face.home_id)


def invalid(told: str) -> AwsError:
    """InvalidParameterException"""
    return AwsError("InvalidParameterException", told, 400)


def refused(told: str) -> AwsError:
    """ClientException"""
    return AwsError("ClientException", told, 400)


def no_cluster() -> AwsError:
    """The refusal where there is no such cluster."""
    return AwsError("ClusterNotFoundException", "Cluster not found.", 400)


def cluster_named(face: Face, wanted: str | None) -> str:
    """The cluster's name from its name or ARN; without either it is the default one. Of another account there is none."""
    if not wanted:
        return DEFAULT_CLUSTER
    if not is_arn(wanted):
        return wanted
    arn = read_arn(wanted)
    if arn is None or arn.service != "ecs" or arn.kind != "cluster":
        raise invalid(f"Invalid identifier: {wanted}")
    if (arn.region, arn.account_id) != (face.region, face.account_id):
        raise no_cluster()
    return last_part(wanted)


def fresh_cluster(name: str, now_ms: int) -> dict[str, Any]:
    """A cluster of that name as it begins."""
    return {
        "clusterName": name,
        "status": ACTIVE,
        "createdAt": now_ms,
        "settings": [{"name": "containerInsights", "value": "disabled"}],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
        "tags": [],
    }


async def find_cluster(face: Face, wanted: str | None) -> str:
    """The name of a cluster that is there. The default one always is, until it is deleted."""
    name = cluster_named(face, wanted)
    found = await face.documents.get(CLUSTER_KIND, names_of(face).cluster_arn(name))
    if found is None and (name == DEFAULT_CLUSTER or name in await clusters_of_files(face, name)):
        return name
    if found is None or found.body["status"] != ACTIVE:
        raise no_cluster()
    return name


async def clusters_of_files(face: Face, name: str = "") -> frozenset[str]:
    """The stacks that were deployed as ECS files (or this one, if it is): each is a cluster by its name."""
    overview = await face.operations.overview(slug(name) if name else "")
    origins = map(origin_of_state, overview.apps.values())
    return frozenset(origin.cluster for origin in origins if origin and origin.is_of_files)


def within(face: Face, wanted: str, cluster: str, kind: str) -> str:
    """The name or id in "name" or an ARN of that kind; "" for an ARN of another cluster, account or kind."""
    if not is_arn(wanted):
        return wanted
    arn = read_arn(wanted)
    if arn is None or arn.kind != kind or (arn.region, arn.account_id) != (face.region, face.account_id):  # fmt: skip
        return ""
    parts = arn.resource.split("/")
    # The short form of old has no cluster in it.
    return parts[-1] if len(parts) == 2 or parts[1] == cluster else ""


def missing(arn: str) -> dict[str, str]:
    """One of failures[]: there is none."""
    return {"arn": arn, "reason": "MISSING"}


def listed(
    request: Request,
    member: str,
    arns: Iterable[str],
    *,
    size: int = _PAGE_SIZE,
    key: Callable[[str], str] = lambda arn: arn,
) -> dict[str, Any]:
    """A page of a listing of ARNs."""
    taken, token = page(
        list(arns),
        key=key,
        size=min(request.get("maxResults") or size, _PAGE_SIZE),
        token=request.get("nextToken"),
        scope=scope_of(request),
    )
    return {member: taken, "nextToken": token}


def scope_of(request: Request) -> str:
    """What a listing is of: its tokens are refused by any other."""
    return " ".join([request.operation, *_filters(request)])


def _filters(request: Request) -> list[str]:
    left_out = ("nextToken", "maxResults")
    return [f"{k}={request.input[k]}" for k in sorted(request.input) if k not in left_out]


def check_tags(tags: Sequence[Body]) -> None:
    """InvalidParameterException for too many tags, one key twice, or a key that AWS keeps to itself."""
    if len(tags) > TAGS_MAX:
        raise invalid(f"Too many tags: {len(tags)}. An object can have at most {TAGS_MAX}.")
    keys = [tag.get("key") or "" for tag in tags]
    if len(set(keys)) != len(keys):
        raise invalid("Duplicate tag keys are not allowed.")
    if any(not key for key in keys):
        raise invalid("Tag keys cannot be empty.")
    if any(key.lower().startswith("aws:") for key in keys):
        raise invalid("Tag keys cannot begin with aws:.")


def merged(old: Iterable[Body], new: Iterable[Body]) -> EcsTags:
    """Tags by key, the new ones on top."""
    tags = {tag["key"]: tag.get("value") or "" for tag in (*old, *new)}
    return [{"key": key, "value": value} for key, value in tags.items()]
