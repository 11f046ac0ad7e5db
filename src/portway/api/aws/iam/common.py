"""What all of IAM's objects have: names, paths, ids, ARNs, pages, and the refusals about them. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request
from portway.api.aws.paging import page

T = TypeVar("T")

_PAGE_SIZE = 100
TAGS_MAX = 50


def new_id(face: Face, prefix: str) -> str:
    """AROA, AIPA or ASCA and 16 letters."""
    return prefix + base64.b32encode(bytes.fromhex(face.new_id(10))).decode()


def iam_arn(face: Face, kind: str, path: str, name: str) -> str:
    """arn:aws:iam::000000000000:role/path/name"""
    return face.arn("iam", f"{kind}{path}{name}", is_global=True)


def no_entity(noun: str, name: str) -> AwsError:
    """The refusal where there is none."""
    return AwsError("NoSuchEntity", f"The {noun} with name {name} cannot be found.", 404)


def exists(noun: str, name: str) -> AwsError:
    """The refusal of a name that is taken."""
    return AwsError("EntityAlreadyExists", f"{noun} with name {name} already exists.", 409)


def check_policy(text: str) -> None:
    """MalformedPolicyDocument unless the policy is a JSON object with statements."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or "Statement" not in document:
        told = "Syntax errors in policy." if document is None else "A policy needs a Statement."
        raise AwsError("MalformedPolicyDocument", told, 400)


def check_tags(tags: Sequence[object]) -> None:
    """LimitExceeded for more tags than an object may have."""
    if len(tags) > TAGS_MAX:
        raise AwsError("LimitExceeded", f"An object can have at most {TAGS_MAX} tags.", 409)


def listing(
    request: Request,
    member: str,
    items: Sequence[T],
    key: Callable[[T], str],
    shown: Callable[[T], Any],
) -> dict[str, Any]:
    """A page of a listing as IAM gives it: the items, IsTruncated and Marker."""
    taken, marker = page(
        items,
        key=key,
        size=request.get("MaxItems", _PAGE_SIZE),
        token=request.get("Marker"),
        scope=f"{request.operation} {request.get('PathPrefix', '')} {request.get('RoleName', '')}",
        code="ValidationError",
        message="Invalid Marker.",
    )
    return {
        member: [shown(item) for item in taken],
        "IsTruncated": marker is not None,
        "Marker": marker,
    }
