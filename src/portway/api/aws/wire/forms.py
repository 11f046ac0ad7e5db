"""Form parameters of the query and EC2 protocols -> the values of a request. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from portway.api.aws.wire.inputs import Parsed, WrongType, read_scalar
from portway.api.aws.wire.shapes import LIST_ITEM, MAP_KEY, MAP_VALUE, Kind, Shape

PARAMETERS_MAX = 20_000
_DEPTH_MAX = 64
_WHOLE = re.compile("[+-]?[0-9]{1,19}")
_NOT_MEMBERS = frozenset({"Action", "Version", "AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "Timestamp"})  # fmt: skip


def read_pairs(text: bytes) -> dict[str, str]:
    """The parameters of a form or a query string; of one given twice the last counts. WrongType when it is none."""
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=PARAMETERS_MAX,
            errors="strict",
        )
    except (ValueError, UnicodeError):
        raise WrongType("The query string is malformed, or has too many parameters.") from None
    return dict(pairs)


@dataclass(slots=True)
class _Node:
    """What was given at one place: a text, or further places below it."""

    text: str | None = None
    below: dict[str, _Node] = field(default_factory=dict)


def read_form(shape: Shape | None, pairs: Mapping[str, str], *, is_ec2: bool) -> Parsed:
    """Flat parameters as the values of a shape; WrongType for what does not fit."""
    root = _Node()
    for name, text in pairs.items():
        if name in _NOT_MEMBERS or name.startswith("X-Amz-"):
            continue
        node = root
        parts = name.split(".")
        if len(parts) > _DEPTH_MAX:
            raise WrongType(f"A parameter is nested more than {_DEPTH_MAX} levels deep.")
        for part in parts:
            node = node.below.setdefault(part, _Node())
        node.text = text
    reader = _FormReader(is_ec2=is_ec2)
    if shape is None:
        return Parsed(values={}, unknown=tuple(root.below))
    return Parsed(values=reader.structure(shape, root, ""), unknown=tuple(reader.unknown))


@dataclass(slots=True, kw_only=True)
class _FormReader:
    is_ec2: bool
    unknown: list[str] = field(default_factory=list)

    def structure(self, shape: Shape, node: _Node, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        known: set[str] = set()
        for name, member in shape.members.items():
            given = self._parameter(name, member)
            known.add(given)
            if given in node.below:
                value = self.value(member, node.below[given], f"{path}{given}")
                if value is not None:
                    values[name] = value
        self.unknown += [f"{path}{given}" for given in node.below if given not in known]
        return values

    def value(self, shape: Shape, node: _Node, path: str) -> Any:
        match shape.kind:
            case Kind.STRUCTURE:
                return self.structure(shape, node, f"{path}.")
            case Kind.LIST:
                return self._list(shape, node, path)
            case Kind.MAP:
                return self._map(shape, node, path)
            case _:
                return None if node.text is None else _of_text(shape, node.text, path)

    def _parameter(self, name: str, member: Shape) -> str:
        if self.is_ec2:
            wire = member.wire_name
            return member.query_name or (wire[:1].upper() + wire[1:] if wire else name)
        if member.kind is Kind.LIST and member.flattened and member.item.wire_name:
            return member.item.wire_name
        return member.wire_name or name

    def _list(self, shape: Shape, node: _Node, path: str) -> list[Any] | None:
        holder = node
        if not self.is_ec2 and not shape.flattened:
            item_name = shape.item.wire_name or LIST_ITEM
            holder = node.below.get(item_name, _Node())
            self.unknown += [f"{path}.{given}" for given in node.below if given != item_name]
        if not holder.below:
            # An empty list is written as the list's own name with nothing behind it.
            return [] if node.text == "" else None
        return [
            self.value(shape.item, each, f"{path}.{number}")
            for number, each in self._numbered(holder, path)
        ]

    def _map(self, shape: Shape, node: _Node, path: str) -> dict[str, Any] | None:
        holder = node if shape.flattened else node.below.get("entry", _Node())
        key, value = shape.members[MAP_KEY], shape.members[MAP_VALUE]
        made: dict[str, Any] = {}
        for number, entry in self._numbered(holder, path):
            named = entry.below.get(key.wire_name or MAP_KEY)
            held = entry.below.get(value.wire_name or MAP_VALUE)
            if named is None or named.text is None:
                raise WrongType(f"Entry {number} of {path} has no key.")
            made[named.text] = None if held is None else self.value(value, held, path)
        return made or None

    def _numbered(self, node: _Node, path: str) -> list[tuple[int, _Node]]:
        numbered: list[tuple[int, _Node]] = []
        for given, each in node.below.items():
            if given.isascii() and given.isdigit() and len(given) <= 9:
                numbered.append((int(given), each))
            else:
                self.unknown.append(f"{path}.{given}")
        return sorted(numbered, key=lambda pair: pair[0])


def _of_text(shape: Shape, text: str, path: str) -> Any:
    match shape.kind:
        case Kind.BOOLEAN:
            if text.lower() in ("true", "false"):
                return text.lower() == "true"
        case Kind.INTEGER | Kind.LONG:
            if _WHOLE.fullmatch(text):
                return read_scalar(shape, int(text))
        case Kind.FLOAT:
            try:
                return read_scalar(shape, float(text))
            except ValueError:
                pass
        case _:
            return read_scalar(shape, text)
    raise WrongType(f"Invalid value '{text[:80]}' for {path}: it must be {_WANTED[shape.kind]}.")


_WANTED = {Kind.BOOLEAN: "true or false", Kind.INTEGER: "a whole number", Kind.LONG: "a whole number", Kind.FLOAT: "a number"}  # fmt: skip
