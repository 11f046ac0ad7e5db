"""Label selectors as Marathon reads them: `a==b, c in (d, e), f notin (g), h!=i, j`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SPACE = re.compile(r"\s*")
_TERM = re.compile(r"(?:[-A-Za-z0-9_.]|\\.)+", re.DOTALL)
_OPERATORS = ("==", "!=", "notin", "in")
TEXT_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One demand on one label. `values` None: it is there. All but `is_in` False need the label, and so does that."""

    key: str
    values: frozenset[str] | None = None
    is_in: bool = True

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it."""
        if self.key not in labels:
            return False
        return self.values is None or (labels[self.key] in self.values) is self.is_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Several requirements, all of which must hold."""

    requirements: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet every requirement."""
        return all(requirement.holds(labels) for requirement in self.requirements)


class SelectorError(ValueError):
    """The text is no selector; the message says where it stops being one."""


def parse_selector(text: str) -> Selector:
    """The selector a text means; SelectorError when it means none."""
    if len(text) > TEXT_MAX:
        raise SelectorError(f"A label selector has at most {TEXT_MAX} characters.")
    return _Reader(text).selector()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def selector(self) -> Selector:
        requirements = [self._requirement()]
        while self._take(","):
            requirements.append(self._requirement())
        if self._at < len(self._text):
            raise self._error("a comma or the end")
        return Selector(requirements=tuple(requirements))

    def _requirement(self) -> Requirement:
        key = self._term("the name of a label")
        operator = next((word for word in _OPERATORS if self._take(word)), "")
        match operator:
            case "":
                return Requirement(key=key)
            case "==" | "!=":
                value = self._term("a value")
                return Requirement(key=key, values=frozenset([value]), is_in=operator == "==")
            case _:
                return Requirement(key=key, values=self._values(), is_in=operator == "in")

    def _values(self) -> frozenset[str]:
        if not self._take("("):
            raise self._error("(")
        values = [self._term("a value")]
        while self._take(","):
            values.append(self._term("a value"))
        if not self._take(")"):
            raise self._error("a comma or )")
        return frozenset(values)

    def _term(self, what: str) -> str:
        found = _TERM.match(self._text, self._skip())
        if found is None:
            raise self._error(what)
        self._at = found.end()
        self._skip()
        return re.sub(r"\\(.)", r"\1", found[0], flags=re.DOTALL)

    def _take(self, word: str) -> bool:
        if not self._text.startswith(word, self._skip()):
            return False
        end = self._at + len(word)
        if word.isalpha() and _TERM.match(self._text, end):
            return False
        self._at = end
        self._skip()
        return True

    def _skip(self) -> int:
        space = _SPACE.match(self._text, self._at)
        assert space is not None
        self._at = space.end()
        return self._at

    def _error(self, what: str) -> SelectorError:
        found = self._text[self._at : self._at + 20]
        where = f'"{found}"' if found else "the end"
        return SelectorError(
            f"Parse error: {what} is expected at character {self._at + 1} of the label selector, not {where}."
        )
