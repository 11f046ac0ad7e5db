"""`portway server` that kills itself with SIGKILL at its n-th step: python doomed_server.py N [flags]. Holds no test.

A step is the moment before or after something is saved, and before or after something is done outside.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any

from portway.cli.main import main
from portway.controller.executor import Executor
from portway.store.sql import SqlStore

Work = Callable[..., Coroutine[Any, Any, Any]]


class Steps:
    """Counts once it is armed: once the file named by DOOM is there."""

    def __init__(self, fatal: int, armed: Path) -> None:
        self._fatal = fatal
        self._armed = armed
        self._taken = 0

    def take(self) -> None:
        if not self._armed.exists():
            return
        self._taken += 1
        if self._taken == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        # How many there are is what a run that is not killed tells.
        self._armed.write_text(str(self._taken))

    def around(self, work: Work) -> Work:
        @wraps(work)
        async def stepped(*words: Any, **more: Any) -> Any:
            self.take()
            result = await work(*words, **more)
            self.take()
            return result

        return stepped


def doom(steps: Steps) -> None:
    """Every save and every action outside becomes two steps."""
    for owner, names in {
        SqlStore: ("save",),
        Executor: ("_start", "_stop", "_remove", "_apply"),
    }.items():
        for name in names:
            setattr(owner, name, steps.around(getattr(owner, name)))


if __name__ == "__main__":
    doom(Steps(int(sys.argv.pop(1)), Path(os.environ["DOOM"])))
    sys.argv[1:] = ["--home", os.environ["PORTWAY_HOME"], "server", *sys.argv[1:]]
    main()
