"""RequestLog: the pipe HAProxy writes requests to, read in bounded bites. What nobody reads in time is dropped by HAProxy.

A named pipe of mode 600 in HAProxy's directory: no other user can write to it, HAProxy is never held up by it
(it writes without waiting), and it is the same one for whoever runs portway next.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from portway.balancers.haproxy.render import LOG_DESCRIPTOR, LOG_PIPE
from portway.balancers.haproxy.request_lines import parse_request
from portway.core.request import ServedRequest

READ_MAX_BYTES = 1 << 16
LINES_PER_SECOND_MAX = 5000  # more are counted, not looked at
INSTANCES_KEPT_MAX = 10_000

TakeRequests = Callable[[Sequence[ServedRequest], int], None]


class RequestLog:
    """Hands requests to `take` in batches, with the number of those left out."""

    def __init__(self, directory: Path, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._path = directory / LOG_PIPE
        self._clock_s = clock_s
        self._take: TakeRequests | None = None
        self._descriptor: int | None = None
        self._rest = b""
        self._owners: dict[str, str] = {}
        self._instances: dict[str, str] = {}
        self._second = 0
        self._left = LINES_PER_SECOND_MAX

    def take_with(self, take: TakeRequests) -> None:
        """Who is handed the requests from now on."""
        self._take = take

    def make(self) -> bool:
        """Make the pipe; False where the home cannot hold one."""
        with suppress(OSError):
            if self._path.exists() and not stat.S_ISFIFO(self._path.stat().st_mode):
                self._path.unlink()
            if not self._path.exists():
                os.mkfifo(self._path, 0o600)
            return True
        return False

    def is_written_by(self, process_id: int) -> bool:
        """Whether that HAProxy was started with this pipe."""
        with suppress(OSError):
            theirs = Path(f"/proc/{process_id}/fd/{LOG_DESCRIPTOR}").stat()
            return os.path.samestat(theirs, self._path.stat())
        return False

    def open(self) -> None:
        """Begin to read."""
        if self._descriptor is not None or not self._path.is_fifo():
            return
        # Also for writing: without a writer a pipe is at its end, again and again.
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):
            fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, 1 << 20)
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def close(self) -> None:
        """Stop reading; HAProxy goes on writing until the pipe is full."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def know(self, owners: Mapping[str, str], instances: Mapping[str, str]) -> None:
        """Whose listeners and servers HAProxy has now; those it had are still known for what they did last."""
        self._owners = dict(owners)
        kept = self._instances if len(self._instances) < INSTANCES_KEPT_MAX else {}
        self._instances = {**kept, **instances}

    def _read(self) -> None:
        assert self._descriptor is not None
        with suppress(BlockingIOError):
            self.feed(os.read(self._descriptor, READ_MAX_BYTES))

    def feed(self, data: bytes) -> None:
        """Take in what HAProxy wrote, whole lines or not."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > READ_MAX_BYTES:
            self._rest = b""
        looked_at = lines[: self._allowance(len(lines))]
        requests = [
            request
            for line in looked_at
            if (request := parse_request(line, self._owner_of, self._instance_of)) is not None
        ]
        skipped = len(lines) - len(looked_at)
        if self._take is not None and (requests or skipped):
            self._take(requests, skipped)

    def _allowance(self, wanted: int) -> int:
        second = int(self._clock_s())
        if second != self._second:
            self._second, self._left = second, LINES_PER_SECOND_MAX
        given = min(wanted, self._left)
        self._left -= given
        return given

    def _owner_of(self, frontend: str) -> str:
        return self._owners.get(frontend, "")

    def _instance_of(self, server: str) -> str:
        return self._instances.get(server, "")
