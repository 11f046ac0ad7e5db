"""The tree of a manifest: every value with its path and position, and how it is read as a type.

Scalars are text: 22:22 is two ports, never the number 1342. Reading never raises: what is wrong is
collected in Problems and raised all at once. Knows no YAML and no compose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from portway.core.errors import ManifestError, Problem
from portway.core.suggest import did_you_mean

PROBLEMS_MAX = 500
SUGGESTIONS_MAX = 100
SUGGESTION_LENGTH_MAX = 64

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{0,15})?|-?\.[0-9]{1,15}")
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("true", "yes", "on"))
_FALSE = frozenset(("false", "no", "off"))


class Problems:
    """Collects what is wrong and what is odd in one manifest, to be told all at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._errors: list[Problem] = []
        self._warnings: list[Problem] = []

    def error(self, problem: Problem) -> None:
        """Keep one reason why the manifest cannot be used."""
        if len(self._errors) < PROBLEMS_MAX:
            self._errors.append(problem)

    def warn(self, problem: Problem) -> None:
        """Keep one odd but harmless thing."""
        if len(self._warnings) < PROBLEMS_MAX and problem not in self._warnings[-20:]:
            self._warnings.append(problem)

    @property
    def busy(self) -> bool:
        """So much is wrong that looking for similar words is no longer worth the time."""
        return len(self._errors) + len(self._warnings) > SUGGESTIONS_MAX

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings, in file order."""
        return tuple(self._in_file_order(self._warnings))

    def raise_errors(self) -> None:
        """Raise one ManifestError with every error in file order; nothing when there is none."""
        if self._errors:
            raise ManifestError(self._in_file_order(self._errors))

    def fail(self, problem: Problem) -> NoReturn:
        """Raise now: nothing after this can be read."""
        self.error(problem)
        raise ManifestError(self._in_file_order(self._errors))

    def _in_file_order(self, problems: Iterable[Problem]) -> list[Problem]:
        unique = dict.fromkeys(problems)
        return sorted(unique, key=lambda p: (p.file != self.file, p.file, p.line, p.column))


class Path:
    """The way to a value, written out (services.web.ports[0]) only when somebody asks."""

    __slots__ = ("_parent", "_segment")

    def __init__(self, parent: Path | None = None, segment: str | int = "") -> None:
        self._parent = parent
        self._segment = segment

    def __str__(self) -> str:
        segments: list[str | int] = []
        path = self
        while path._parent is not None:
            segments.append(path._segment)
            path = path._parent
        return "".join(_written(segment) for segment in reversed(segments)).removeprefix(".")


def _written(segment: str | int) -> str:
    if isinstance(segment, int):
        return f"[{segment}]"
    return f".{segment}" if _PLAIN_KEY.fullmatch(segment) else f'["{shown(segment)}"]'


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One value of the manifest. `path` is its field (services.web.ports[0]); positions count from 1."""

    where: Path
    line: int
    column: int
    problems: Problems = field(repr=False, compare=False)

    @property
    def path(self) -> str:
        """The field, as it is named in problems."""
        return str(self.where)

    def problem(self, message: str, hint: str = "") -> Problem:
        """A Problem at this value."""
        return Problem(
            message=message,
            path=self.path,
            hint=hint,
            file=self.problems.file,
            line=self.line,
            column=self.column,
        )

    def error(self, message: str, hint: str = "") -> None:
        """Say that this value cannot be used."""
        self.problems.error(self.problem(message, hint))

    def warn(self, message: str, hint: str = "") -> None:
        """Say that this value is odd but harmless."""
        self.problems.warn(self.problem(message, hint))

    def suggest(self, word: str, known: Iterable[str]) -> str:
        """The known word that was probably meant, as a sentence; "" when none is alike."""
        if self.problems.busy or len(word) > SUGGESTION_LENGTH_MAX:
            return ""
        return did_you_mean(word, known).strip()

    @property
    def place(self) -> str:
        """file:line:column, to name this value in a problem of another one."""
        return f"{self.problems.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar(Node):
    """A single value, as text. `raw` is what was written before variables were filled in."""

    value: str
    plain: bool  # not quoted, so that null means nothing at all
    raw: str = ""

    @property
    def is_null(self) -> bool:
        return self.plain and self.value in _NULLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Items(Node):
    """A list of values."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields(Node):
    """A map from key to value; `keys` has the key's own position."""

    entries: Mapping[str, Node]
    keys: Mapping[str, Scalar]

    def get(self, key: str) -> Node | None:
        """The value of `key`; None when it is absent or null."""
        node = self.entries.get(key)
        return None if node is None or is_null(node) else node

    def text(self, key: str) -> str | None:
        """The text of `key`; None when absent, null, or (said) not text."""
        return text_of(self.get(key))

    def flag(self, key: str, *, default: bool = False) -> bool:
        """The yes or no of `key`."""
        value = boolean_of(self.get(key))
        return default if value is None else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One KEY=value of a list or one key: value of a map. `value` None: only the key was given."""

    key: str
    value: str | None
    node: Node


def is_null(node: Node) -> bool:
    """Nothing was written after the key."""
    return isinstance(node, Scalar) and node.is_null


def kind_of(node: Node) -> str:
    """What a value is, for people."""
    if isinstance(node, Fields):
        return "a map"
    if isinstance(node, Items):
        return "a list"
    return "empty" if is_null(node) else "text"


def text_of(node: Node | None) -> str | None:
    """A scalar's text; anything else is an error."""
    if node is None:
        return None
    if isinstance(node, Scalar) and not node.is_null:
        return node.value
    node.error(f"must be a single value, but it is {kind_of(node)}")
    return None


def filled_text_of(node: Node | None) -> str | None:
    """A scalar's text that is not empty."""
    text = text_of(node)
    if node is not None and text is not None and not text.strip():
        node.error("is empty", "Give it a value, or remove the key.")
        return None
    return text


def integer_of(node: Node | None, *, minimum: int, maximum: int) -> int | None:
    """A whole number within the two limits."""
    text = text_of(node)
    if node is None or text is None:
        return None
    bare = text.strip()  # of more than int() takes off
    if not _INTEGER.fullmatch(bare):
        node.error(f"must be a whole number, not '{shown(text)}'")
        return None
    number = int(bare)
    if not minimum <= number <= maximum:
        node.error(f"must be between {minimum} and {maximum}, not {number}")
        return None
    return number


def number_of(node: Node | None, *, minimum: float, maximum: float) -> float | None:
    """A number within the two limits."""
    text = text_of(node)
    if node is None or text is None:
        return None
    number = parse_number(text)
    if number is None:
        node.error(f"must be a number, not '{shown(text)}'")
        return None
    if not minimum <= number <= maximum:
        node.error(f"must be between {minimum:g} and {maximum:g}, not {shown(text)}")
        return None
    return number


def parse_number(text: str) -> float | None:
    """A decimal number without an exponent; None when it is not one."""
    bare = text.strip()  # as in integer_of
    return float(bare) if _NUMBER.fullmatch(bare) else None


def boolean_of(node: Node | None) -> bool | None:
    """true or false; yes, no, on and off mean the same as in YAML 1.1."""
    text = text_of(node)
    if node is None or text is None:
        return None
    truth = parse_boolean(text)
    if truth is None:
        node.error(f"must be true or false, not '{shown(text)}'")
    return truth


def parse_boolean(text: str) -> bool | None:
    """The truth a word stands for; None when it is neither."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    return False if word in _FALSE else None


def items_of(node: Node | None) -> tuple[Node, ...]:
    """The values of a list; anything else is an error."""
    if node is None:
        return ()
    if isinstance(node, Items):
        return node.items
    node.error(f"must be a list, but it is {kind_of(node)}", "Begin every value with '- '.")
    return ()


def fields_of(node: Node | None) -> Fields | None:
    """A map; anything else is an error."""
    if node is None or isinstance(node, Fields):
        return node
    node.error(f"must be a map of key: value, but it is {kind_of(node)}")
    return None


def texts_of(node: Node | None) -> tuple[str, ...]:
    """The texts of a list, or of one single value."""
    return tuple(scalar.value for scalar in scalars_of(node))


def scalars_of(node: Node | None) -> tuple[Scalar, ...]:
    """The scalars of a list, or one single value as a list of one."""
    if node is None:
        return ()
    if isinstance(node, Scalar):
        return (node,)
    return tuple(
        item for item in items_of(node) if text_of(item) is not None and isinstance(item, Scalar)
    )


def pairs_of(node: Node | None, *, separator: str = "=") -> list[Pair]:
    """The pairs of a map, or of a list of KEY=value; a key given twice is kept once, the last time."""
    if node is None:
        return []
    found = list(_map_pairs(node) if isinstance(node, Fields) else _list_pairs(node, separator))
    latest: dict[str, Pair] = {}
    for pair in found:
        if pair.key in latest:
            pair.node.warn(f"'{shown(pair.key)}' is given twice; the last one counts")
        latest[pair.key] = pair
    return list(latest.values())


def _map_pairs(node: Fields) -> Iterator[Pair]:
    for key, value in node.entries.items():
        if is_null(value):
            yield Pair(key=key, value=None, node=node.keys[key])
            continue
        text = text_of(value)
        if text is not None:
            yield Pair(key=key, value=text, node=value)


def _list_pairs(node: Node, separator: str) -> Iterator[Pair]:
    for item in items_of(node):
        if isinstance(item, Fields):
            item.error(
                f"must be KEY{separator}value, but it is a map",
                f"Write KEY{separator}value with no space after the key, or use a map instead of a list.",
            )
            continue
        text = text_of(item)
        if text is not None:
            key, found, value = text.partition(separator)
            yield Pair(key=key, value=value if found else None, node=item)


def warn_unknown(node: Fields, known: Iterable[str], *, of: str) -> None:
    """Warn of every key nobody reads, with the one that was probably meant; x-* keys are the user's own."""
    known = frozenset(known)
    for key in node.entries:
        if key not in known and not key.startswith("x-"):
            message = f"'{shown(key)}' is not a key of {of} and is ignored"
            node.keys[key].warn(message, node.suggest(key, known))


def shown(text: str) -> str:
    """User text for a message: on one line, printable, and not endless."""
    line = "".join(c if c.isprintable() else "?" for c in text)
    return line if len(line) <= 80 else line[:77] + "..."
