"""AccessLog: each request of the Apps that ask for it as a line of JSON, in a file of bounded size for each App."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from portway.controller.views import AccessLine
from portway.controller.world import short_id
from portway.core.request import ServedRequest
from portway.core.state import AppState
from portway.store.base import Batch

log = structlog.get_logger()

LABEL = "portway.access_log"
_LABELS = (LABEL, "convox.access_log")
FILE_MAX_BYTES = 10 * 2**20
FILES_MAX = 5
QUEUE_MAX = 10_000
_BITE_LINES = 500


class AccessLog:
    """`directory` None: nothing is written. `everybody`: every App is logged unless its label says false."""

    def __init__(self, directory: Path | None, *, everybody: bool = False) -> None:
        self._directory = directory
        self._everybody = everybody
        self._owners: set[str] = set()
        self._followers: set[asyncio.Queue[AccessLine]] = set()
        self.problem = ""

    @property
    def owners(self) -> frozenset[str]:
        """The Apps whose requests are written down."""
        return frozenset(self._owners)

    def note(self, batch: Batch) -> None:
        """Take in what has just been saved: Apps may have come, gone or changed their minds."""
        self._owners -= set(batch.deleted_apps)
        for state in batch.apps:
            (self._owners.add if self._wants(state) else self._owners.discard)(state.app_id)

    def _wants(self, state: AppState) -> bool:
        if self._directory is None or state.target is None:
            return False
        labels = state.target.app.labels
        label = next((labels[name] for name in _LABELS if name in labels), None)
        return self._everybody if label is None else is_on(label)

    def write(self, requests: Sequence[ServedRequest]) -> None:
        """Write down those of Apps that want it, and hand them to who follows."""
        lines: dict[str, list[AccessLine]] = {}
        for request in requests:
            if request.owner in self._owners:
                lines.setdefault(request.owner, []).append(access_line(request))
        for owner, some in lines.items():
            self._append(owner, b"".join(msgspec.json.encode(line) + b"\n" for line in some))
            for queue in self._followers:
                for line in some[: max(0, QUEUE_MAX - queue.qsize())]:
                    queue.put_nowait(line)

    def _append(self, owner: str, data: bytes) -> None:
        path = self.path(owner)
        try:
            for directory in (*reversed(path.parents[1:3]), path.parent):
                directory.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(data)
                size_bytes = file.tell()
            if size_bytes >= FILE_MAX_BYTES:
                _rotate(path)
            self.problem = ""
        except OSError as error:
            if not self.problem:
                log.warning("access_log_not_written", path=str(path), error=error.strerror)
            self.problem = f"{path} cannot be written: {error.strerror}"

    def path(self, owner: str) -> Path:
        """The newest file of an App."""
        assert self._directory is not None
        stack, _, app = owner.rpartition("/")
        return self._directory / stack / f"{app}.log"

    def has_file(self, owner: str) -> bool:
        """Whether anything was ever written of an App."""
        return self._directory is not None and self.path(owner).exists()

    async def read(self, owner: str, *, tail: int | None = None) -> AsyncIterator[AccessLine]:
        """What is written of an App, oldest first; only the last `tail` lines where that is given."""
        lines = _lines(self.path(owner))
        if tail is not None:
            kept = await asyncio.to_thread(deque, lines, tail)
            for line in kept:
                yield line
            return
        while bite := await asyncio.to_thread(_bite, lines):
            for line in bite:
                yield line

    @contextmanager
    def following(self) -> Generator[asyncio.Queue[AccessLine]]:
        """Every request written from this moment on, until the block is left; a slow reader misses some."""
        queue: asyncio.Queue[AccessLine] = asyncio.Queue()
        self._followers.add(queue)
        try:
            yield queue
        finally:
            self._followers.discard(queue)


def is_on(value: str) -> bool:
    """Whether a label's value says yes."""
    return value.strip().lower() in ("true", "yes", "on", "1")


def access_line(request: ServedRequest) -> AccessLine:
    """One request as it is written down."""
    stack, _, app = request.owner.rpartition("/")
    at = datetime.fromtimestamp(request.at_ms / 1000, UTC)
    return AccessLine(
        time=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        stack=stack,
        app=app,
        instance=short_id(request.instance_id),
        protocol="http" if request.is_http else "tcp",
        request_id=request.request_id,
        client=request.client,
        method=request.method,
        path=request.path,
        status=request.status,
        bytes_in=request.bytes_in,
        bytes_out=request.bytes_out,
        queue_ms=request.queue_ms,
        connect_ms=request.connect_ms,
        response_ms=request.response_ms,
        total_ms=request.total_ms,
        retries=request.retries,
        ending=request.ending,
        failure=request.failure or ("its client gave it up" if request.aborted else ""),
    )


def _rotate(path: Path) -> None:
    """web.log -> web.log.1 -> web.log.2 ...; the oldest goes."""
    for number in range(FILES_MAX - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def _lines(path: Path) -> Iterator[AccessLine]:
    names = [path.with_name(f"{path.name}.{n}") for n in range(FILES_MAX - 1, 0, -1)]
    for file in (*names, path):
        if file.exists():
            with file.open("rb") as text:
                yield from filter(None, map(_parsed, text))


def _parsed(line: bytes) -> AccessLine | None:
    try:
        return msgspec.json.decode(line, type=AccessLine)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # cut short by a full disk


def _bite(lines: Iterator[AccessLine]) -> list[AccessLine]:
    return [line for _, line in zip(range(_BITE_LINES), lines, strict=False)]
