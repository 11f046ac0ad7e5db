"""An event loop without files, threads or waiting: what is due next happens at once, hours pass in a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


TURNS_AT_ONCE_MAX = 50_000


class StuckError(Exception):
    """Nobody will ever do anything again, or somebody does it again and again and no time passes."""


class _NoFiles:
    """The selector of a loop that watches nothing: it lets pass at once whatever it is asked to wait for."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise StuckError("nobody waits for anything any more")
        self._turns = 0 if timeout > 0 else self._turns + 1
        if self._turns > TURNS_AT_ONCE_MAX:
            raise StuckError("it goes round and round, and no time passes")
        self.now_s += max(0.0, timeout)
        return []


class SimLoop(asyncio.BaseEventLoop):
    """Deterministic: one thread, no files, and a clock that only its timers move."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _NoFiles()

    def time(self) -> float:
        return self._selector.now_s

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """What a thread would do is done at once, for threads end when they like."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody is on another thread."""


def simulate(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it on a loop of its own; whatever it left running ends with it."""
    loop = SimLoop()
    # What outlives the history is cut off from the world already; its complaints concern nobody.
    loop.set_exception_handler(lambda _loop, _context: None)
    asyncio.set_event_loop(None)
    try:
        main = loop.create_task(coroutine)
        loop.run_until_complete(main)
        return main.result()
    finally:
        _end_tasks(loop)
        loop.close()


def _end_tasks(loop: SimLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=60))


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")
