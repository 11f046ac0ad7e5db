"""Marathon's placement constraints: whether one more instance may go to a node, by where the others are. Pure.

Knows neither Apps nor nodes, only the values that a field has: of the node asked about, of the instances there are, and
of the nodes there are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from portway.core.cluster_query import pattern_fault

HOSTNAME = "hostname"
_FIELDS = {"@hostname": HOSTNAME, "@region": "region", "@zone": "zone"}


class ConstraintOperator(StrEnum):
    """What a constraint demands of the values of its field."""

    UNIQUE = "UNIQUE"
    CLUSTER = "CLUSTER"
    GROUP_BY = "GROUP_BY"
    LIKE = "LIKE"
    UNLIKE = "UNLIKE"
    MAX_PER = "MAX_PER"
    IS = "IS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One constraint as Marathon writes it. `field`: hostname, @hostname, @region, @zone or a node's attribute."""

    field: str
    operator: ConstraintOperator
    value: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.field, self.operator.value, self.value) if part)


def field_value(field: str, *, address: str, attributes: Mapping[str, str]) -> str | None:
    """What a node has for a field; None where it has nothing. The hostname is the node's address."""
    name = _FIELDS.get(field, field)
    if name == HOSTNAME:
        return address
    value = attributes.get(field, attributes.get(name))
    return None if value is None else _rendered(value)


def _rendered(value: str) -> str:
    """A number has at most three decimals, as Mesos renders scalars."""
    if not re.fullmatch(r"-?\d{1,15}\.\d{4,20}", value):
        return value
    return f"{float(value):.3f}".rstrip("0").rstrip(".")


def refusal_of(
    constraint: Constraint,
    value: str | None,
    *,
    placed: Sequence[str | None],
    count: int,
    known: Collection[str],
) -> str:
    """Why one more instance may not go where the field has `value`, as a clause; "" when it may.

    `placed`: the values where the App's other instances are, the oldest first; `count`: how many there are to be;
    `known`: every value that a node has.
    """
    operator, wanted = constraint.operator, constraint.value
    if value is None:
        if operator is ConstraintOperator.UNLIKE:
            return ""
        return f"the node has no {constraint.field}"
    others = sum(1 for other in placed if other == value)
    match operator:
        case ConstraintOperator.UNIQUE:
            return f"one runs where {constraint.field} is {value}" if others else ""
        case ConstraintOperator.MAX_PER:
            full = not wanted.isdecimal() or others >= int(wanted)
            return f"{others} run where {constraint.field} is {value}" if full else ""
        case ConstraintOperator.CLUSTER:
            home = wanted or next((other for other in placed if other is not None), value)
            return "" if value == home else f"{constraint.field} is {value}, not {home}"
        case ConstraintOperator.IS:
            return "" if value == wanted else f"{constraint.field} is {value}"
        case ConstraintOperator.LIKE | ConstraintOperator.UNLIKE:
            return _pattern_refusal(constraint, value)
        case ConstraintOperator.GROUP_BY:
            return _group_refusal(constraint, value, placed, count, known)


def _pattern_refusal(constraint: Constraint, value: str) -> str:
    if fault := pattern_fault(constraint.value):
        return fault[0].lower() + fault[1:].rstrip(".")
    is_alike = re.fullmatch(constraint.value, value) is not None
    if is_alike is (constraint.operator is ConstraintOperator.LIKE):
        return ""
    return f"{constraint.field} is {value}"


def _group_refusal(
    constraint: Constraint,
    value: str,
    placed: Sequence[str | None],
    count: int,
    known: Collection[str],
) -> str:
    """A new group while there are fewer than asked for; else an even share, and what remains over one each."""
    sizes = Counter(other for other in placed if other is not None)
    groups = int(constraint.value) if constraint.value.isdecimal() else 0
    groups = groups or len(known) or 1
    if value not in sizes:
        return "" if len(sizes) < groups else f"{len(sizes)} groups are all that is asked for"
    share, remainder = divmod(count, groups)
    larger = sum(1 for size in sizes.values() if size > share)
    if sizes[value] < share or (sizes[value] == share and larger < remainder):
        return ""
    return f"{sizes[value]} run where {constraint.field} is {value}"
