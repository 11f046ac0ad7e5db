"""Any value that a shape allows, for properties; and the same value as botocore wants and gives it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from portway.api.aws.wire.shapes import LIST_ITEM, MAP_VALUE, Kind, Shape

_TEXT = st.text(alphabet=st.sampled_from("aZ0 &=+%<>\"'/.\n\r\té€😀"), min_size=1, max_size=8)
_SCALARS: Mapping[Kind, st.SearchStrategy[Any]] = {
    Kind.STRING: _TEXT,
    Kind.INTEGER: st.integers(-(2**31), 2**31 - 1),
    Kind.LONG: st.integers(-(2**63), 2**63 - 1),
    Kind.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    Kind.BOOLEAN: st.booleans(),
    Kind.TIMESTAMP: st.integers(0, 4_000_000_000).map(lambda seconds: seconds * 1000),
    Kind.BLOB: st.binary(min_size=1, max_size=8),
}
_DEPTH = 4


@st.composite
def values_of(draw: st.DrawFn, shape: Shape, depth: int = _DEPTH) -> Any:
    """None where nothing of the shape can be written: a form has no empty structures and maps."""
    match shape.kind:
        case Kind.STRUCTURE:
            return _structure(draw, shape, depth)
        case Kind.LIST:
            item = shape.members[LIST_ITEM]
            drawn = [draw(values_of(item, depth - 1)) for _ in range(draw(st.integers(1, 2)))] if depth else []  # fmt: skip
            return [each for each in drawn if each is not None] or None
        case Kind.MAP:
            keys = draw(st.lists(_TEXT, min_size=1, max_size=2, unique=True)) if depth else []
            item = shape.members[MAP_VALUE]
            drawn = {key: draw(values_of(item, depth - 1)) for key in keys}
            return {key: each for key, each in drawn.items() if each is not None} or None
        case _:
            return draw(_SCALARS[shape.kind])


def _structure(draw: st.DrawFn, shape: Shape, depth: int) -> dict[str, Any] | None:
    names = sorted(shape.members)
    if not depth or not names:
        return None
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
    drawn = {name: draw(values_of(shape.members[name], depth - 1)) for name in chosen}
    return {name: each for name, each in drawn.items() if each is not None} or None


def with_datetimes(shape: Shape, value: Any) -> Any:
    """The value as botocore has it: its times are datetimes."""
    match shape.kind:
        case Kind.STRUCTURE:
            return {name: with_datetimes(shape.members[name], each) for name, each in value.items()}
        case Kind.LIST:
            return [with_datetimes(shape.members[LIST_ITEM], each) for each in value]
        case Kind.MAP:
            return {key: with_datetimes(shape.members[MAP_VALUE], each) for key, each in value.items()}  # fmt: skip
        case Kind.TIMESTAMP:
            return datetime.fromtimestamp(value / 1000, UTC)
        case _:
            return value
