"""What a target is: something that reads what others wrote, and may refuse it in one declared way only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`check` takes any bytes; whatever it raises is a mistake of portway's.

    `seeds`: what users write. `is_json`: they are changed as JSON, not only as bytes. `words`: what else is worth putting in.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    is_json: bool = False
    words: tuple[str, ...] = ()


def refusing(read: Callable[[str], object], *refusals: type[Exception]) -> Callable[[bytes], None]:
    """A check of what reads a text and refuses it with these."""

    def check(data: bytes) -> None:
        with suppress(*refusals):
            read(data.decode(errors="replace"))

    return check


def examples(*patterns: str) -> list[bytes]:
    """The project's own files, by pattern from its root."""
    return [path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def choosing(checks: Sequence[Callable[[bytes], None]]) -> Callable[[bytes], None]:
    """A check that leaves it to the first byte which of several is meant."""

    def check(data: bytes) -> None:
        if data:
            checks[data[0] % len(checks)](data[1:])

    return check


def chosen(seeds: Sequence[Sequence[str]]) -> list[bytes]:
    """Seeds for each of the checks of `choosing`, in their order."""
    return [bytes([nth]) + text.encode() for nth, texts in enumerate(seeds) for text in texts]
