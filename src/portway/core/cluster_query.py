"""The cluster query language of placement constraints: `attribute:x == y and not (runningTasksCount > 5)`. Pure.

Text becomes a Query, or a Mistake with a sentence; a Query asked of a node's facts is true or false, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

TEXT_MAX = 2000
DEPTH_MAX = 20
_PATTERN_MAX = 64
_REPEATS_MAX = 3  # three in 128 characters are tried through in a moment, more need not be

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<sign>&&|\|\||==|!=|>=|<=|=~|!~|>|<|\(|\)|\[|\]|,|!)"""
    r"""|(?P<word>[^\s"'()\[\],!=<>&|~]+))"""
)
_OPERATORS = {
    "==": "==", "equals": "==", "!=": "!=", "not_equals": "!=",
    ">": ">", "greater_than": ">", ">=": ">=", "greater_than_equal": ">=",
    "<": "<", "less_than": "<", "<=": "<=", "less_than_equal": "<=",
    "=~": "=~", "matches": "=~", "!~": "!~", "not_matches": "!~",
    "in": "in", "not_in": "not in", "exists": "exists", "not_exists": "not exists",
}  # fmt: skip
_SUBJECTS = ("agentConnected", "agentVersion", "ec2InstanceId", "registeredAt", "runningTasksCount")
_NEGATED = {"!=", "!~", "not in", "not exists"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What may be asked of a node. `groups` are those of the tasks that run there ("service:web", "family:job")."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    running_tasks: int = 0
    registered_at_ms: int = 0
    connected: bool = True
    agent_version: str = ""
    instance_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Why a text is no query."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One comparison: `subject` is one of the known words, "attribute:NAME" or "task:group"."""

    subject: str
    operator: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The contrary."""

    of: Query


@dataclass(frozen=True, slots=True, kw_only=True)
class All:
    """Each of them."""

    of: tuple[Query, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Some:
    """At least one of them."""

    of: tuple[Query, ...]


Query = Comparison | Not | All | Some


class _MistakeError(Exception):
    """Ends the parsing; never leaves this module."""


def parse_query(text: str) -> Query | Mistake:
    """The query a text says."""
    try:
        return _Parser(_tokens(text)).whole()
    except _MistakeError as error:
        return Mistake(reason=str(error))


def asks_attributes_only(query: Query) -> bool:
    """Whether a query is about nothing but attributes of the node."""
    match query:
        case Comparison():
            return query.subject.startswith("attribute:")
        case Not():
            return asks_attributes_only(query.of)
        case All() | Some():
            return all(map(asks_attributes_only, query.of))


def holds(query: Query, facts: NodeFacts) -> bool:
    """Whether the query is true of a node."""
    match query:
        case Not():
            return not holds(query.of, facts)
        case All():
            return all(holds(one, facts) for one in query.of)
        case Some():
            return any(holds(one, facts) for one in query.of)
        case Comparison():
            negated = query.operator in _NEGATED
            return _is_met(query, facts) is not negated


def _is_met(test: Comparison, facts: NodeFacts) -> bool:
    """The comparison itself, its negation apart. What is absent equals, matches and exceeds nothing."""
    values = _values(test.subject, facts)
    match test.operator:
        case "exists" | "not exists":
            return bool(values)
        case "=~" | "!~":
            return any(re.fullmatch(test.arguments[0], value) for value in values)
        case "==" | "!=" | "in" | "not in":
            return any(_equal(test.subject, v, a) for v in values for a in test.arguments)
        case _:
            return any(_exceeds(test, value) for value in values)


def _values(subject: str, facts: NodeFacts) -> tuple[str, ...]:
    if subject.startswith("attribute:"):
        name = subject.removeprefix("attribute:")
        return (facts.attributes[name],) if name in facts.attributes else ()
    if subject == "task:group":
        return tuple(sorted(facts.groups))
    known = {
        "agentConnected": "true" if facts.connected else "false",
        "agentVersion": facts.agent_version,
        "ec2InstanceId": facts.instance_id,
        "registeredAt": str(facts.registered_at_ms),
        "runningTasksCount": str(facts.running_tasks),
    }
    return (known[subject],) if known[subject] else ()


def _equal(subject: str, value: str, argument: str) -> bool:
    if subject == "registeredAt":
        return float(value) == _moment_ms(argument)
    return value == argument


def _exceeds(test: Comparison, value: str) -> bool:
    """Numbers as numbers, versions part by part, moments as moments; anything else as text."""
    argument = test.arguments[0]
    one: object
    other: object
    if test.subject == "registeredAt":
        one, other = float(value), _moment_ms(argument)
    else:
        one, other = _ordered(value), _ordered(argument)
    match test.operator:
        case ">":
            return one > other  # type: ignore[operator]
        case ">=":
            return one >= other  # type: ignore[operator]
        case "<":
            return one < other  # type: ignore[operator]
        case _:
            return one <= other  # type: ignore[operator]


def _ordered(text: str) -> list[tuple[int, int, str]]:
    return [
        (1, int(part), "")
        if part.isascii() and part.isdecimal() and len(part) < 19
        else (0, 0, part)
        for part in re.split(r"[.\-]", text)
    ]


def _moment_ms(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return float("nan")
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000


def _tokens(text: str) -> list[str]:
    if len(text) > TEXT_MAX:
        raise _MistakeError(f"The expression is longer than {TEXT_MAX} characters.")
    found: list[str] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _MistakeError(f"Not understood from here on: {text[at : at + 40]}")
        found.append(match.group().strip())
        at = match.end()
    return found


class _Parser:
    """Or of ands of nots of tests, as in most languages."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Query:
        """All of the tokens."""
        if not self._tokens:
            raise _MistakeError("The expression is empty.")
        query = self._some()
        if self._next():
            raise _MistakeError(f"Nothing can follow there: {self._next()}")
        return query

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, what: str = "") -> str:
        token = self._next()
        if not token:
            raise _MistakeError(f"The expression ends where {what or 'something'} is expected.")
        self._at += 1
        return token

    def _some(self) -> Query:
        of = [self._all()]
        while self._next() in ("or", "||"):
            self._take()
            of.append(self._all())
        return of[0] if len(of) == 1 else Some(of=tuple(of))

    def _all(self) -> Query:
        of = [self._one()]
        while self._next() in ("and", "&&"):
            self._take()
            of.append(self._one())
        return of[0] if len(of) == 1 else All(of=tuple(of))

    def _one(self) -> Query:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _MistakeError(f"It is nested more than {DEPTH_MAX} deep.")
        try:
            if self._next() in ("not", "!"):
                self._take()
                return Not(of=self._one())
            if self._next() == "(":
                self._take()
                query = self._some()
                if self._take("a closing parenthesis") != ")":
                    raise _MistakeError("A parenthesis is not closed.")
                return query
            return self._test()
        finally:
            self._depth -= 1

    def _test(self) -> Comparison:
        subject = self._take("a subject")
        named = subject.startswith("attribute:") and len(subject) > len("attribute:")
        if not named and subject not in (*_SUBJECTS, "task:group"):
            raise _MistakeError(
                f"{subject[:80]} is nothing that can be asked for. Use attribute:NAME, task:group, "
                f"{', '.join(_SUBJECTS)}."
            )
        operator = self._operator()
        if operator in ("exists", "not exists"):
            return Comparison(subject=subject, operator=operator)
        if operator in ("in", "not in"):
            return Comparison(subject=subject, operator=operator, arguments=self._list())
        argument = _plain(self._take("a value"))
        if operator in ("=~", "!~"):
            _check_pattern(argument)
        return Comparison(subject=subject, operator=operator, arguments=(argument,))

    def _operator(self) -> str:
        word = self._take("an operator")
        if word == "!" and self._next() in ("in", "exists"):
            return f"not {self._take()}"
        if word not in _OPERATORS:
            raise _MistakeError(f"{word[:80]} is no operator.")
        return _OPERATORS[word]

    def _list(self) -> tuple[str, ...]:
        if self._take("a list") != "[":
            raise _MistakeError("A list begins with [.")
        values = [_plain(self._take("a value"))]
        while self._next() == ",":
            self._take()
            values.append(_plain(self._take("a value")))
        if self._take("the end of the list") != "]":
            raise _MistakeError("A list ends with ].")
        return tuple(values)


def _plain(token: str) -> str:
    if token[0] in "\"'":
        return token[1:-1]
    if token in ("(", ")", "[", "]", ",", "!"):
        raise _MistakeError(f"A value is expected, not {token}")
    return token


def _check_pattern(pattern: str) -> None:
    if fault := pattern_fault(pattern):
        raise _MistakeError(fault)


def pattern_fault(pattern: str) -> str:
    """Why a pattern is not compared with: it is no pattern, or could take for ever; "" when it is sound.

    Long patterns, repeated groups and many repetitions are refused.
    """
    repeats = len(re.findall(r"[*+{]", pattern))
    if (
        len(pattern) > _PATTERN_MAX
        or repeats > _REPEATS_MAX
        or re.search(r"\)[*+{]|\\[1-9]", pattern)
    ):
        return (
            f"The pattern is too elaborate: at most {_PATTERN_MAX} characters and {_REPEATS_MAX} repetitions, "
            "and no repeated groups."
        )
    try:
        re.compile(pattern)
    except (re.error, OverflowError) as error:
        return f"The pattern is not valid: {error}."
    return ""
