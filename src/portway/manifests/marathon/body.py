"""The text of a request -> its JSON value, refused as Marathon's parser does."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from portway.manifests.marathon.refusal import MarathonRefusal, malformed, nothing_given

_SOURCE_MAX = 500  # so much of its source Marathon's parser shows
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\]]', re.DOTALL)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_body(text: str) -> Any:
    """The value; MarathonRefusal with status 400 when it is no JSON."""
    if not text.strip():
        raise nothing_given()
    try:
        value = json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise _told(text, error) from None
    except RecursionError:
        raise malformed("Values are nested too deep.") from None
    except ValueError:
        raise malformed("A number has too many digits.") from None
    if "\\u" in text and _LONE_SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise malformed("A text holds half a character (a lone surrogate).")
    return value


def _no_number(word: str) -> NoReturn:
    raise malformed(f"Non-standard token '{word}': enable JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS to allow")  # fmt: skip


def _told(text: str, error: json.JSONDecodeError) -> MarathonRefusal:
    opened = _still_open(text)
    if error.pos >= len(text.rstrip()) and opened is not None:
        kind = "Object" if text[opened] == "{" else "Array"
        where = f"{_source(text)}; line: {text.count(chr(10), 0, opened) + 1}, column: {_column(text, opened)}]"
        return malformed(f"Unexpected end-of-input: expected close marker for {kind} (start marker at {where})")  # fmt: skip
    if error.pos < len(text):
        character = text[error.pos]
        place = f"line: {error.lineno}, column: {error.colno}"
        return malformed(f"Unexpected character ('{character}' (code {ord(character)})) at {place}: {error.msg}")  # fmt: skip
    return malformed(f"Unexpected end-of-input: {error.msg}")


def _source(text: str) -> str:
    shown = text if len(text) <= _SOURCE_MAX else f"{text[:_SOURCE_MAX]}[truncated {len(text) - _SOURCE_MAX} chars]"  # fmt: skip
    return f'[Source: (String)"{shown}"'


def _column(text: str, at: int) -> int:
    return at - text.rfind("\n", 0, at)


def _still_open(text: str) -> int | None:
    """Where the innermost object or array begins that is never closed."""
    opened: list[int] = []
    for found in _TOKEN.finditer(text):
        if found.group() in ("{", "["):
            opened.append(found.start())
        elif found.group() in ("}", "]") and opened:
            opened.pop()
    return opened[-1] if opened else None
