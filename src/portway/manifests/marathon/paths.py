"""Ids of Marathon: paths of names, and what a name may be."""

from __future__ import annotations

import re
from collections.abc import Iterator

RESERVED = ("restart", "tasks", "versions", ".", "..")
SEGMENT = (
    r"^(([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])|(\.|\.\.)$"
)

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_WRITTEN = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")


def segments(path: str) -> tuple[str, ...]:
    """The names of a path; empty ones are none."""
    return tuple(part for part in path.split("/") if part)


def canonical(path: str, base: str = "/") -> str:
    """The absolute path meant by one that may be relative to `base`."""
    found = [] if path.startswith("/") else list(segments(base))
    for part in segments(path):
        if part == "..":
            del found[-1:]
        elif part != ".":
            found.append(part)
    return "/" + "/".join(found)


def parent_of(path: str) -> str:
    """The group that an absolute path is in; "/" is in itself."""
    return "/" + "/".join(segments(path)[:-1])


def ancestors_of(path: str) -> Iterator[str]:
    """The groups that an absolute path is in, the nearest first, the root last."""
    while path != "/":
        path = parent_of(path)
        yield path


def is_in(path: str, group: str) -> bool:
    """Whether a path is somewhere in a group."""
    return group == "/" or path.startswith(f"{group}/")


def is_written_well(path: str) -> bool:
    """What a path may be in JSON: names of a-z, 0-9, - and ., or `..`."""
    return all(not part or part == ".." or _WRITTEN.fullmatch(part) for part in path.split("/"))


def is_segment(part: str) -> bool:
    """Whether a name matches SEGMENT; without an expression that takes long for a long one."""
    return part in (".", "..") or all(_LABEL.fullmatch(label) for label in part.split("."))


def path_faults(path: str, *, absolute: bool = True) -> Iterator[str]:
    """What of a path breaks Marathon's rules of ids."""
    names = segments(path)
    if absolute and not path.startswith("/"):
        yield "Path needs to be absolute"
    if absolute and not names:
        yield "Path must contain at least one path element"
    if not all(is_segment(name) for name in names):
        yield f"must fully match regular expression '{SEGMENT}'"
    if names and names[-1] in RESERVED:
        yield f"must not end with any of the following reserved keywords: {', '.join(RESERVED)}"
    if any(name in (".", "..") for name in names[:-1]):
        yield f"Identifier is not child of '/{'/'.join(names[:-1])}'"
