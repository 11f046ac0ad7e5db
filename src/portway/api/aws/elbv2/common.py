"""What all of its objects have: ARNs, names, tags, pages, and the refusals about them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request
from portway.api.aws.paging import page
from portway.controller.balancing.registry import Registry
from portway.core.balancing.attributes import Attribute
from portway.core.balancing.model import Listener, ListenerRule, LoadBalancer, TargetGroup

T = TypeVar("T")

TAGS_MAX = 50
_PAGE_SIZE = 400
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?")


def registry_of(face: Face) -> Registry:
    """Everything that is kept of load balancers."""
    return face.operations.balancing.registry


def refused(code: str, told: str) -> AwsError:
    """A refusal with the status that the model gives its code."""
    return AwsError(code, told)


def invalid(told: str) -> AwsError:
    """The general refusal."""
    return AwsError("ValidationError", told, 400)


def check_name(name: str, noun: str) -> None:
    """ValidationError unless it is a name of a load balancer or target group."""
    if len(name) > 32:  # noqa: PLR2004
        raise invalid(f"{noun} name '{name}' cannot be longer than '32' characters")
    if name.startswith("-") or name.endswith("-"):
        raise invalid(f"{noun} name '{name}' cannot begin or end with '-'")
    if not _NAME.fullmatch(name):
        raise invalid(f"{noun} name '{name}' can only contain characters that are alphanumeric characters or hyphens(-)")  # fmt: skip
    if noun == "Load balancer" and name.lower().startswith("internal-"):
        raise invalid(f"{noun} name '{name}' cannot begin with 'internal-'")


def load_balancer(face: Face, arn: str) -> LoadBalancer:
    """One by its ARN."""
    found = registry_of(face).load_balancers.get(arn)
    if found is None:
        raise refused("LoadBalancerNotFound", f"Load balancer '{arn}' not found")
    return found


def target_group(face: Face, arn: str) -> TargetGroup:
    """One by its ARN."""
    found = registry_of(face).groups.get(arn)
    if found is None:
        raise refused("TargetGroupNotFound", f"Target groups '{arn}' not found")
    return found


def listener(face: Face, arn: str) -> Listener:
    """One by its ARN."""
    found = registry_of(face).listeners.get(arn)
    if found is None:
        raise refused("ListenerNotFound", "One or more listeners not found")
    return found


def rule(face: Face, arn: str) -> ListenerRule:
    """One by its ARN; the default rule of a listener is none."""
    found = registry_of(face).rules.get(arn)
    if found is None:
        raise refused("RuleNotFound", "One or more rules not found")
    return found


def chosen(
    every: Iterable[T],
    arns: Sequence[str],
    names: Sequence[str],
    *,
    arn_of: Callable[[T], str],
    name_of: Callable[[T], str],
    missing: Callable[[str], AwsError],
) -> list[T]:
    """Those asked for by ARN or name, all when neither is; `missing` makes the refusal for one that is not there."""
    items = list(every)
    for asked, key in ((arns, arn_of), (names, name_of)):
        known = {key(item) for item in items}
        for one in asked:
            if one not in known:
                raise missing(one)
    if not (arns or names):
        return items
    return [item for item in items if arn_of(item) in arns or name_of(item) in names]


def listing(
    request: Request,
    member: str,
    items: Sequence[T],
    key: Callable[[T], str],
    shown: Callable[[T], Any],
) -> dict[str, Any]:
    """A page as this service gives it: the items and NextMarker."""
    taken, marker = page(
        items,
        key=key,
        size=request.get("PageSize", _PAGE_SIZE),
        token=request.get("Marker"),
        scope=f"{request.operation} {request.get('LoadBalancerArn', '')} {request.get('ListenerArn', '')}",
        code="ValidationError",
        message="Invalid Marker.",
    )
    return {member: [shown(item) for item in taken], "NextMarker": marker}


def given_tags(tags: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Tags as they are kept; DuplicateTagKeys or TooManyTags."""
    kept = {tag["Key"]: tag.get("Value") or "" for tag in tags}
    if len(kept) < len(tags):
        raise refused("DuplicateTagKeys", "A tag key was specified more than once")
    check_tags(kept)
    return kept


def check_tags(tags: Collection[str]) -> None:
    """TooManyTags beyond what an object may have."""
    if len(tags) > TAGS_MAX:
        raise refused("TooManyTags", f"The maximum number of tags is '{TAGS_MAX}'")


def shown_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as they are told."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def shown_attributes(attributes: Mapping[str, str]) -> list[dict[str, str]]:
    """Attributes as they are told."""
    return [{"Key": key, "Value": value} for key, value in sorted(attributes.items())]


def given_attributes(request: Request, known: Mapping[str, Attribute], noun: str) -> dict[str, str]:
    """The attributes to change, each checked."""
    found: dict[str, str] = {}
    for each in request["Attributes"]:
        key, value = each.get("Key") or "", each.get("Value") or ""
        if key not in known:
            raise invalid(f"{noun} attribute key '{key}' is not recognized")
        problem = known[key].problem(value)
        if problem:
            raise refused("InvalidConfigurationRequest", problem)
        found[key] = value
    return found
