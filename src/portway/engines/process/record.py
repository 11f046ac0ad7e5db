"""What is kept of one instance on disk, so that any later controller knows it. Decides nothing.

    home/instances/httpd%2Fweb.1.7/
        record.json    identity, command, environment: written before anything is started
        lock           held by the supervisor as long as it lives; the kernel lets go of it, whatever happens
        supervisor     its /proc/self/stat      child   that of the command
        exit           "CODE OOM_KILLS", written by the supervisor
        stdout.log stderr.log (+ .1 rotated, .times when which byte was there)

Nobody can start a second copy: whoever starts takes the lock and hands it to the supervisor, and the child writes its
name down before it lets go of the lock. So a free lock means that all there is to know is on disk.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from portway.core.instance import InstanceIdentity
from portway.engines.base import Stream
from portway.engines.process.kernel import ProcessStamp, parse_stat

EXIT_BLANK = (
    b" " * 31 + b"\n"
)  # room taken beforehand: the exit code is kept even when the disk is full


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who the command runs as."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """How one instance was started. `environment` is complete and secret."""

    home_id: str
    boot_id: str
    identity: InstanceIdentity
    argv: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    account: Account | None = None  # None = whoever portway runs as
    cgroups: tuple[str, ...] = ()  # directories
    oom_file: str = ""
    memory_bytes: int | None = None
    warnings: tuple[str, ...] = field(default=())
    recorded_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the command ended; `code` is 128 + n when signal n ended it."""

    code: int
    oom_kills: int


def directory_name(instance_id: str) -> str:
    """A file name for an instance id, and for no other."""
    return quote(instance_id, safe="+@ ")


def instance_of(name: str) -> str:
    """The instance id a directory is named after."""
    return unquote(name)


class RecordDirectory:
    """The files of one instance."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_path = path / "record.json"
        self.lock_path = path / "lock"
        self.exit_path = path / "exit"

    def create(self, record: ProcessRecord) -> None:
        """Write the record down, whole or not at all; what an earlier try left is overwritten."""
        self.path.mkdir(mode=0o700, exist_ok=True)
        self.exit_path.write_bytes(EXIT_BLANK)
        self.lock_path.touch(mode=0o600)
        draft = self.path / "record.json.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(record))
        draft.replace(self.record_path)

    def read(self) -> ProcessRecord | None:
        """The record; None when there is none (a start that got no further). ValueError when it is damaged."""
        try:
            return msgspec.json.decode(self.record_path.read_bytes(), type=ProcessRecord)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error

    def try_lock(self) -> int | None:
        """The lock as an open descriptor; None when a supervisor has it. Closing it lets go."""
        descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def supervised(self) -> bool:
        """Whether a supervisor holds the lock."""
        lock = self.try_lock()
        if lock is None:
            return True
        os.close(lock)
        return False

    def supervisor(self) -> ProcessStamp | None:
        return _stamp(self.path / "supervisor")

    def child(self) -> ProcessStamp | None:
        return _stamp(self.path / "child")

    def exit(self) -> Exit | None:
        """How it ended; None while that is not written down."""
        try:
            words = self.exit_path.read_text(errors="replace").split()
        except FileNotFoundError:
            return None
        if len(words) != 2 or not all(word.isdecimal() for word in words):
            return None
        return Exit(code=int(words[0]), oom_kills=int(words[1]))

    def log_path(self, stream: Stream) -> Path:
        """Where one stream of the instance's output is kept."""
        return self.path / f"{stream.value}.log"


def _stamp(path: Path) -> ProcessStamp | None:
    try:
        status = parse_stat(path.read_text(errors="replace"))
    except FileNotFoundError:
        return None
    return None if status is None else status.stamp
