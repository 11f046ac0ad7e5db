"""Whether a JSON value has the types, ranges and words that a field may have, and its defaults; with Marathon's error codes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from portway.manifests.marathon.refusal import Violation, Where

INT_MAX = (1 << 31) - 1
FAULTS_MAX = 200
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII
)


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found while reading. `unknown`: fields that nobody knows, which are left out."""

    violations: list[Violation] = field(default_factory=list)
    unknown: list[Where] = field(default_factory=list)

    def say(self, where: Where, error: str) -> None:
        """Note one thing wrong."""
        if len(self.violations) < FAULTS_MAX:
            self.violations.append(Violation(where=where, error=error))


class Kind(Protocol):
    """A kind of value."""

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """The value as the kind has it; what is wrong with it is noted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text. `fits`: whether it is one of those that are meant."""

    fits: Callable[[str], bool] | None = None
    length_min: int = 0
    length_max: int | None = None

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        if not isinstance(value, str):
            found.say(where, "error.expected.jsstring")
            return None
        if len(value) < self.length_min:
            found.say(where, "error.minLength")
        elif self.length_max is not None and len(value) > self.length_max:
            found.say(where, "error.maxLength")
        elif "\x00" in value or (self.fits is not None and not self.fits(value)):
            found.say(where, "error.pattern")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number of 32 bits."""

    least: int | None = None
    most: int | None = None

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            found.say(where, "error.expected.jsnumber")
            return None
        if value != value or abs(value) > INT_MAX or value != int(value):
            found.say(where, "error.expected.int")
            return None
        number = int(value)
        _bounds(number, self.least, self.most, where, found)
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Decimal:
    """A number; a whole one stays one."""

    least: float | None = None
    most: float | None = None

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or abs(value) > 1e300 or not math.isfinite(value):
            found.say(where, "error.expected.jsnumber")
            return None
        _bounds(value, self.least, self.most, where, found)
        return int(value) if value == int(value) and abs(value) <= 1 << 53 else value


def _bounds(
    value: float, least: float | None, most: float | None, where: Where, found: Findings
) -> None:
    if least is not None and value < least:
        found.say(where, "error.min")
    elif most is not None and value > most:
        found.say(where, "error.max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """True or false."""

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        if not isinstance(value, bool):
            found.say(where, "error.expected.jsboolean")
            return None
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of some words, in any letter case."""

    words: tuple[str, ...]

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        if not isinstance(value, str):
            found.say(where, "error.expected.jsstring")
            return None
        folded = value.casefold()
        word = next((word for word in self.words if word.casefold() == folded), None)
        if word is None:
            found.say(where, "error.unknown.enum.literal")
        return word


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A date and time."""

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        if not isinstance(value, str) or len(value) > 40 or not _MOMENT.fullmatch(value):
            found.say(where, "error.expected.date.isoformat")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Anything:
    """What Marathon hands on unread."""

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """Several of one kind. `distinct`: one that is there already is left out."""

    item: Kind
    distinct: bool = False
    length_min: int = 0

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        if not isinstance(value, list):
            found.say(where, "error.expected.jsarray")
            return None
        if len(value) < self.length_min:
            found.say(where, "error.minItems")
        items = [self.item.read(each, (*where, nth), found) for nth, each in enumerate(value)]
        return list({repr(each): each for each in items}.values()) if self.distinct else items


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """Values by name. `fits`: whether a name is one of those that are meant."""

    item: Kind
    fits: Callable[[str], bool] | None = None

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        if not isinstance(value, dict):
            found.say(where, "error.expected.jsobject")
            return None
        for key in value:
            if "\x00" in key or (self.fits is not None and not self.fits(key)):
                found.say((*where, key), "error.pattern")
        return {key: self.item.read(inner, (*where, key), found) for key, inner in value.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """One of several kinds; `pick` says which by the value."""

    pick: Callable[[Any], Kind]

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        return self.pick(value).read(value, where, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A field of a record. It is `required`, has a `default`, or may be absent."""

    kind: Kind
    required: bool = False
    default: Any = None

    def when_absent(self) -> Any:
        """The default, a new one each time."""
        return type(self.default)() if self.default in ([], {}) else self.default


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An object with known fields. null is the same as absent; unknown fields are left out. `partial`: it has no defaults."""

    members: Mapping[str, Member]
    partial: bool = False

    def read(self, value: Any, where: Where, found: Findings) -> Any:
        """See Kind."""
        if not isinstance(value, dict):
            found.say(where, "error.expected.jsobject")
            return None
        found.unknown.extend((*where, key) for key in value if key not in self.members)
        result: dict[str, Any] = {}
        for name, member in self.members.items():
            given = value.get(name)
            if given is not None:
                result[name] = member.kind.read(given, (*where, name), found)
            elif member.required and not self.partial:
                found.say((*where, name), "error.path.missing")
            elif member.default is not None and not self.partial:
                result[name] = member.when_absent()
        return result


def need(kind: Kind) -> Member:
    """A field that must be there."""
    return Member(kind=kind, required=True)


def maybe(kind: Kind) -> Member:
    """A field that may be absent."""
    return Member(kind=kind)


def by_default(kind: Kind, default: Any) -> Member:
    """A field that has this value when it is absent."""
    return Member(kind=kind, default=default)
