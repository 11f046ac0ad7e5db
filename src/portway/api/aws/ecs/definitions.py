"""Stored task definitions: how one is found by what an operation was given, and how the next revision is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import Body, changed
from portway.core.aws_names import is_arn, last_part
from portway.store.base import Document, DocumentChangedError

KIND = "ecs.task-definition"
FAMILY_KIND = "ecs.family"  # the newest revision ever made of it: no number is used twice

ACTIVE, INACTIVE, DELETING = "ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"

_DIGITS_MAX = 9
_TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One revision as it is stored. `body`: what AWS shows of it but for `tags` and what changes; see `shown`."""

    arn: str
    family: str
    revision: int
    status: str
    body: Mapping[str, Any]
    tags: tuple[Mapping[str, str], ...] = ()
    registered_at_ms: int = 0
    registered_by: str = ""
    deregistered_at_ms: int | None = None
    delete_requested_at_ms: int | None = None

    def shown(self) -> dict[str, Any]:
        """`taskDefinition` of an answer."""
        times = {
            "deregisteredAt": self.deregistered_at_ms,
            "deleteRequestedAt": self.delete_requested_at_ms,
        }
        return {
            "taskDefinitionArn": self.arn,
            **self.body,
            "family": self.family,
            "revision": self.revision,
            "status": self.status,
            "registeredAt": self.registered_at_ms,
            "registeredBy": self.registered_by,
            **{name: value for name, value in times.items() if value is not None},
        }


def definition_of(document: Document) -> Definition:
    """What a document says."""
    stored = document.body
    return Definition(
        arn=stored["arn"],
        family=stored["family"],
        revision=stored["revision"],
        status=stored["status"],
        body=stored["body"],
        tags=tuple(stored.get("tags") or ()),
        registered_at_ms=stored.get("registered_at_ms", 0),
        registered_by=stored.get("registered_by", ""),
        deregistered_at_ms=stored.get("deregistered_at_ms"),
        delete_requested_at_ms=stored.get("delete_requested_at_ms"),
    )


def split_name(name: str) -> tuple[str, int | None]:
    """Family and revision of "web", "web:3" or an ARN; revision 0 is one that cannot be."""
    family, colon, written = (last_part(name) if is_arn(name) else name).partition(":")
    if not colon:
        return family, None
    is_number = written.isascii() and written.isdigit() and len(written) <= _DIGITS_MAX
    return family, int(written) if is_number else 0


def document_key(family: str, revision: int) -> str:
    """The key of one revision."""
    return f"{family}:{revision}"


async def find_definition(face: Face, name: str) -> Definition | None:
    """The revision that was named; of a family alone the newest ACTIVE one. An ARN of another account or region finds nothing."""
    family, revision = split_name(name)
    if revision is None:
        found = [d for d in await revisions_of(face, family) if d.status == ACTIVE]
        newest = max(found, key=lambda each: each.revision, default=None)
    else:
        document = await face.documents.get(KIND, document_key(family, revision))
        newest = definition_of(document) if document else None
    if newest is None or (is_arn(name) and revision is not None and newest.arn != name):
        return None
    return newest


async def revisions_of(face: Face, family: str) -> list[Definition]:
    """Every revision of one family."""
    return [definition_of(d) for d in await face.documents.list(KIND, f"{family}:")]


async def all_definitions(face: Face) -> list[Definition]:
    """Every revision of every family."""
    return [definition_of(d) for d in await face.documents.list(KIND)]


async def next_revision(face: Face, family: str) -> int:
    """A number no revision of the family has had, whoever else asks at the same time."""

    def count(body: Body) -> Body:
        return {**body, "newest": body["newest"] + 1}

    for tries_left in reversed(range(_TRIES)):
        try:
            made = await changed(face.documents, FAMILY_KIND, family, count)
            if made is None:
                made = await face.documents.put(FAMILY_KIND, family, {"newest": 1}, 0)
        except DocumentChangedError:
            if not tries_left:
                raise
        else:
            return made.body["newest"]
    raise AssertionError("the last try returns or raises")


async def change_definition(
    face: Face, definition: Definition, change: Callable[[Body], Body]
) -> Definition:
    """One revision as `change` makes its document; ClientException when it is gone meanwhile."""
    key = document_key(definition.family, definition.revision)
    document = await changed(face.documents, KIND, key, change)
    if document is None:
        raise AwsError("ClientException", "Unable to describe task definition.")
    return definition_of(document)
