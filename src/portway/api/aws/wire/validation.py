"""The constraints of a service model, checked on the values of a request. Every violation is told at once, as AWS words them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from portway.api.aws.wire.shapes import LIST_ITEM, MAP_KEY, MAP_VALUE, Kind, Shape

_TOLD_MAX = 10
_PATTERN_LENGTH_MAX = 10_000  # no pattern is tried on more
_SHOWN_MAX = 200
_LENGTHS = {Kind.STRING: "length", Kind.LIST: "length", Kind.MAP: "length", Kind.BLOB: "length"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One constraint that one value breaks. `path` in AWS's writing: loadBalancers.1.member.containerPort."""

    path: str
    constraint: str
    shown: str = ""
    is_missing: bool = False

    def __str__(self) -> str:
        value = "Value null" if self.is_missing else f"Value '{self.shown}'" if self.shown else "Value"  # fmt: skip
        return f"{value} at '{self.path}' failed to satisfy constraint: {self.constraint}"


def violations(
    shape: Shape | None, values: Mapping[str, Any], *, left_out: Collection[str] = ()
) -> list[Violation]:
    """What of a request breaks the model. `left_out`: top-level members an operation checks by itself ("*": all)."""
    if shape is None:
        return []
    found = _structure(shape, values, "", left_out=frozenset(left_out))
    return [each for each, _ in zip(found, range(_TOLD_MAX), strict=False)]


def sentence(found: list[Violation]) -> str:
    """All of them as one message of AWS."""
    many = "s" if len(found) > 1 else ""
    told = "; ".join(str(each) for each in found)
    return f"{len(found)} validation error{many} detected: {told}"


def _structure(
    shape: Shape,
    values: Mapping[str, Any],
    path: str,
    *,
    left_out: frozenset[str] = frozenset(),
) -> Iterator[Violation]:
    for name in shape.required:
        if values.get(name) is None and not left_out & {name, "*"}:
            yield _missing(f"{path}{_lower(name)}")
    for name, value in values.items():
        if value is not None and not left_out & {name, "*"}:
            yield from _value(shape.members[name], value, f"{path}{_lower(name)}")


def _value(shape: Shape, value: Any, path: str) -> Iterator[Violation]:
    if value is None:
        yield _missing(path)
        return
    match shape.kind:
        case Kind.STRUCTURE:
            yield from _structure(shape, value, f"{path}.")
        case Kind.LIST:
            yield from _size(shape, len(value), path)
            item = shape.members[LIST_ITEM]
            for number, each in enumerate(value, start=1):
                yield from _value(item, each, f"{path}.{number}.member")
        case Kind.MAP:
            yield from _size(shape, len(value), path)
            for key, each in value.items():
                yield from _value(shape.members[MAP_KEY], key, f"{path}.key")
                yield from _value(
                    shape.members[MAP_VALUE], each, f"{path}.{key[:_SHOWN_MAX]}.member"
                )
        case Kind.STRING:
            yield from _text(shape, value, path)
        case Kind.INTEGER | Kind.LONG | Kind.FLOAT:
            yield from _size(shape, value, path, shown=str(value))
        case Kind.BLOB:
            yield from _size(shape, len(value), path)
        case _:
            pass


def _text(shape: Shape, value: str, path: str) -> Iterator[Violation]:
    shown = "" if shape.sensitive else value[:_SHOWN_MAX]
    if shape.enum and value not in shape.enum:
        allowed = ", ".join(sorted(shape.enum))
        constraint = f"Member must satisfy enum value set: [{allowed}]"
        yield Violation(path=path, shown=shown, constraint=constraint)
        return
    too_long = list(_size(shape, len(value), path, shown=shown))
    yield from too_long
    if too_long or shape.pattern is None or len(value) > _PATTERN_LENGTH_MAX:
        return
    if shape.pattern.fullmatch(value) is None:
        constraint = f"Member must satisfy regular expression pattern: {shape.pattern.pattern}"
        yield Violation(path=path, shown=shown, constraint=constraint)


def _size(shape: Shape, size: float, path: str, *, shown: str = "") -> Iterator[Violation]:
    noun = "have length" if shape.kind in _LENGTHS else "have value"
    if shape.least is not None and size < shape.least:
        constraint = f"Member must {noun} greater than or equal to {shape.least:g}"
        yield Violation(path=path, shown=shown, constraint=constraint)
    if shape.most is not None and size > shape.most:
        constraint = f"Member must {noun} less than or equal to {shape.most:.0f}"
        yield Violation(path=path, shown=shown, constraint=constraint)


def _missing(path: str) -> Violation:
    return Violation(path=path, constraint="Member must not be null", is_missing=True)


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
