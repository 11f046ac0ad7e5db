"""The sockets the API listens on: opened here, each refusal a sentence that names the socket or address."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from portway.api.settings import ListenAddress
from portway.core.errors import RequestError

_BACKLOG = 128
_SOCKET_MODE = 0o600
_ANSWER_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixListener:
    """A listening unix socket, the file it is, and the lock that makes it ours alone."""

    path: Path
    inode: int
    socket: socket.socket
    lock: int


def open_unix_socket(path: Path) -> UnixListener:
    """Listen on `path`, mode 0600; a stale socket is replaced, one that is answered never."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _SOCKET_MODE)
    except OSError as error:
        raise _unix_refused(path, error) from error
    try:
        # The lock is what decides between two servers that start at the same moment.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_stale(path)
        return _listening(path, lock)
    except BlockingIOError:
        os.close(lock)
        raise _unix_in_use(path) from None
    except OSError as error:
        os.close(lock)
        raise _unix_refused(path, error) from error
    except RequestError:
        os.close(lock)
        raise


def close_unix_socket(listener: UnixListener) -> None:
    """Stop listening and remove the file, unless somebody put another in its place."""
    listener.socket.close()
    try:
        if listener.path.stat().st_ino == listener.inode:
            listener.path.unlink()
    except FileNotFoundError:
        pass
    finally:
        os.close(listener.lock)


async def open_tcp_sockets(address: ListenAddress) -> list[socket.socket]:
    """Listen on every address the host stands for; all of them or none."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            address.host, address.port_number, type=socket.SOCK_STREAM
        )
    except OSError as error:
        raise RequestError(
            f'The host "{address.host}" to listen on is not known: {_reason(error)}.',
            hint="Use an address of this machine, for instance --listen 127.0.0.1:8080.",
        ) from error
    opened: list[socket.socket] = []
    try:
        for family, _, _, _, where in dict.fromkeys(found):
            opened.append(_bound(family, where))
    except OSError as error:
        for each in opened:
            each.close()
        raise _tcp_refused(address, error) from error
    return opened


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise RequestError(
            f"{path} is in the way: it is a file, not a socket.",
            hint="Move it away, or choose another --home.",
            http_status=409,
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass  # a full backlog: somebody is there, only busy
    raise _unix_in_use(path)


def _listening(path: Path, lock: int) -> UnixListener:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~_SOCKET_MODE)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return UnixListener(path=path, inode=path.stat().st_ino, socket=listener, lock=lock)


def _bound(family: int, where: tuple[object, ...]) -> socket.socket:
    # asyncio switches Nagle off only where the protocol is named; without that each answer takes 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _unix_in_use(path: Path) -> RequestError:
    return RequestError(
        f"A portway server already runs here: it answers on {path}.",
        hint="Use it, stop it with `portway server stop`, or choose another --home.",
        http_status=409,
    )


def _unix_refused(path: Path, error: OSError) -> RequestError:
    if error.errno is None or "too long" in str(error):
        return RequestError(
            f"The path of the socket is too long for the system: {path}.",
            hint="Choose a --home with a shorter path (the limit is about 100 characters).",
        )
    return RequestError(
        f"The socket {path} cannot be made: {_reason(error)}.",
        hint="The directory must exist and be writable for you; --home chooses another.",
    )


def _tcp_refused(address: ListenAddress, error: OSError) -> RequestError:
    shown = f"[{address.host}]" if ":" in address.host else address.host
    where = f"{shown}:{address.port_number}"
    match error.errno:
        case errno.EADDRINUSE:
            return RequestError(
                f"Another program already listens on {where}.",
                hint=f"`ss -ltnp sport = :{address.port_number}` shows which; or choose another address with --listen.",
                http_status=409,
            )
        case errno.EACCES:
            return RequestError(
                f"You may not listen on {where}.",
                hint="Ports below 1024 need root; choose another with --listen, for instance 127.0.0.1:8080.",
            )
        case errno.EADDRNOTAVAIL:
            return RequestError(
                f"{where} is not an address of this machine.",
                hint="`ip address` shows them; choose one with --listen.",
            )
        case _:
            return RequestError(
                f"portway cannot listen on {where}: {_reason(error)}.",
                hint="Choose another address with --listen.",
            )


def _reason(error: OSError) -> str:
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
