"""The runtime sockets: one conversation with the current worker, single questions to the master and to old workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from portway.balancers.haproxy.readback import WorkerInfo, parse_info, parse_workers
from portway.balancers.haproxy.render import ADMIN_SOCKET
from portway.core.errors import BalancerError

MASTER_SOCKET = "master.sock"
UNREACHABLE = (ConnectionError, FileNotFoundError, TimeoutError, ValueError)  # worth another try
_ANSWER_S = 10.0
_PROMPT = b"\n> "
_SOCKET_PATH_MAX = 100  # of the 108 bytes the kernel takes


class Session:
    """One conversation with one worker: every command goes to the same process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, command: str) -> str:
        """The answer to one command; ConnectionError or TimeoutError when the worker goes away."""
        self._writer.write(command.encode() + b"\n")
        async with asyncio.timeout(_ANSWER_S):
            await self._writer.drain()
            try:
                answer = await self._reader.readuntil(_PROMPT)
            except asyncio.IncompleteReadError as error:
                raise ConnectionResetError("HAProxy closed its admin socket") from error
        return answer[: -len(_PROMPT)].decode(errors="replace").strip()


class Runtime:
    """The sockets of the HAProxy that runs in `directory`."""

    def __init__(self, directory: Path, alive: Callable[[], bool] = lambda: True) -> None:
        self._directory = directory
        self._alive = alive

    @asynccontextmanager
    async def session(self, worker_id: int | None = None) -> AsyncGenerator[Session, None]:
        """A conversation with the current worker, or with exactly `worker_id`.

        Right after a reload the old worker may still answer on the shared socket: try again then.
        """
        deadline = asyncio.get_running_loop().time() + _ANSWER_S
        while True:
            reader, writer = await self._connect(ADMIN_SOCKET)
            try:
                session = Session(reader, writer)
                await session.ask("prompt")
                if worker_id is None or (await info(session)).process_id == worker_id:
                    yield session
                    return
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError("another worker keeps answering")
            await asyncio.sleep(0.005)

    async def workers(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(current workers, old workers, oldest first), as the master says."""
        return parse_workers(await self._ask_master("show proc", expect="#<PID>"))

    async def ask_old(self, worker_id: int, command: str) -> str:
        """A command to a worker that is finishing; "" when it has just ended."""
        return await self._ask_master(f"@!{worker_id} {command}")

    async def _ask_master(self, command: str, *, expect: str = "") -> str:
        # While it replaces itself in a reload the master refuses or drops connections for a moment.
        deadline = asyncio.get_running_loop().time() + 3.0
        while True:
            try:
                answer = await self._ask_once(command)
                if expect in answer:
                    return answer
                raise ConnectionResetError("the master answered nothing")
            except (ConnectionError, FileNotFoundError, TimeoutError):
                if asyncio.get_running_loop().time() > deadline or not self._alive():
                    raise
            await asyncio.sleep(0.02)

    async def _ask_once(self, command: str) -> str:
        reader, writer = await self._connect(MASTER_SOCKET)
        try:
            async with asyncio.timeout(1.0):
                writer.write(command.encode() + b"\n")
                writer.write_eof()
                return (await reader.read(-1)).decode(errors="replace")
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connect(self, name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        path = self._directory / name
        async with asyncio.timeout(_ANSWER_S):
            if len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
                return await asyncio.open_unix_connection(str(path), limit=2**26)
            # A deep home directory: name the socket through a descriptor of its directory.
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                short = f"/proc/self/fd/{descriptor}/{name}"
                return await asyncio.open_unix_connection(short, limit=2**26)
            finally:
                os.close(descriptor)


def unreachable(error: BaseException) -> BalancerError:
    """That HAProxy does not answer, and why, as far as that is known."""
    reason = str(error) or type(error).__name__
    return BalancerError(
        f"HAProxy does not answer on its admin socket: {reason}.",
        hint="portway starts it again by itself when it has ended.",
    )


async def info(session: Session) -> WorkerInfo:
    """Which worker answers in this conversation."""
    return parse_info(await session.ask("show info"))
