"""Stored objects of the AWS face: changing one by what it is now, and the little that all of AWS's objects have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from portway.store.base import Document, DocumentChangedError, Documents

_TRIES = 100  # of so many at once each is made: in every round one of them is

Body = dict[str, Any]
Tags = list[dict[str, str]]


async def changed(
    documents: Documents, kind: str, key: str, change: Callable[[Body], Body]
) -> Document | None:
    """One object as `change` makes it of what is stored, whoever else changes it meanwhile; None when it is not there.

    `change` may be called again, and may raise to leave everything as it is.
    """
    for tries_left in reversed(range(_TRIES)):
        found = await documents.get(kind, key)
        if found is None:
            return None
        body = change(deepcopy(dict(found.body)))
        if body == found.body:
            return found
        try:
            return await documents.put(kind, key, body, found.version)
        except DocumentChangedError:
            if not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def merged_tags(old: Iterable[Mapping[str, str]], new: Iterable[Mapping[str, Any]]) -> Tags:
    """Tags by key, the new ones on top; a tag without a value has an empty one."""
    tags = {tag["Key"]: tag.get("Value") or "" for tag in (*old, *new)}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def without_tags(old: Iterable[Mapping[str, str]], keys: Iterable[str]) -> Tags:
    """Tags but for those of these keys."""
    gone = set(keys)
    return [dict(tag) for tag in old if tag["Key"] not in gone]
