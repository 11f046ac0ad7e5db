"""Filter patterns of CloudWatch Logs: terms, quoted terms, ?any, -not, and { $.field = value }. Pure."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from portway.core.errors import RequestError

Test = Callable[[str], bool]

_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?=\s|$)')
_TOKEN = re.compile(r'\s*(?:(\$(?:\.[A-Za-z0-9_-]+|\[[0-9]{1,9}\])+)|(&&|\|\||<=|>=|!=|[=<>()])|"((?:[^"\\]|\\.)*)"|([^\s()&|=<>!"]+))')  # fmt: skip
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]")
_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_DEPTH_MAX = 20


def log_filter(pattern: str) -> Test:
    """Whether a message matches. RequestError for a pattern that cannot be read, or that portway does not do."""
    text = pattern.strip()
    if not text:
        return lambda _: True
    if text.startswith("{"):
        return _json_filter(text)
    if text.startswith(("[", "%")):
        raise _refusal("portway filters by terms and by { $.field = value }, not by columns or regular expressions.")  # fmt: skip
    return _terms_filter(text)


def _refusal(told: str) -> RequestError:
    return RequestError(f"Invalid filter pattern. {told}", hint="Quote terms that hold signs.")


def _terms_filter(text: str) -> Test:
    """Every plain term, none of those with -, and one of those with ? where there are no plain ones."""
    found: dict[str, list[str]] = {"": [], "?": [], "-": []}
    at = 0
    while at < len(text):
        term = _TERM.match(text, at)
        if term is None:
            raise _refusal(f"It cannot be read from {text[at : at + 20]!r} on.")
        quoted = term[2]
        found[term[1]].append(term[3] if quoted is None else _unquoted(quoted))
        at = term.end()
        if not text[at:].strip():
            break
    plain, anyone, nobody = found[""], found["?"], found["-"]

    def test(message: str) -> bool:
        if any(term in message for term in nobody):
            return False
        if plain:  # as with AWS, optional terms change nothing beside others
            return all(term in message for term in plain)
        return not anyone or any(term in message for term in anyone)

    return test


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


@dataclass(slots=True)
class _Reader:
    """The tokens of a JSON pattern, one after another: (kind, text)."""

    tokens: list[tuple[str, str]]
    at: int = 0

    def peek(self) -> tuple[str, str]:
        """The next token, ("end", "") after the last."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        """The next token, left behind."""
        token = self.peek()
        self.at += 1
        return token


JsonTest = Callable[[Any], bool]


def _json_filter(text: str) -> Test:
    if not text.endswith("}"):
        raise _refusal("It has no closing }.")
    reader = _Reader(_tokens(text[1:-1]))
    test = _either(reader, 0)
    if reader.peek()[0] != "end":
        raise _refusal(f"{reader.peek()[1]!r} is not expected where it stands.")

    def match(message: str) -> bool:
        try:
            value: Any = json.loads(message)
        except (ValueError, RecursionError):
            return False
        return test(value)

    return match


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while text[at:].strip():
        token = _TOKEN.match(text, at)
        if token is None:
            raise _refusal(f"It cannot be read from {text[at : at + 20]!r} on.")
        kinds = zip(("path", "sign", "text", "word"), token.groups(), strict=True)
        kind, value = next((kind, value) for kind, value in kinds if value is not None)
        found.append((kind, _unquoted(value) if kind == "text" else value))
        at = token.end()
    return found


def _either(reader: _Reader, depth: int) -> JsonTest:
    tests = [_both(reader, depth)]
    while reader.peek() == ("sign", "||"):
        reader.take()
        tests.append(_both(reader, depth))
    return lambda value: any(test(value) for test in tests)


def _both(reader: _Reader, depth: int) -> JsonTest:
    tests = [_one(reader, depth)]
    while reader.peek() == ("sign", "&&"):
        reader.take()
        tests.append(_one(reader, depth))
    return lambda value: all(test(value) for test in tests)


def _one(reader: _Reader, depth: int) -> JsonTest:
    kind, text = reader.take()
    if (kind, text) == ("sign", "("):
        if depth >= _DEPTH_MAX:
            raise _refusal("It has too many brackets.")
        inner = _either(reader, depth + 1)
        if reader.take() != ("sign", ")"):
            raise _refusal("A bracket is not closed.")
        return inner
    if kind != "path":
        raise _refusal(f"A condition begins with a field like $.name, not with {text!r}.")
    steps = [key or int(index) for key, index in _STEP.findall(text)]
    return _condition(reader, lambda value: _at(value, steps))


def _condition(reader: _Reader, find: Callable[[Any], tuple[bool, Any]]) -> JsonTest:
    kind, sign = reader.take()
    if kind == "word" and sign.upper() in ("IS", "NOT"):
        return _named_condition(sign.upper(), reader.take()[1].upper(), find)
    if kind != "sign" or sign not in _NUMBERS:
        raise _refusal(f"{sign or 'nothing'!r} compares nothing.")
    kind, wanted = reader.take()
    if kind not in ("word", "text"):
        raise _refusal(f"There is nothing to compare with after {sign}.")
    number = _number(wanted) if kind == "word" else None
    if number is not None:
        compare = _NUMBERS[sign]
        return lambda value: _is_number(found := find(value)[1]) and compare(found, number)
    if sign not in ("=", "!="):
        raise _refusal(f"{sign} compares numbers only.")
    pattern = _wildcards(wanted)

    def test(value: Any) -> bool:
        there, found = find(value)
        same = isinstance(found, str) and pattern.fullmatch(found) is not None
        return there and same is (sign == "=")

    return test


def _wildcards(wanted: str) -> re.Pattern[str]:
    """`*` is anything. What is between two is found at its first place and never looked for again: it could take for ever."""
    first, *others = [re.escape(part) for part in wanted.split("*")]
    if not others:
        return re.compile(first)
    between = "".join(f"(?>.*?{part})" for part in others[:-1] if part)
    return re.compile(f"{first}{between}.*{others[-1]}", re.DOTALL)


def _named_condition(verb: str, noun: str, find: Callable[[Any], tuple[bool, Any]]) -> JsonTest:
    if (verb, noun) == ("NOT", "EXISTS"):
        return lambda value: not find(value)[0]
    wanted = {"NULL": None, "TRUE": True, "FALSE": False}
    if verb != "IS" or noun not in wanted:
        raise _refusal(f"{verb} {noun} is no condition; IS NULL, IS TRUE, IS FALSE and NOT EXISTS are.")  # fmt: skip
    return lambda value: find(value) == (True, wanted[noun])


def _at(value: Any, steps: list[str | int]) -> tuple[bool, Any]:
    """Whether there is something at the end of the path, and what."""
    for step in steps:
        kind = dict if isinstance(step, str) else list
        if not isinstance(value, kind):
            return False, None
        try:
            value = cast("Any", value)[step]
        except LookupError:
            return False, None
    return True, value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
