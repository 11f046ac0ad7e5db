"""The service ports that a definition names, and the same definition with others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def service_ports_of(definition: Mapping[str, Any]) -> tuple[int, ...]:
    """The service ports in the definition's order, 0 where one is to be assigned; a pod has none."""
    field, _, key = _place(definition)
    return tuple(int(one.get(key, 0)) for one in field)


def with_service_ports(definition: Mapping[str, Any], numbers: Sequence[int]) -> dict[str, Any]:
    """The definition with these service ports."""
    field, name, key = _place(definition)
    numbered = [{**one, key: number} for one, number in zip(field, numbers, strict=True)]
    if not name:
        return dict(definition)
    if name == "portDefinitions":
        return {**definition, name: numbered}
    return {**definition, "container": {**definition["container"], name: numbered}}


def _place(definition: Mapping[str, Any]) -> tuple[Sequence[Mapping[str, Any]], str, str]:
    """Where they are written: the list, its name, and the member of each."""
    container = definition.get("container") or {}
    if container.get("portMappings"):
        return container["portMappings"], "portMappings", "servicePort"
    if definition.get("portDefinitions"):
        return definition["portDefinitions"], "portDefinitions", "port"
    return (), "", ""
