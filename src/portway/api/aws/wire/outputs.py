"""Values of an answer -> a tree for JSON or CBOR, or XML text. Pure.

A member the model does not have, or of another type, is our mistake and an assertion. None is left out.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from xml.sax.saxutils import escape

from portway.api.aws.wire.shapes import LIST_ITEM, MAP_KEY, MAP_VALUE, Kind, Shape
from portway.api.aws.wire.times import epoch_number, iso_text

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TYPES: Mapping[Kind, type | tuple[type, ...]] = {
    Kind.STRUCTURE: Mapping,
    Kind.LIST: (list, tuple),
    Kind.MAP: Mapping,
    Kind.STRING: str,
    Kind.INTEGER: int,
    Kind.LONG: int,
    Kind.FLOAT: (int, float),
    Kind.BOOLEAN: bool,
    Kind.TIMESTAMP: int,
    Kind.BLOB: bytes,
}


def to_tree(shape: Shape | None, value: Mapping[str, Any], *, is_cbor: bool = False) -> Any:
    """The answer as what a JSON (or CBOR) encoder takes."""
    if shape is None:
        assert not value, f"an answer nobody expects: {value}"
        return {}
    return _tree(shape, value, is_cbor=is_cbor)


def to_xml(shape: Shape | None, value: Mapping[str, Any]) -> str:
    """The answer as XML elements without a root."""
    if shape is None:
        assert not value, f"an answer nobody expects: {value}"
        return ""
    parts: list[str] = []
    _structure_xml(shape, value, parts)
    return "".join(parts)


def xml_text(text: str) -> str:
    """Text as XML can hold it: what it cannot becomes a question mark, as with every parser it would be an error."""
    return escape(_NOT_XML.sub("?", text)).replace("\r", "&#13;")


def _tree(shape: Shape, value: Any, *, is_cbor: bool) -> Any:
    _check(shape, value)
    match shape.kind:
        case Kind.STRUCTURE:
            return {
                shape.members[name].wire_name or name: _tree(shape.members[name], each, is_cbor=is_cbor)
                for name, each in cast("Mapping[str, Any]", value).items()
                if each is not None
            }  # fmt: skip
        case Kind.LIST:
            item = shape.members[LIST_ITEM]
            return [_tree(item, each, is_cbor=is_cbor) for each in cast("Sequence[Any]", value)]
        case Kind.MAP:
            item = shape.members[MAP_VALUE]
            return {
                key: _tree(item, each, is_cbor=is_cbor)
                for key, each in cast("Mapping[str, Any]", value).items()
            }
        case Kind.TIMESTAMP:
            return _cbor_time(value) if is_cbor else _json_time(shape, value)
        case Kind.BLOB:
            return value if is_cbor else base64.b64encode(value).decode()
        case _:
            return value


def _check(shape: Shape, value: Any) -> None:
    fits = isinstance(value, _TYPES[shape.kind])
    if isinstance(value, bool) and shape.kind is not Kind.BOOLEAN:
        fits = False
    assert fits, f"{shape.name} is a {shape.kind}, not {type(value).__name__} {value!r:.100}"
    if shape.kind is Kind.STRUCTURE:
        odd = cast("Mapping[str, Any]", value).keys() - shape.members.keys()
        assert not odd, f"{shape.name} has no member {sorted(odd)}"


def _json_time(shape: Shape, at_ms: int) -> Any:
    return iso_text(at_ms) if shape.timestamp_format == "iso8601" else epoch_number(at_ms)


def _cbor_time(at_ms: int) -> Any:
    from cbor2 import CBORTag

    return CBORTag(1, epoch_number(at_ms))


def _structure_xml(shape: Shape, value: Mapping[str, Any], parts: list[str]) -> None:
    _check(shape, value)
    for name, member in shape.members.items():
        if value.get(name) is not None:
            _element(member, member.wire_name or name, value[name], parts)


def _element(shape: Shape, name: str, value: Any, parts: list[str]) -> None:
    match shape.kind:
        case Kind.LIST:
            _list_xml(shape, name, value, parts)
            return
        case Kind.MAP:
            _map_xml(shape, name, value, parts)
            return
        case Kind.STRUCTURE:
            parts.append(f"<{name}>")
            _structure_xml(shape, value, parts)
        case _:
            parts.append(f"<{name}>{_text(shape, value)}")
    parts.append(f"</{name}>")


def _list_xml(shape: Shape, name: str, value: Sequence[Any], parts: list[str]) -> None:
    _check(shape, value)
    if shape.flattened:
        for each in value:
            _element(shape.item, shape.item.wire_name or name, each, parts)
        return
    parts.append(f"<{name}>")
    for each in value:
        _element(shape.item, shape.item.wire_name or LIST_ITEM, each, parts)
    parts.append(f"</{name}>")


def _map_xml(shape: Shape, name: str, value: Mapping[str, Any], parts: list[str]) -> None:
    _check(shape, value)
    key, held = shape.members[MAP_KEY], shape.members[MAP_VALUE]
    entry = name if shape.flattened else "entry"
    parts.append("" if shape.flattened else f"<{name}>")
    for each, inner in value.items():
        parts.append(f"<{entry}>")
        _element(key, key.wire_name or MAP_KEY, each, parts)
        _element(held, held.wire_name or MAP_VALUE, inner, parts)
        parts.append(f"</{entry}>")
    parts.append("" if shape.flattened else f"</{name}>")


def _text(shape: Shape, value: Any) -> str:
    _check(shape, value)
    match shape.kind:
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case Kind.TIMESTAMP:
            is_epoch = shape.timestamp_format == "unixtimestamp"
            return str(epoch_number(value)) if is_epoch else iso_text(value)
        case Kind.BLOB:
            return base64.b64encode(value).decode()
        case _:
            return xml_text(str(value))
