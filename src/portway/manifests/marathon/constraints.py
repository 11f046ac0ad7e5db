"""Constraints of an app or pod: what each operator may be told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portway.manifests.marathon.refusal import Violation

OPERATORS = ("UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "MAX_PER", "UNLIKE", "IS")

_ATTRIBUTES = "(see http://mesos.apache.org/documentation/latest/attributes-resources/)"
_WORD = re.compile(r"[a-zA-Z0-9_/.-]*")
_NUMBER = re.compile(r"[+-]?[0-9]{1,10}")
_EXPRESSION_MAX = 1000


def constraint_faults(constraints: Sequence[Sequence[str]]) -> Iterator[Violation]:
    """Of an app's, which are lists of field, operator and perhaps a value."""
    for nth, constraint in enumerate(constraints):
        error = constraint_error(constraint)
        if error:
            yield Violation(where=("constraints", nth), error=error)


def constraint_error(constraint: Sequence[str]) -> str:
    """What is wrong with one; "" when nothing is."""
    if len(constraint) not in (2, 3):
        return "Each constraint must have either 2 or 3 fields"
    if not constraint[0]:
        return "missing field for constraint declaration"
    return value_error(constraint[1].upper(), constraint[2] if len(constraint) == 3 else None)


def pod_constraint_faults(constraints: Sequence[Mapping[str, Any]]) -> Iterator[Violation]:
    """Of a pod's, which are objects."""
    for nth, constraint in enumerate(constraints):
        error = value_error(constraint["operator"], constraint.get("value"))
        if error:
            where = ("scheduling", "placement", "constraints", nth)
            yield Violation(where=where, error=error)


def value_error(operator: str, value: str | None) -> str:
    """What is wrong with the value of an operator; "" when nothing is."""
    if operator not in OPERATORS:
        return "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS"
    if operator == "UNIQUE" and value is not None:
        return "UNIQUE does not accept a value"
    if operator == "GROUP_BY" and value and not _NUMBER.fullmatch(value):
        return "GROUP BY must define an integer value or else no value at all"
    if operator == "MAX_PER" and not _NUMBER.fullmatch(value or ""):
        return "MAX_PER requires an integer value"
    if operator in ("LIKE", "UNLIKE"):
        return _expression_error(value)
    if operator == "IS" and (value is None or not _WORD.fullmatch(value)):
        return f"IS only supports Mesos text and float values {_ATTRIBUTES}"
    return ""


def _expression_error(value: str | None) -> str:
    if not value:
        return "LIKE and UNLIKE require a non-empty, regular expression value"
    try:
        re.compile(value[:_EXPRESSION_MAX])
    except (re.error, OverflowError, RecursionError):
        return "is not a valid regular expression"
    return "" if len(value) <= _EXPRESSION_MAX else "is not a valid regular expression"
