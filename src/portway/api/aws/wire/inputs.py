"""JSON and CBOR trees -> the values of a request. Types are checked here, everything else by validation.py. Pure."""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass, field
from typing import Any, cast

from portway.api.aws.wire.shapes import LIST_ITEM, MAP_VALUE, Kind, Shape
from portway.api.aws.wire.times import read_time

DEPTH_MAX = 64
_VALUES_MAX = 1_000_000
_BITS = {Kind.INTEGER: 31, Kind.LONG: 63}


class WrongType(Exception):
    """A value that cannot be what its member is; the message says so as AWS does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The members of a request, and the paths of those its shape does not know, which are left out."""

    values: dict[str, Any]
    unknown: tuple[str, ...] = ()


def read_tree(shape: Shape | None, tree: object, *, values_max: int = _VALUES_MAX) -> Parsed:
    """A decoded JSON or CBOR body as values; WrongType when it does not fit.

    `values_max`: the bytes of the body, each of which can be one value. CBOR may name one value many times over.
    """
    if not isinstance(tree, dict):
        raise WrongType("Start of structure or map found where not expected.")
    reader = _Reader(left=values_max)
    if shape is None:
        return Parsed(
            values={},
            unknown=tuple(
                name for name in cast("dict[object, object]", tree) if isinstance(name, str)
            ),
        )
    return Parsed(values=reader.structure(shape, tree, ""), unknown=tuple(reader.unknown))


@dataclass(slots=True)
class _Reader:
    left: int
    unknown: list[str] = field(default_factory=list)
    depth: int = 0

    def structure(self, shape: Shape, tree: object, path: str) -> dict[str, Any]:
        if not isinstance(tree, dict):
            raise _wrong(tree, "a Structure")
        values: dict[str, Any] = {}
        names = {member.wire_name or name: name for name, member in shape.members.items()}
        for given, value in cast("dict[object, object]", tree).items():
            if not isinstance(given, str):
                raise _wrong(given, "a String")
            name = names.get(given)
            where = f"{path}.{given}" if path else str(given)
            if name is None:
                if given != "__type":
                    self.unknown.append(where)
            elif value is not None:
                values[name] = self.value(shape.members[name], value, where)
        return values

    def value(self, shape: Shape, value: object, path: str) -> Any:
        match shape.kind:
            case Kind.STRUCTURE | Kind.LIST | Kind.MAP:
                return self._nested(shape, value, path)
            case _:
                return read_scalar(shape, value)

    def _nested(self, shape: Shape, value: object, path: str) -> Any:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise WrongType(f"It is nested more than {DEPTH_MAX} levels deep.")
        self.left -= len(cast("list[object]", value)) if isinstance(value, list | dict) else 0
        if self.left < 0:
            raise WrongType("It has more values than its length allows.")
        try:
            match shape.kind:
                case Kind.STRUCTURE:
                    return self.structure(shape, value, path)
                case Kind.LIST:
                    return self._list(shape, value, path)
                case _:
                    return self._map(shape, value, path)
        finally:
            self.depth -= 1

    def _list(self, shape: Shape, value: object, path: str) -> list[Any]:
        if not isinstance(value, list):
            raise _wrong(value, "a List")
        item = shape.members[LIST_ITEM]
        return [
            None if each is None else self.value(item, each, f"{path}.{number}")
            for number, each in enumerate(cast("list[object]", value), start=1)
        ]

    def _map(self, shape: Shape, value: object, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(value, "a Map")
        item = shape.members[MAP_VALUE]
        made: dict[str, Any] = {}
        for key, each in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                raise _wrong(key, "a String")
            made[key] = None if each is None else self.value(item, each, f"{path}.{key}")
        return made


def read_scalar(shape: Shape, value: object) -> Any:
    """A number, text, time or the like as its shape wants it."""
    match shape.kind:
        case Kind.STRING if isinstance(value, str):
            return value
        case Kind.BOOLEAN if isinstance(value, bool):
            return value
        case Kind.INTEGER | Kind.LONG if _is_whole(value):
            return _whole(shape, value)
        case Kind.FLOAT if isinstance(value, int | float) and not isinstance(value, bool):
            return _finite(value)
        case Kind.TIMESTAMP:
            at_ms = read_time(value)
            if at_ms is not None:
                return at_ms
        case Kind.BLOB:
            return _blob(value)
        case _:
            pass
    raise _wrong(value, _NAMES[shape.kind])


def _is_whole(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _whole(shape: Shape, value: Any) -> int:
    number = int(value)
    if not -(2 ** _BITS[shape.kind]) <= number < 2 ** _BITS[shape.kind]:
        raise WrongType(f"NUMBER_VALUE is out of range for {_NAMES[shape.kind]}")
    return number


def _finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise WrongType("NUMBER_VALUE is out of range for a Double")
    return number


def _blob(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise _wrong(value, _NAMES[Kind.BLOB])
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise WrongType("STRING_VALUE can not be converted to a Blob: it is not Base64") from None


_NAMES = {
    Kind.STRING: "a String",
    Kind.BOOLEAN: "a Boolean",
    Kind.INTEGER: "an Integer",
    Kind.LONG: "a Long",
    Kind.FLOAT: "a Double",
    Kind.TIMESTAMP: "a Timestamp",
    Kind.BLOB: "a Blob",
}


def _wrong(value: object, wanted: str) -> WrongType:
    match value:
        case bool():
            given = "TRUE_VALUE" if value else "FALSE_VALUE"
        case int() | float():
            given = "NUMBER_VALUE"
        case str():
            given = "STRING_VALUE"
        case list():
            given = "LIST_VALUE"
        case dict():
            given = "STRUCTURE_VALUE"
        case _:
            given = "VALUE"
    return WrongType(f"{given} can not be converted to {wanted}")
