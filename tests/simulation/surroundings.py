"""What a history must not share with the process it runs in: random letters, and the log."""

from __future__ import annotations

import random
import traceback
from collections.abc import Generator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog

OWN_ERRORS = ("planning_broke", "action_broke", "watching_the_engine_broke", "looking_broke")


class Letters:
    """Random letters that are the same every time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"letters {seed}")

    def choice(self, letters: Sequence[str]) -> str:
        return self._random.choice(letters)


@contextmanager
def listening() -> Generator[list[str]]:
    """Nothing is logged; what portway says of its own mistakes is kept."""
    shouts: list[str] = []

    def keep(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> Any:
        if entry["event"] in OWN_ERRORS:
            shouts.append(f"{entry['event']} {traceback.format_exc()}")
        raise structlog.DropEvent

    processors = structlog.get_config()["processors"]
    before = processors.copy()
    processors[:] = [keep]
    structlog.configure(processors=processors)
    try:
        yield shouts
    finally:
        processors[:] = before
        structlog.configure(processors=processors)
