"""The machine as the server sees it: `portway doctor` for callers that are somewhere else. Changes nothing."""

from __future__ import annotations

import asyncio
import os

import portway
from portway.config import Config
from portway.controller.loop import Controller
from portway.controller.machine.base import Finding, ServerFacts, real_ground
from portway.controller.machine.examine import examine


class Examines:
    """The part of PortwayOperations that looks at the machine. Callers that come meanwhile share one look."""

    controller: Controller
    config: Config
    _started_at_ms: int
    _examination: asyncio.Future[tuple[Finding, ...]] | None = None

    async def doctor(self) -> tuple[Finding, ...]:
        if self._examination is None or self._examination.done():
            ground = real_ground(self.config, self._as_seen(), portway.__version__)
            # The checks run programs and wait for them, so they have a thread of their own.
            loop = asyncio.get_running_loop()
            self._examination = loop.run_in_executor(None, examine, ground)
        return await asyncio.shield(self._examination)

    def _as_seen(self) -> ServerFacts:
        problems = self.controller.world.problems
        return ServerFacts(
            version=portway.__version__,
            pid=os.getpid(),
            started_at_ms=self._started_at_ms,
            problems=tuple(f"{part}: {what}" for part, what in sorted(problems.items())),
        )
