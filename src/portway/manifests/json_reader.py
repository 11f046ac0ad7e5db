"""JSON text -> values, each with its place in the text. Refuses before it works: size, depth, number of values. Opens no files."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from portway.core.errors import ManifestError, Problem
from portway.manifests.reader import DEPTH_MAX, SIZE_MAX_BYTES, VALUES_MAX
from portway.manifests.tree import shown

Where = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?![0-9])(\.[0-9]{1,17})?([eE][+-]?[0-9]{1,3})?")
_WORDS = {"true": True, "false": False, "null": None}
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A JSON document. `places`: line and column, from 1, of every value by the way to it."""

    value: Any
    file: str
    places: Mapping[Where, tuple[int, int]]

    def problem(self, where: Where, message: str, hint: str = "") -> Problem:
        """A Problem at a value, or at the nearest one around it that is written."""
        at = where
        while at and at not in self.places:
            at = at[:-1]
        line, column = self.places.get(at, (1, 1))
        return Problem(
            message=message, path=path_text(where), hint=hint, file=self.file, line=line, column=column
        )  # fmt: skip


def path_text(where: Where) -> str:
    """containerDefinitions[0].portMappings[1].hostPort"""
    parts = (f"[{part}]" if isinstance(part, int) else _key_text(part) for part in where)
    return "".join(parts).removeprefix(".")


def _key_text(key: str) -> str:
    return f".{key}" if _PLAIN_KEY.fullmatch(key) else f'["{shown(key)}"]'


def read_json(text: str, *, file: str) -> Placed:
    """The values of a JSON document; ManifestError with the place where it is not one."""
    text = text.removeprefix("\ufeff")
    reader = _Reader(text, file)
    if len(text) > SIZE_MAX_BYTES:
        told = f"the file is too large: {len(text)} characters, at most {SIZE_MAX_BYTES} are read"
        reader.fail(0, told, "Is this the right file?")
    value = reader.document()
    return Placed(value=value, file=file, places=reader.places)


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.places: dict[Where, tuple[int, int]] = {}
        self._text = text
        self._file = file
        self._at = 0
        self._values = 0
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]

    def document(self) -> Any:
        self._skip()
        if self._at == len(self._text):
            self.fail(0, "the file is empty", "Write a JSON object: { ... }")
        value = self._value(())
        self._skip()
        if self._at < len(self._text):
            self.fail(self._at, "the JSON document ends before this", "Keep one document a file.")
        return value

    def fail(self, at: int, message: str, hint: str = "") -> NoReturn:
        line, column = self._place(at)
        raise ManifestError(
            [Problem(message=message, hint=hint, file=self._file, line=line, column=column)]
        )

    def _place(self, at: int) -> tuple[int, int]:
        line = bisect_right(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _peek(self) -> str:
        self._skip()
        return self._text[self._at : self._at + 1]

    def _value(self, where: Where) -> Any:
        character, start = self._peek(), self._at
        self._values += 1
        if self._values > VALUES_MAX:
            self.fail(start, f"the file holds more than {VALUES_MAX} values")
        if len(where) > DEPTH_MAX:
            self.fail(start, f"values are nested more than {DEPTH_MAX} deep")
        self.places[where] = self._place(start)
        match character:
            case "{":
                return self._object(where)
            case "[":
                return self._array(where)
            case '"':
                return self._string()
            case _:
                return self._word()

    def _object(self, where: Where) -> dict[str, Any]:
        start, found = self._at, dict[str, Any]()
        self._at += 1
        if self._peek() == "}":
            self._at += 1
            return found
        while True:
            if self._peek() != '"':
                self._fail_key()
            at, key = self._at, self._string()
            if key in found:
                self.fail(at, f"'{shown(key)}' is given twice", "Keep one of them.")
            if self._peek() != ":":
                self.fail(self._at, f"a ':' is expected after \"{shown(key)}\"")
            self._at += 1
            found[key] = self._value((*where, key))
            if self._ends("}", start):
                return found

    def _array(self, where: Where) -> list[Any]:
        start, found = self._at, list[Any]()
        self._at += 1
        if self._peek() == "]":
            self._at += 1
            return found
        while True:
            found.append(self._value((*where, len(found))))
            if self._ends("]", start):
                return found

    def _ends(self, closing: str, start: int) -> bool:
        """Whether what began at `start` is over; after a comma it is not."""
        character = self._peek()
        if character not in (",", closing) or not character:
            line = self._place(start)[0]
            told = f"a ',' or '{closing}' is expected here"
            self.fail(self._at, told, f"What begins on line {line} is not closed before it.")
        self._at += 1
        if character == "," and self._peek() == closing:
            self.fail(self._at, f"a value is expected between ',' and '{closing}'", "Remove the comma.")  # fmt: skip
        return character == closing

    def _fail_key(self) -> NoReturn:
        if self._at == len(self._text):
            self.fail(self._at, "the file ends here, inside an object", "Close it with }.")
        hint = 'Write keys in double quotes: "family".'
        if self._text.startswith(("//", "/*", "#"), self._at):
            hint = "JSON has no comments: remove it."
        self.fail(self._at, "a key is expected here", hint)

    def _string(self) -> str:
        found = _STRING.match(self._text, self._at)
        if found is None:
            hint = (
                'Close it on its line with ", and write \\n, \\" and \\\\ for what cannot be in it.'
            )
            self.fail(self._at, "this text is not closed, or holds what JSON does not allow", hint)
        text: str = json.loads(found.group())
        if _LONE_SURROGATE.search(text):
            self.fail(self._at, "this text holds half a character (a lone surrogate)", "Remove it.")
        self._at = found.end()
        return text

    def _word(self) -> Any:
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        if self._at == len(self._text):
            self.fail(self._at, "the file ends here, where a value is expected")
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            hint = 'A text is in double quotes: "web".'
            if self._text.startswith(("//", "/*", "#"), self._at):
                hint = "JSON has no comments: remove it."
            self.fail(self._at, "a value is expected here", hint)
        self._at = found.end()
        is_whole = found.group(1) is None and found.group(2) is None
        return int(found.group()) if is_whole else float(found.group())
