"""One check over a TCP connection, driven by the loop's own callbacks: no task, no stream, one small object.

What fails on our side (no file descriptor left, no address to ask from, a loop held up for too long) is
CheckNotMadeError: it says nothing about who was asked.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket

ANSWER_BYTES_MAX = 64 * 1024
STATUS_LINE_BYTES_MAX = 4096
# A time-out that fires so much too late is our own: the answer may have been there all the while.
LATE_S = 1.0
_READ_BYTES = 16 * 1024
_OURS = frozenset(
    (
        errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL,
        errno.ENETDOWN, errno.ENETUNREACH,
    )
)  # fmt: skip


class CheckNotMadeError(Exception):
    """A check could not be made, and that is not the fault of who was to be checked; the text says why."""


async def ask(address: str, port_number: int, request: bytes, *, timeout_s: float) -> bytes:
    """The beginning of the answer, up to its first line's end; b"" for an empty request once connected.

    Raises what the connection failed with, TimeoutError, or CheckNotMadeError. The rest of an answer is read
    and thrown away afterwards, at most ANSWER_BYTES_MAX of it, so that nobody is hung up on in mid-sentence.
    """
    asking = _Asking(address, port_number, request, timeout_s=timeout_s)
    try:
        return await asking.begin()
    except asyncio.CancelledError:
        asking.close()
        raise


def ours(error: OSError) -> CheckNotMadeError | None:
    """The error as one of our own, when it is."""
    if error.errno not in _OURS:
        return None
    return CheckNotMadeError(f"portway could not ask: {error.strerror or error}")


def refuse_late(deadline_s: float) -> None:
    """CheckNotMadeError when a time-out comes long after its time: then it was our loop that stood still."""
    late_s = asyncio.get_running_loop().time() - deadline_s
    if late_s > LATE_S:
        raise CheckNotMadeError(f"portway itself was held up for {late_s:.1f} s")


def status_of(line: bytes) -> int | None:
    """The status of an HTTP answer by its first line; None when it is not one."""
    parts = line.split(b"\n", 1)[0].split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/"):
        return None
    word = parts[1].strip()
    return int(word) if len(word) == 3 and word.isdigit() else None


class _Asking:
    """One connection from its beginning to its end."""

    __slots__ = (
        "_answer", "_deadline_s", "_fd", "_head", "_left_bytes", "_loop", "_reading", "_request", "_sock", "_timer",
        "_where", "_writing",
    )  # fmt: skip

    def __init__(self, address: str, port_number: int, request: bytes, *, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._where = (address, port_number)
        self._request = request
        self._answer: asyncio.Future[bytes] = self._loop.create_future()
        self._deadline_s = self._loop.time() + timeout_s
        self._timer = self._loop.call_at(self._deadline_s, self._expired)
        self._sock: socket.socket | None = None
        self._fd = -1
        self._head = b""
        self._left_bytes = ANSWER_BYTES_MAX
        self._reading = False
        self._writing = False

    def begin(self) -> asyncio.Future[bytes]:
        """Connect; the answer will come."""
        address, _ = self._where
        try:
            # Never a name: whatever a resolver says is not the instance's own address, and asking it blocks.
            version = ipaddress.ip_address(address).version
        except ValueError:
            self._fail(CheckNotMadeError(f"'{address}' is no address"))
            return self._answer
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            self._sock = sock = socket.socket(family, kind)
            code = sock.connect_ex(self._where)
        except OSError as error:
            self._fail(error)
            return self._answer
        if code == errno.EINPROGRESS:
            self._writing = True
            self._loop.add_writer(sock.fileno(), self._connected)
        elif code:
            self._fail(OSError(code, os.strerror(code)))
        else:
            self._send()
        return self._answer

    def _connected(self) -> None:
        assert self._sock is not None
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(OSError(code, os.strerror(code)))
        else:
            self._send()

    def _send(self) -> None:
        assert self._sock is not None
        if not self._request:
            self._answered(b"")
            self.close()
            return
        try:
            sent = self._sock.send(self._request)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._fail(error)
            return
        self._request = self._request[sent:]
        number = self._sock.fileno()
        if self._request:
            self._writing = True
            self._loop.add_writer(number, self._send)
            return
        if self._writing:
            self._writing = False
            self._loop.remove_writer(number)
        # From here on a bare number: nobody complains about one when a loop ends in the middle of an answer.
        self._fd, self._sock = self._sock.detach(), None
        self._reading = True
        self._loop.add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if not self._answer.done():
            self._head += data
            if not data or b"\n" in self._head or len(self._head) > STATUS_LINE_BYTES_MAX:
                self._answered(self._head)
        self._left_bytes -= len(data)
        if not data or self._left_bytes <= 0:
            self.close()

    def _answered(self, head: bytes) -> None:
        if not self._answer.done():
            self._answer.set_result(head)

    def _fail(self, error: Exception) -> None:
        self.close()
        if not self._answer.done():
            mine = ours(error) if isinstance(error, OSError) else None
            self._answer.set_exception(mine or error)

    def _expired(self) -> None:
        if self._answer.done():
            self.close()
            return
        try:
            refuse_late(self._deadline_s)
        except CheckNotMadeError as error:
            self._fail(error)
        else:
            self._fail(TimeoutError())

    def close(self) -> None:
        """Hang up; nothing is left of it."""
        self._timer.cancel()
        number = self._sock.fileno() if self._sock is not None else self._fd
        if self._reading:
            self._loop.remove_reader(number)
        if self._writing:
            self._loop.remove_writer(number)
        self._reading = self._writing = False
        if self._sock is not None:
            self._sock.close()
        elif self._fd >= 0:
            os.close(self._fd)
        self._sock, self._fd = None, -1
