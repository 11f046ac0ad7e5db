"""Whether a JSON value has the shape of a task definition or service: types, unknown fields, what is ignored or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from portway.core.suggest import did_you_mean
from portway.manifests.ecs_fields import (
    SHOWN_ONLY,
    Field,
    Use,
    keys_of,
    service_fields,
    task_fields,
)
from portway.manifests.json_reader import Where
from portway.manifests.tree import shown

FAULTS_MAX = 200
_SUGGESTED_MAX = 50
NUMBER_MAX = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong (or odd) in a document. `aws`: the whole message where it is one of AWS's own."""

    where: Where
    message: str
    hint: str = ""
    aws: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What was found: why it cannot be used, and what has no effect."""

    faults: tuple[Fault, ...]
    ignored: tuple[Fault, ...]


def task_shape(value: Any) -> Shape:
    """Of a task definition."""
    return _Walker(task_fields(), is_service=False).walk(value)


def service_shape(value: Any) -> Shape:
    """Of a service."""
    return _Walker(service_fields(), is_service=True).walk(value)


class _Walker:
    def __init__(self, fields: Mapping[str, Field], *, is_service: bool) -> None:
        self._fields = fields
        self._is_service = is_service
        self._faults: list[Fault] = []
        self._ignored: list[Fault] = []

    def walk(self, value: Any) -> Shape:
        if isinstance(value, dict):
            self._object(value, "", ())
        else:
            self._fault((), f"must be an object, but it is {kind_of(value)}", "Write { ... }.")
        return Shape(faults=tuple(self._faults), ignored=tuple(self._ignored))

    def _object(self, value: Mapping[str, Any], path: str, where: Where) -> None:
        for key, inner in value.items():
            full = f"{path}.{key}" if path else key
            field = self._fields.get(full)
            if field is None:
                self._unknown(key, path, (*where, key))
            elif inner is not None:
                self._field(field, inner, (*where, key))

    def _unknown(self, key: str, path: str, where: Where) -> None:
        if not path and key in SHOWN_ONLY:
            return
        known = keys_of(self._is_service, path)
        quick = len(self._ignored) < _SUGGESTED_MAX and len(key) < 64
        guess = did_you_mean(key, known).strip() if quick else ""
        what = "a service" if self._is_service else "a task definition"
        self._ignore(where, f"'{shown(key)}' is not a field of {what} and is ignored", guess)

    def _field(self, field: Field, value: Any, where: Where) -> None:
        if field.use is Use.REFUSED:
            if value not in (False, "", [], {}):
                self._fault(
                    where, f"{field.path.rpartition('.')[2]} is not supported: {field.told}"
                )
            return
        if field.use is Use.IGNORED:
            if value not in (False, "", [], {}):
                self._ignore(where, f"has no effect: {field.told}")
            return
        wrong = _CHECKS[field.kind](value)
        if wrong:
            self._fault(where, wrong)
            return
        if field.choices and value not in field.choices:
            told = f"must be one of {', '.join(field.choices)}, not '{shown(str(value))}'"
            self._fault(where, told, did_you_mean(str(value)[:64], field.choices).strip())
        if field.kind == "object":
            self._object(value, field.path, where)
        elif field.kind == "objects":
            for index, item in enumerate(value):
                self._object(item, f"{field.path}[]", (*where, index))

    def _fault(self, where: Where, message: str, hint: str = "") -> None:
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(Fault(where=where, message=message, hint=hint))

    def _ignore(self, where: Where, message: str, hint: str = "") -> None:
        if len(self._ignored) < FAULTS_MAX:
            self._ignored.append(Fault(where=where, message=message, hint=hint))


def kind_of(value: Any) -> str:
    """What a JSON value is, for a sentence."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= NUMBER_MAX


def _items(value: Any, fits: Callable[[Any], bool], of: str) -> str:
    if not isinstance(value, list):
        return f"must be a list of {of}, but it is {kind_of(value)}"
    odd: Iterator[Any] = (item for item in value if not fits(item))
    return next((f"must be a list of {of}, but it holds {kind_of(item)}" for item in odd), "")


def _map(value: Any) -> str:
    if not isinstance(value, dict):
        return f"must be an object of texts, but it is {kind_of(value)}"
    odd = (key for key, inner in value.items() if not isinstance(inner, str))
    return next((f"must be an object of texts, but '{shown(key)}' is none" for key in odd), "")


def _number(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return "" if _is_number(value) else "is too large a number"
    return f"must be a whole number, but it is {kind_of(value)}"


_CHECKS: Mapping[str, Callable[[Any], str]] = {
    "text": lambda v: "" if isinstance(v, str) else f"must be a text, but it is {kind_of(v)}",
    "number": _number,
    "flag": lambda v: "" if isinstance(v, bool) else f"must be true or false, but it is {kind_of(v)}",
    "map": _map,
    "texts": lambda v: _items(v, lambda i: isinstance(i, str), "texts"),
    "object": lambda v: "" if isinstance(v, dict) else f"must be an object, but it is {kind_of(v)}",
    "objects": lambda v: _items(v, lambda i: isinstance(i, dict), "objects"),
}  # fmt: skip
