""".dockerignore: which paths of a build context stay behind. Pure.

Rules as in Docker's documentation: patterns are relative to the context's root, `**` spans directories,
`!` takes paths back in, the last matching pattern decides, and what is inside an ignored directory is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from portway.core.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One line: what it matches, and whether it takes back in."""

    matcher: re.Pattern[str]
    keeps: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """All lines of a .dockerignore."""

    patterns: tuple[Pattern, ...] = ()

    @property
    def has_exceptions(self) -> bool:
        """Whether an ignored directory may hold something that is not ignored."""
        return any(pattern.keeps for pattern in self.patterns)

    def ignores(self, path: str) -> bool:
        """Whether a path ("a/b.txt") stays behind."""
        ignored = False
        for pattern in self.patterns:
            if pattern.keeps == ignored and _matches(pattern.matcher, path):
                ignored = not pattern.keeps
        return ignored


def parse_ignore(text: str) -> Ignore:
    """The rules in a .dockerignore's text."""
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
    return Ignore(patterns=tuple(_pattern(line) for line in _meant(list(lines))))


def _meant(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line and not line.startswith("#") and line.strip("!/.")]


def _pattern(line: str) -> Pattern:
    keeps = line.startswith("!")
    parts = [part for part in line.removeprefix("!").strip().split("/") if part not in ("", ".")]
    return Pattern(matcher=_matcher("/".join(parts)), keeps=keeps)


def _matches(matcher: re.Pattern[str], path: str) -> bool:
    """The path itself or one of its parents."""
    if matcher.fullmatch(path):
        return True
    parent, slash, _ = path.rpartition("/")
    return bool(slash) and _matches(matcher, parent)


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile("".join(_regex(pattern)), re.DOTALL)
    except re.error as error:
        raise RequestError(
            f'"{pattern}" in .dockerignore is no pattern: {error.msg}.',
            hint="Write a range from the lower to the higher character, like [a-z].",
        ) from None


def _regex(pattern: str) -> list[str]:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        text, length = _token(pattern, at)
        parts.append(text)
        at += length
    return parts


def _token(pattern: str, at: int) -> tuple[str, int]:
    """The regular expression of what begins at `at`, and how many characters that is."""
    if pattern.startswith("**/", at):
        return "(?:.*/)?", 3
    if pattern.startswith("**", at):
        return ".*", 2
    match pattern[at]:
        case "*":
            return "[^/]*", 1
        case "?":
            return "[^/]", 1
        case "[":
            return _character_class(pattern, at)
        case "\\" if at + 1 < len(pattern):
            return re.escape(pattern[at + 1]), 2
        case other:
            return re.escape(other), 1


def _character_class(pattern: str, at: int) -> tuple[str, int]:
    found = re.compile(r"\[(\^?)([^\]\\]+)\]").match(pattern, at)
    if found is None:
        return re.escape("["), 1
    members = found[2].replace("[", "\\[")
    return f"[{found[1]}{members}]", len(found[0])
