"""A manifest with its published ports moved up by so many, or with some of its services, for `portway start`. Pure.

Convox's rule: every published port, and the N of the labels port.N.*, move together; bare ports stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping

from portway.core.errors import RequestError
from portway.manifests.interpolate import Interpolator
from portway.manifests.reader import read_tree
from portway.manifests.tree import Fields, Items, Node, Problems, Scalar

_PUBLISHED = re.compile(r"(?P<before>.*:)?(?P<published>[0-9]+(-[0-9]+)?)(?P<after>:[^:]+)")
_PORT_LABEL = re.compile(r"(?P<before>(convox|portway)\.port\.)(?P<number>[0-9]+)(?P<after>\..+)")
_BARE_WORD = re.compile(r"null|true|false|-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_PORT_MAX = 65535


def rewritten(
    text: str,
    *,
    file: str,
    variables: Mapping[str, str],
    shifts: Mapping[str, int],
    kept: Collection[str],
) -> str:
    """The manifest as JSON (which is YAML): the services `kept`, the published ports of each moved by its own shift.

    The text is one that has been parsed without errors before.
    """
    root = read_tree(text, problems=Problems(file))
    assert isinstance(root, Fields)
    services = root.entries.get("services")
    fill = Interpolator(variables)
    if isinstance(services, Fields):
        parts = {key: _json(node) for key, node in root.entries.items()}
        parts["services"] = _services(services, fill, shifts, kept)
        return _object(parts)
    return _services(root, fill, shifts, kept)


def shifted_number(number: int, shift: int) -> int:
    """A port moved by `shift`; RequestError when there is no such port."""
    moved = number + shift
    if 0 < moved <= _PORT_MAX:
        return moved
    raise RequestError(
        f"Port {number} shifted by {shift} would be {moved}, which is no port.",
        hint=f"Choose a shift of at most {_PORT_MAX - number}.",
    )


def _services(
    services: Fields, fill: Interpolator, shifts: Mapping[str, int], kept: Collection[str]
) -> str:
    return _object(
        {
            name: _service(node, fill, shifts[name])
            if isinstance(node, Fields) and shifts.get(name)
            else _json(node)
            for name, node in services.entries.items()
            if name in kept
        }
    )


def _service(service: Fields, fill: Interpolator, shift: int) -> str:
    parts = {key: _json(node) for key, node in service.entries.items()}
    ports, labels = service.entries.get("ports"), service.entries.get("labels")
    if isinstance(ports, Items):
        parts["ports"] = _list([_port(fill.fill(item), shift) for item in ports.items])
    if isinstance(labels, Items):
        parts["labels"] = _list([_label_item(item, shift) for item in labels.items])
    if isinstance(labels, Fields):
        parts["labels"] = _object(
            {_label(key, shift): _json(node) for key, node in labels.entries.items()}
        )
    return _object(parts)


def _port(item: Node, shift: int) -> str:
    match item:
        case Scalar():
            return json.dumps(_short(item.value, shift))
        case Fields():
            parts = {key: _json(node) for key, node in item.entries.items()}
            published = item.entries.get("published")
            if isinstance(published, Scalar) and not published.is_null:
                parts["published"] = json.dumps(_numbers(published.value, shift))
            return _object(parts)
        case _:
            return _json(item)


def _short(text: str, shift: int) -> str:
    found = _PUBLISHED.fullmatch(text.strip())
    if found is None:
        return text
    return f"{found['before'] or ''}{_numbers(found['published'], shift)}{found['after']}"


def _numbers(text: str, shift: int) -> str:
    """`80` or `8000-8005`, moved; anything else (a range of another spelling) as it is."""
    return re.sub(r"[0-9]+", lambda match: str(shifted_number(int(match[0]), shift)), text)


def _label(key: str, shift: int) -> str:
    found = _PORT_LABEL.fullmatch(key)
    return f"{found['before']}{_numbers(found['number'], shift)}{found['after']}" if found else key


def _label_item(item: Node, shift: int) -> str:
    if not isinstance(item, Scalar):
        return _json(item)
    key, equals, value = item.value.partition("=")
    return json.dumps(f"{_label(key, shift)}{equals}{value}")


def _json(node: Node) -> str:
    match node:
        case Scalar() if node.is_null:
            return "null"
        case Scalar() if node.plain and _BARE_WORD.fullmatch(node.value):
            return node.value
        case Scalar():
            return json.dumps(node.value)
        case Items():
            return _list([_json(item) for item in node.items])
        case Fields():
            return _object({key: _json(value) for key, value in node.entries.items()})
        case _:
            raise AssertionError(node)


def _list(parts: list[str]) -> str:
    return f"[{', '.join(parts)}]"


def _object(parts: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(key)}: {value}" for key, value in parts.items()) + "}"
