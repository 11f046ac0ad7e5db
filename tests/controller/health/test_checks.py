"""One check over a connection: what comes back, what is left of it, and whose fault a failure is."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from portway.controller.health import checks
from portway.controller.health.checks import (
    ANSWER_BYTES_MAX,
    CheckNotMadeError,
    ask,
    ours,
    refuse_late,
    status_of,
)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def open_files() -> set[str]:
    """The sockets this process has open."""
    return {found for entry in Path("/proc/self/fd").iterdir() if (found := _socket(entry))}


def _socket(entry: Path) -> str:
    try:
        found = str(entry.readlink())
    except OSError:
        return ""
    return found if found.startswith("socket:") else ""


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n", 200),
        (b"HTTP/1.0 503\r\nX: y", 503),
        (b"HTTP/1.1 204", 204),
        (b"HTTP/1.1 20 OK", None),
        (b"HTTP/1.1", None),
        (b"SSH-2.0-x 200 y", None),
        (b"HTTP/1.1 -12 x", None),
        (b"", None),
    ],
)
def test_a_status_is_in_the_first_line(line: bytes, status: int | None) -> None:
    assert status_of(line) == status


async def test_an_empty_request_only_connects() -> None:
    async with listening(silent) as number:
        assert await ask("127.0.0.1", number, b"", timeout_s=10) == b""


async def test_the_answer_is_there_with_its_first_line_whatever_follows() -> None:
    seen: list[int] = []

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 8192)
                await writer.drain()
                seen.append(8192)
        except OSError:
            seen.append(0)

    async with listening(endless) as number:
        before = open_files()
        head = await ask("127.0.0.1", number, REQUEST, timeout_s=30)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        await until(lambda: seen[-1:] == [0])
        # What the kernel has on the way comes on top of what was read.
        assert sum(seen) < ANSWER_BYTES_MAX + 64 * 1024 * 1024
        assert open_files() <= before


async def test_an_answer_in_pieces_is_put_together() -> None:
    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in (b"HTTP", b"/1.1 2", b"04 No", b" Content\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async with listening(slowly) as number:
        assert status_of(await ask("127.0.0.1", number, REQUEST, timeout_s=10)) == 204


@pytest.mark.parametrize("request_", [REQUEST, b"x" * 8_000_000], ids=["read", "not even read"])
async def test_nobody_is_waited_for_longer_than_allowed_and_nothing_stays_open(
    request_: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "LATE_S", 3600.0)
    before = open_files()
    quiet = socket.create_server(("127.0.0.1", 0))
    with quiet, pytest.raises(TimeoutError):
        await ask("127.0.0.1", quiet.getsockname()[1], request_, timeout_s=0.05)
    assert open_files() <= before


async def test_what_is_cancelled_leaves_nothing_open() -> None:
    async with listening(silent) as number:
        before = open_files()
        task = asyncio.get_running_loop().create_task(
            ask("127.0.0.1", number, REQUEST, timeout_s=60)
        )
        await until(lambda: bool(open_files() - before))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await until(lambda: open_files() <= before)


async def test_nothing_there_is_a_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await ask("127.0.0.1", number, REQUEST, timeout_s=10)


async def test_a_name_is_never_looked_up() -> None:
    with pytest.raises(CheckNotMadeError, match="'localhost' is no address"):
        await ask("localhost", 80, REQUEST, timeout_s=10)


async def test_without_a_file_descriptor_the_check_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none_left(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(checks.socket, "socket", none_left)
    with pytest.raises(CheckNotMadeError, match="Too many open files"):
        await ask("127.0.0.1", 80, REQUEST, timeout_s=10)


@pytest.mark.parametrize(
    ("number", "is_ours"),
    [
        (errno.EMFILE, True),
        (errno.EADDRNOTAVAIL, True),
        (errno.ENETUNREACH, True),
        (errno.ECONNREFUSED, False),
        (errno.EHOSTUNREACH, False),
        (errno.ECONNRESET, False),
    ],
)
def test_only_what_this_machine_lacks_is_our_own_fault(number: int, is_ours: bool) -> None:
    assert (ours(OSError(number, "x")) is not None) is is_ours


async def test_a_time_out_that_fires_much_too_late_is_our_own() -> None:
    now_s = asyncio.get_running_loop().time()
    refuse_late(now_s)
    with pytest.raises(CheckNotMadeError, match="held up for 3600"):
        refuse_late(now_s - 3600)
