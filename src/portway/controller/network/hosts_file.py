"""HostsFile: the machine's own table of names, with one block in it that is ours. Everything else in it is nobody's business."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from portway.core.network.names import addresses_in, with_block

_SIZE_MAX_BYTES = 4 * 1024 * 1024


class HostsFile:
    """`owner` (the home's id) names the block, so that several portways keep theirs side by side."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path = path
        self._owner = owner

    @property
    def is_writable(self) -> bool:
        """Whether names can be kept here; a file that is not there, or not a file, is none of ours to make."""
        return self._path.is_file() and os.access(self._path, os.W_OK)

    def write(self, names: Mapping[str, str]) -> None:
        """Have the block say exactly `names` (name -> address), none of them: no block. OSError when it cannot be."""
        with self._locked():
            text = self._read()
            changed = with_block(text, self._owner, names)
            if changed != text:
                self._replace(changed)

    def addresses(self) -> frozenset[str]:
        """Every address in the file; none when it cannot be read."""
        try:
            return addresses_in(self._read())
        except OSError:
            return frozenset()

    def _read(self) -> str:
        with self._path.open("rb") as file:
            data = file.read(_SIZE_MAX_BYTES + 1)
        if len(data) > _SIZE_MAX_BYTES:
            raise OSError(f"{self._path} is larger than {_SIZE_MAX_BYTES} bytes.")
        return data.decode("utf-8", "surrogateescape")

    def _replace(self, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        path = self._path.resolve()
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
                before = path.stat()
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
                if os.geteuid() == 0:
                    os.fchown(descriptor, before.st_uid, before.st_gid)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            if not path.is_mount():
                raise
            path.write_bytes(
                data
            )  # in a container it is a mount, which nothing can take the place of

    @contextmanager
    def _locked(self) -> Generator[None]:
        """One portway at a time; the lock is on the folder, for the file itself is replaced."""
        folder = os.open(self._path.resolve().parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
