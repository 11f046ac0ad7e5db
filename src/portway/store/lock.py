"""The lock of a home: at most one server uses a home directory, and who holds it can be named."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from portway.core.errors import StoreError

LOCK_NAME = "portway.lock"


class HomeLock:
    """An exclusive lock on a home directory, given back by the kernel when this process ends.

    The file stays when the lock is let go: deleting it would let two processes lock two files.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = home / LOCK_NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, making the home directory (mode 0700) when absent; StoreError naming the pid that holds it."""
        assert self._descriptor is None, "locked twice"
        try:
            make_home(self._home)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _home_error(self._home, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_pid(descriptor)
        except BlockingIOError:
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise _held_error(self._home, holder) from None
        except OSError as error:
            os.close(descriptor)
            raise _home_error(self._home, error) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the lock go; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def make_home(home: Path) -> None:
    """Create the directory readable by its owner alone; one that exists keeps its mode."""
    if not home.is_dir():
        if home.exists():
            raise NotADirectoryError(errno.ENOTDIR, "it is not a directory")
        home.parent.mkdir(parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)


def _write_pid(descriptor: int) -> None:
    """The pid is for people only: without room for it (disk full) the lock holds all the same."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        return


def _read_holder(descriptor: int) -> str:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return text if text.isdigit() else ""


def _held_error(home: Path, holder: str) -> StoreError:
    who = f"process {holder}" if holder else "another process"
    return StoreError(
        f"Another portway server ({who}) already runs with the home {home}.",
        hint="Use that one, stop it with `portway server stop`, or start this one with another --home.",
        retryable=False,
    )


def _home_error(home: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The home directory {home} cannot be used: {error.strerror or error}.",
        hint="Make it a directory this user can write to, or choose another with --home.",
        retryable=False,
    )
