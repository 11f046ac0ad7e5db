"""Reading the access log: what is written of the Apps of a stack, and what is served from now on."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence

from portway.controller.lookup import find_app, find_stack
from portway.controller.loop import Controller
from portway.controller.telemetry.access_log import LABEL
from portway.controller.views import AccessLine
from portway.core.errors import RequestError

_SEAM_LINES = 1000


class ReadsAccess:
    """The part of PortwayOperations that reads access logs."""

    controller: Controller

    async def access_log(
        self, stack: str, *, app: str = "", follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[AccessLine]:
        owners = self._logged(stack, app)
        log = self.controller.access_log
        # Following begins before the files are read, so that no request falls between the two.
        with log.following() as queue:
            written: deque[AccessLine] = deque(maxlen=_SEAM_LINES)
            for owner in owners:
                async for line in log.read(owner, tail=tail):
                    written.append(line)
                    yield line
            seam = [queue.get_nowait() for _ in range(queue.qsize())]
            for line in seam if follow else ():
                if line.stack == stack and app in ("", line.app) and line not in written:
                    yield line
            while follow:
                line = await queue.get()
                if line.stack == stack and app in ("", line.app):
                    yield line

    def _logged(self, stack: str, app: str) -> Sequence[str]:
        """The Apps asked for that have an access log; RequestError where none has."""
        world, log = self.controller.world, self.controller.access_log
        find_stack(world, stack)
        asked = [find_app(world, stack, app)] if app else list(world.of_stack(stack))
        owners = [
            state.app_id
            for state in asked
            if state.app_id in log.owners or log.has_file(state.app_id)
        ]
        if not owners:
            raise RequestError(
                f"{app or stack} keeps no access log",
                hint=f'Give the service the label {LABEL}: "true" and deploy, or start the server '
                "with --access-log on.",
                http_status=409,
            )
        return owners
