"""Claims: how portways on one host keep out of each other's ports, without a file to clean up.

Linux: each claim is a bound abstract unix socket "portway/tcp/31004". The kernel keeps the name unique in a
network namespace (the same scope as the ports themselves) and frees it when the process dies. Elsewhere: a
locked file for each claim. A claim says nothing of other programs; HostPorts looks at those.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol as Interface

from portway.core.app import Protocol
from portway.core.errors import WorldError

NAMESPACE = "portway"
_SPARE_FILES = 256  # what the rest of the server may have open besides claims

PortKey = tuple[Protocol, int]


class PortClaims(Interface):
    """Who of several portways may use a port."""

    def claim(self, protocol: Protocol, number: int) -> bool:
        """Claim a port until it is released; False when another portway has it. Twice is once."""
        ...

    def release_claim(self, protocol: Protocol, number: int) -> None:
        """Let another portway have it; not claimed: nothing."""
        ...

    def foreign(self) -> Mapping[PortKey, int]:
        """The ports other portways have claimed, each with the inode of its socket (0 = unknown)."""
        ...

    def close(self) -> None:
        """Release every claim."""
        ...


def claims_for_this_system(namespace: str = NAMESPACE) -> PortClaims:
    """Abstract sockets where there are such, else locked files."""
    if sys.platform == "linux":
        return SocketClaims(namespace)
    return FileClaims(Path(tempfile.gettempdir()) / f"{namespace}-ports")


class SocketClaims:
    """Claims as abstract unix sockets; one open file each."""

    def __init__(self, namespace: str = NAMESPACE, *, proc: Path = Path("/proc")) -> None:
        self._namespace = namespace
        self._proc = proc
        self._sockets: dict[PortKey, socket.socket] = {}
        self._pattern = re.compile(
            rb"(\d+) @" + re.escape(namespace.encode()) + rb"/(tcp|udp)/([1-9]\d{0,4})$",
            re.MULTILINE,
        )

    def claim(self, protocol: Protocol, number: int) -> bool:
        """Claim a port until it is released; False when another portway has it. Twice is once."""
        if (protocol, number) in self._sockets:
            return True
        allow_open_files(len(self._sockets) + 1)
        try:
            holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        except OSError as error:
            raise _too_many_files(error, len(self._sockets)) from error
        try:
            holder.bind(f"\0{self._namespace}/{protocol}/{number}")
        except OSError as error:
            holder.close()
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        self._sockets[protocol, number] = holder
        return True

    def release_claim(self, protocol: Protocol, number: int) -> None:
        """Let another portway have it; not claimed: nothing."""
        holder = self._sockets.pop((protocol, number), None)
        if holder:
            holder.close()

    def foreign(self) -> Mapping[PortKey, int]:
        """The ports other portways have claimed, each with the inode of its socket (0 = unknown)."""
        try:
            text = (self._proc / "net" / "unix").read_bytes()
        except OSError:
            return {}
        found = (
            ((Protocol(match[2].decode()), int(match[3])), int(match[1]))
            for match in self._pattern.finditer(text)
        )
        return {key: inode for key, inode in found if key not in self._sockets}

    def close(self) -> None:
        """Release every claim."""
        for holder in self._sockets.values():
            holder.close()
        self._sockets.clear()


class FileClaims:
    """Claims as locked files in a directory that every user may write to; the lock dies with the process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: dict[PortKey, int] = {}

    def claim(self, protocol: Protocol, number: int) -> bool:
        """Claim a port until it is released; False when another portway has it. Twice is once."""
        if (protocol, number) in self._files:
            return True
        allow_open_files(len(self._files) + 1)
        file = self._open(protocol, number)
        if not _lock(file):
            os.close(file)
            return False
        self._files[protocol, number] = file
        return True

    def release_claim(self, protocol: Protocol, number: int) -> None:
        """Let another portway have it; not claimed: nothing."""
        file = self._files.pop((protocol, number), None)
        if file is not None:
            os.close(file)

    def foreign(self) -> Mapping[PortKey, int]:
        """The ports other portways have claimed, each with the inode of its socket (0 = unknown)."""
        found: dict[PortKey, int] = {}
        with suppress(OSError):
            for path in self.directory.iterdir():
                match = re.fullmatch(r"(tcp|udp)-([1-9]\d{0,4})", path.name)
                key = (Protocol(match[1]), int(match[2])) if match else None
                if key and key not in self._files and self._is_locked(*key):
                    found[key] = 0
        return found

    def close(self) -> None:
        """Release every claim."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _open(self, protocol: Protocol, number: int) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self.directory.mkdir(exist_ok=True)
            with suppress(OSError):
                self.directory.chmod(0o1777)  # portways of other users claim here too
            file = os.open(self.directory / f"{protocol}-{number}", flags, 0o666)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise _too_many_files(error, len(self._files)) from error
            raise WorldError(
                f"claims on ports cannot be kept in {self.directory}: {error.strerror}",
                hint="Make the directory writable, or set TMPDIR to one that is.",
            ) from error
        with suppress(OSError):
            os.fchmod(file, 0o666)
        return file

    def _is_locked(self, protocol: Protocol, number: int) -> bool:
        file = self._open(protocol, number)
        try:
            return not _lock(file)
        finally:
            os.close(file)


def _lock(file: int) -> bool:
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def allow_open_files(claims: int) -> None:
    """Raise the soft limit on open files to the hard one once so many claims come near it.

    Not sooner: processes started by us inherit the limit, and old programs expect the usual 1024.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft != hard and claims + _SPARE_FILES > soft:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _too_many_files(error: OSError, claims: int) -> WorldError:
    return WorldError(
        f"no more files can be opened, with {claims} ports claimed: {error.strerror}",
        hint="Raise the limit for the server (ulimit -n, or LimitNOFILE= in its systemd unit).",
    )
