"""A command inside an instance in memory: its input is gathered, its outcome computed, its output given at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from portway.engines.base import ExecRequest, Stream
from portway.engines.memory import commands


class MemoryExecSession:
    """See ExecSession. A command that reads its input runs when that is closed, any other at once."""

    def __init__(self, request: ExecRequest, environment: Mapping[str, str]) -> None:
        self._argv = request.argv
        self._environment = environment
        self._given = bytearray()
        self._ready = asyncio.Event()
        if not commands.reads_input(request.argv):
            self._ready.set()

    async def write(self, data: bytes) -> None:
        """Add to what the command will read."""
        self._given += data

    async def close_input(self) -> None:
        """Let a reading command run."""
        self._ready.set()

    async def output(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """What the command prints, in one piece."""
        if data := (await self._outcome()).output:
            yield Stream.STDOUT, data

    async def resize(self, *, rows: int, columns: int) -> None:
        """There is no terminal in memory."""

    async def wait(self) -> int:
        """The exit code."""
        return (await self._outcome()).exit_code

    async def _outcome(self) -> commands.Outcome:
        await self._ready.wait()
        return commands.run(self._argv, environment=self._environment, given=bytes(self._given))
