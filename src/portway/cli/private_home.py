"""The home of one `portway start`: made for it, locked while it lives, found by the next one when it was killed.

It knows directories and locks; what still runs for a home is ended by assemble.wipe.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from portway.core.errors import WorldError

_FOLDER = "start"
_ABOUT = "about.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Whose home it is, and what the next one needs to know to clean up after it."""

    stack: str
    process_id: int
    engine: str
    docker_host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """The home of a run that was killed."""

    path: Path
    about: About


@contextmanager
def private_home(parent: Path, about: About) -> Generator[Path]:
    """A new home under `parent`, locked until the block is left; whoever cleaned up discards it."""
    with _alone_in(parent / _FOLDER) as folder:
        path = Path(tempfile.mkdtemp(prefix="", dir=folder))
        descriptor = os.open(path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        (path / _ABOUT).write_bytes(msgspec.json.encode(about))
    try:
        yield path
    finally:
        os.close(descriptor)


@contextmanager
def abandoned_homes(parent: Path) -> Generator[tuple[Abandoned, ...]]:
    """The homes whose runs were killed, locked until the block is left, so that nobody else cleans them up."""
    if not (parent / _FOLDER).is_dir():
        yield ()
        return
    with _alone_in(parent / _FOLDER) as folder:
        locked = {path: lock for path in sorted(folder.iterdir()) if (lock := _locked(path))}
    try:
        found = ((path, _about(path)) for path in locked)
        yield tuple(Abandoned(path=path, about=about) for path, about in found if about)
    finally:
        for descriptor in locked.values():
            os.close(descriptor)


def discard(path: Path) -> None:
    """Delete a home that nothing runs for any more, and what held it when it was the last one."""
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.parent.rmdir()


@contextmanager
def _alone_in(folder: Path) -> Generator[Path]:
    """Between making a home and locking it nobody may look: the lock of the folder that holds them all."""
    descriptor = _folder_lock(folder)
    try:
        yield folder
    except OSError as error:
        raise _unusable(folder, error) from error
    finally:
        os.close(descriptor)


def _folder_lock(folder: Path) -> int:
    while True:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # its last home was discarded this very moment
        except OSError as error:
            raise _unusable(folder, error) from error
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                return descriptor
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    """The lock of a home, None while its run lives."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _about(path: Path) -> About | None:
    """What is written about a home; one without it was never used and is deleted."""
    try:
        return msgspec.json.decode((path / _ABOUT).read_bytes(), type=About)
    except (OSError, ValueError, RecursionError):
        discard(path)
        return None


def _unusable(folder: Path, error: OSError) -> WorldError:
    return WorldError(
        f"{folder}, where `portway start` keeps what it must remember, cannot be used: {error.strerror}.",
        hint="Make it writable, or give another directory with --home or PORTWAY_HOME.",
    )
