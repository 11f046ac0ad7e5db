"""Shape: what a member of a request or an answer may be, as plain values. Made once from a service model (models.py)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """The types of Smithy that the protocols here carry."""

    STRUCTURE = "structure"
    LIST = "list"
    MAP = "map"
    STRING = "string"
    INTEGER = "integer"  # 32 bits
    LONG = "long"  # 64 bits
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # a value is Unix milliseconds
    BLOB = "blob"  # a value is bytes


LIST_ITEM = "member"
MAP_KEY = "key"
MAP_VALUE = "value"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """One type, or one use of it as a member. A shape may hold itself.

    `members`: of a structure by name; of a list LIST_ITEM; of a map MAP_KEY and MAP_VALUE.
    """

    name: str
    kind: Kind
    members: dict[str, Shape] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    least: float | None = None  # length of a text, list or map; size of a number
    most: float | None = None
    pattern: re.Pattern[str] | None = None
    enum: tuple[str, ...] = ()
    wire_name: str = ""  # where it differs from the member's name
    query_name: str = ""  # EC2 has one of its own for requests
    flattened: bool = False
    timestamp_format: str = ""
    result_wrapper: str = ""
    sensitive: bool = False

    @property
    def item(self) -> Shape:
        """What a list holds."""
        return self.members[LIST_ITEM]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorModel:
    """An error the model knows: how it is called on the wire, and the HTTP status it comes with."""

    shape: str
    code: str
    status: int
    sender_fault: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationModel:
    """One operation: what it takes and what it answers. None: nothing."""

    name: str
    input: Shape | None
    output: Shape | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceModel:
    """One service: the operations that portway carries out, the names of all others, its errors."""

    name: str
    operations: Mapping[str, OperationModel]
    known: frozenset[str]
    errors: Mapping[str, ErrorModel]  # by shape name and by code
    api_version: str = ""
    xml_namespace: str = ""
    json_version: str = "1.1"
    target_prefix: str = ""
    signing_name: str = ""
