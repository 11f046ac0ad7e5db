"""The output of one instance: two plain files it writes itself, so that it never waits for portway. Starts nothing.

Nobody stands between a process and its files, so a line has no time of its own. The engine notes once a second how far
each file reached (`NAME.times`); a line's `at_ms` is the first note that includes it, else the time of the file's last
write. Within a stream the order is exact; between the two it is as good as these times.

A file over the limit is copied to `NAME.log.1` and cut to nothing; what is written between the copy and the cut (some
microseconds) is lost.
"""

from __future__ import annotations

import heapq
import os
import shutil
import struct
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from portway.engines.base import LogLine, Stream

CHUNK_SIZE_BYTES = 64 * 1024
COPY_SIZE_BYTES = 1024 * 1024
LINE_SIZE_MAX_BYTES = 256 * 1024  # a longer line is given in pieces
_NOTE = struct.Struct("<QQ")  # size, at_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFiles:
    """The files of one stream."""

    directory: Path
    stream: Stream

    @property
    def current(self) -> Path:
        return self.directory / f"{self.stream.value}.log"

    @property
    def rotated(self) -> Path:
        return self.directory / f"{self.stream.value}.log.1"

    def times(self, log: Path) -> Path:
        """The file beside a log that says when its lines were written."""
        return log.with_name(log.name + ".times")


class LogKeeper:
    """Notes when a stream grew and keeps its file below the limit; one per stream of a running instance."""

    def __init__(self, files: LogFiles, *, size_max_bytes: int) -> None:
        self._files = files
        self._size_max_bytes = size_max_bytes
        self._noted_bytes = 0

    def tend(self, now_ms: int) -> None:
        """Note the size if it changed; rotate if it is too large."""
        try:
            size_bytes = self._files.current.stat().st_size
        except FileNotFoundError:
            return
        if size_bytes != self._noted_bytes:
            self._noted_bytes = size_bytes
            with self._files.times(self._files.current).open("ab") as notes:
                notes.write(_NOTE.pack(size_bytes, now_ms))
        if size_bytes > self._size_max_bytes:
            self._rotate()

    def _rotate(self) -> None:
        current, rotated = self._files.current, self._files.rotated
        draft = rotated.with_name(rotated.name + ".new")
        try:
            with current.open("rb") as source, draft.open("wb", buffering=0) as copy:
                shutil.copyfileobj(source, copy, COPY_SIZE_BYTES)
                draft.replace(rotated)
                while late := source.read(COPY_SIZE_BYTES):  # written while we copied
                    copy.write(late)
                os.truncate(current, 0)
        except OSError:  # the disk is full: the older half makes room, the limit holds
            draft.unlink(missing_ok=True)
            rotated.unlink(missing_ok=True)
            os.truncate(current, 0)
        with suppress(FileNotFoundError):
            self._files.times(current).replace(self._files.times(rotated))
        self._noted_bytes = 0


class StreamReader:
    """Reads one stream from where it is, across rotations, line by line."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._rotation = self._rotation_seen()
        self._log = files.rotated if self._rotation else files.current
        self._offset = 0
        self._rest = b""  # of a line whose end is not there yet
        self._at_ms = 0

    def skip_to_last(self, count: int) -> None:
        """Leave out all but the last `count` lines of what is there now."""
        self._log = self._files.current
        self._offset, missing = _start_of_last(self._files.current, count)
        if missing and self._rotation:
            self._log = self._files.rotated
            self._offset, _ = _start_of_last(self._files.rotated, missing)

    def lines(self, *, final: bool) -> Iterator[LogLine]:
        """Every whole line there is now; `final`: an unfinished last one too."""
        if self._log == self._files.current and self._rotation_seen() != self._rotation:
            self._log = self._files.rotated
        self._rotation = self._rotation_seen()
        if self._log == self._files.rotated:
            yield from self._read(final=False)
            self._log, self._offset = self._files.current, 0
        yield from self._read(final=final)

    def _read(self, *, final: bool) -> Iterator[LogLine]:
        try:
            file = self._log.open("rb")
        except FileNotFoundError:
            return
        with file:
            times = _Times(self._files.times(self._log), file.fileno())
            file.seek(self._offset)
            while chunk := file.read(CHUNK_SIZE_BYTES):
                begins = self._offset - len(self._rest)
                *whole, self._rest = (self._rest + chunk).split(b"\n")
                self._offset += len(chunk)
                for text in whole:
                    begins += len(text) + 1
                    yield self._line(text, times.when(begins))
                while len(self._rest) > LINE_SIZE_MAX_BYTES:
                    text, self._rest = _cut(self._rest)
                    yield self._line(text, times.when(self._offset))
            if final and self._rest:
                text, self._rest = self._rest, b""
                yield self._line(text, times.when(self._offset))

    def _line(self, text: bytes, at_ms: int) -> LogLine:
        self._at_ms = max(self._at_ms, at_ms)
        return LogLine(
            at_ms=self._at_ms,
            stream=self._files.stream,
            text=text.removesuffix(b"\r").decode(errors="replace"),
        )

    def _rotation_seen(self) -> tuple[int, int] | None:
        """Names the rotated file there is; None when there is none."""
        try:
            status = self._files.rotated.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns


class _Times:
    """When each byte of a file was there, from the notes and the time of the last write."""

    def __init__(self, notes: Path, log_descriptor: int) -> None:
        self._sizes: list[int] = []
        self._at_ms: list[int] = []
        with suppress(FileNotFoundError):
            data = notes.read_bytes()
            for size_bytes, at_ms in _NOTE.iter_unpack(
                data[: len(data) // _NOTE.size * _NOTE.size]
            ):
                self._sizes.append(size_bytes)
                self._at_ms.append(at_ms)
        self._last_write_ms = os.fstat(log_descriptor).st_mtime_ns // 1_000_000

    def when(self, offset: int) -> int:
        """The first moment known at which the file reached that far."""
        at = bisect_left(self._sizes, offset)
        return self._at_ms[at] if at < len(self._at_ms) else self._last_write_ms


def merge_streams(readers: tuple[StreamReader, ...], *, final: bool) -> Iterator[LogLine]:
    """What every stream has now, by time."""
    streams = [reader.lines(final=final) for reader in readers]
    return heapq.merge(*streams, key=lambda line: line.at_ms)


def _cut(text: bytes) -> tuple[bytes, bytes]:
    return text[:LINE_SIZE_MAX_BYTES], text[LINE_SIZE_MAX_BYTES:]


def _start_of_last(path: Path, count: int) -> tuple[int, int]:
    """Where the last `count` lines of a file begin, and how many of them it does not have."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return 0, count
    with file:
        end = file.seek(0, os.SEEK_END)
        if count == 0 or end == 0:
            return end, count
        file.seek(end - 1)
        missing = count + (file.read(1) == b"\n")  # the newline that ends the last line begins none
        while end > 0:
            begin = max(0, end - CHUNK_SIZE_BYTES)
            file.seek(begin)
            chunk = file.read(end - begin)
            at = len(chunk)
            while (at := chunk.rfind(b"\n", 0, at)) >= 0:
                missing -= 1
                if missing == 0:
                    return begin + at + 1, 0
            end = begin
    return 0, missing - 1
