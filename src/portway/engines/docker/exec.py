"""Commands run inside a container: open sessions (with or without a terminal) and health checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiodocker import DockerError
from aiodocker.stream import Message
from aiodocker.stream import Stream as UpgradedStream
from yarl import URL

from portway.core.errors import EngineError, EngineErrorKind
from portway.engines.base import CommandResult, ExecRequest, Stream
from portway.engines.docker.api import Created, ExecState
from portway.engines.docker.client import QUICK_S, SLOW_S, DockerClient
from portway.engines.docker.errors import DockerRefusal, explain, runtime_failure

OUTPUT_BYTES_MAX = 64 * 1024
# Docker starts a command within milliseconds; one that needs so long is not to blame for it.
DOCKER_BEGINS_S = 15.0
_POLL_MIN_S = 0.005
_POLL_MAX_S = 0.2
_KILLED = 137  # what a shell reports for a command that SIGKILL ended


class _Connection(UpgradedStream):
    """aiodocker's raw stream, whose sending half can be closed while the other still receives."""

    def end_input(self) -> None:
        connection = self._resp.connection if self._resp is not None else None
        transport = connection.transport if connection is not None else None
        if isinstance(transport, asyncio.WriteTransport) and transport.can_write_eof():
            transport.write_eof()


class DockerExecSession:
    """One command inside a container; an ExecSession."""

    def __init__(
        self, client: DockerClient, exec_id: str, connection: _Connection, *, tty: bool
    ) -> None:
        self._client = client
        self._exec_id = exec_id
        self._connection = connection
        self._tty = tty
        self._first: Message | None = None

    async def write(self, data: bytes) -> None:
        """Send bytes to its standard input; lost when the command has already ended."""
        try:
            await self._connection.write_in(data)
        except (OSError, aiohttp.ClientError, RuntimeError, AssertionError):
            return  # ended: wait() says how

    async def close_input(self) -> None:
        """End its standard input."""
        self._connection.end_input()

    async def output(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """Its output as it comes; ends when the command ends."""
        if self._first is not None:
            message, self._first = self._first, None
            yield _stream(message), message.data
        while (message := await self._read()) is not None:
            yield _stream(message), message.data

    async def resize(self, *, rows: int, columns: int) -> None:
        """Tell its terminal a new size; nothing without a tty or after its end."""
        if not self._tty:
            return
        params = {"h": str(rows), "w": str(columns)}
        try:
            await self._client.call("POST", f"exec/{self._exec_id}/resize", params=params)
        except DockerRefusal:
            return  # it has ended

    async def wait(self) -> int:
        """Its exit code."""
        pause_s = _POLL_MIN_S
        while (state := await inspect_exec(self._client, self._exec_id)).running:
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _POLL_MAX_S)
        return _KILLED if state.exit_code is None else state.exit_code

    async def failure_to_begin(self) -> str:
        """The runtime's complaint when the command could not be run at all, else ""; its output is kept."""
        if await self._exit_code_so_far() not in (126, 127):
            return ""
        self._first = await self._read()
        text = self._first.data.decode(errors="replace") if self._first else ""
        return text if runtime_failure(text) else ""

    async def _exit_code_so_far(self) -> int | None:
        pause_s = _POLL_MIN_S
        while True:
            state = await inspect_exec(self._client, self._exec_id)
            if state.exit_code is not None or state.pid:
                return state.exit_code
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _POLL_MAX_S)

    async def _read(self) -> Message | None:
        async def read() -> tuple[Message | None]:
            return (await self._connection.read_out(),)

        while True:  # a silence is not an end
            answer = await self._client.patiently(read)
            if answer is not None:
                return answer[0]


@asynccontextmanager
async def open_exec(
    client: DockerClient, container: str, request: ExecRequest, *, name: str
) -> AsyncGenerator[DockerExecSession]:
    """Run a command; EngineError(kind=NOT_FOUND) when the instance does not run, BAD_COMMAND when it cannot begin."""
    exec_id = await _create(client, container, request, name=name, with_input=True)
    async with _connected(client, exec_id, tty=request.tty) as connection:
        session = DockerExecSession(client, exec_id, connection, tty=request.tty)
        complaint = await session.failure_to_begin()
        if explained := runtime_failure(complaint):
            raise explained(f"{request.argv[0]} could not be run in {name}")
        await session.resize(rows=request.rows, columns=request.columns)
        yield session


async def run_check(
    client: DockerClient, container: str, argv: Sequence[str], *, timeout_s: float, name: str
) -> CommandResult:
    """Run a health command to its end; TimeoutError when late (Docker cannot end it: it is left alone).

    The time is the command's alone: a Docker that does not answer is EngineError(kind=UNAVAILABLE).
    """
    request = ExecRequest(argv=check_argv(argv))
    exec_id = ""
    output = bytearray()
    try:
        async with asyncio.timeout(DOCKER_BEGINS_S) as begins:
            exec_id = await _create(client, container, request, name=name, with_input=False)
            async with _connected(client, exec_id, tty=False) as connection:
                begins.reschedule(asyncio.get_running_loop().time() + timeout_s)
                session = DockerExecSession(client, exec_id, connection, tty=False)
                async for _, data in session.output():
                    output += data
                    del output[:-OUTPUT_BYTES_MAX]
                exit_code = await session.wait()
    except TimeoutError as error:
        if not exec_id:
            raise client.unreachable(error) from error
        await inspect_exec(client, exec_id)  # raises where Docker itself is what is late
        raise
    text = output.decode(errors="replace")
    if exit_code in (126, 127) and (explained := runtime_failure(text)):
        text = explained("the check could not be run").message
    return CommandResult(exit_code=exit_code, output=text)


def check_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """The argument vector of a health command as compose writes it (CMD-SHELL, CMD or neither)."""
    match list(argv):
        case ["CMD-SHELL", *text]:
            return ("/bin/sh", "-c", " ".join(text))
        case ["CMD", *rest]:
            return tuple(rest)
        case plain:
            return tuple(plain)


async def inspect_exec(client: DockerClient, exec_id: str) -> ExecState:
    """How far the command is."""
    try:
        return msgspec.json.decode(await client.call("GET", f"exec/{exec_id}/json"), type=ExecState)
    except DockerRefusal:
        return ExecState()  # the container is gone, and what ran in it with it


async def _create(
    client: DockerClient, container: str, request: ExecRequest, *, name: str, with_input: bool
) -> str:
    body: Mapping[str, Any] = {
        "AttachStdin": with_input,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": request.tty,
        "Env": [f"{key}={value}" for key, value in request.environment.items()],
        "Cmd": list(request.argv),
    }
    try:
        answer = await client.call(
            "POST", f"containers/{container}/exec", body=body, timeout_s=SLOW_S
        )
    except DockerRefusal as refusal:
        raise _not_running(refusal, request, name) from refusal
    return msgspec.json.decode(answer, type=Created).id


def _not_running(refusal: DockerRefusal, request: ExecRequest, name: str) -> EngineError:
    if refusal.status in (404, 409):
        return EngineError(
            f"{name} is not running, so nothing can be run in it.",
            hint="`portway ps` shows what runs.",
            kind=EngineErrorKind.NOT_FOUND,
            retryable=False,
        )
    what = request.argv[0] if request.argv else "The command"
    return explain(refusal, doing=f"{what} could not be run in {name}")


@asynccontextmanager
async def _connected(
    client: DockerClient, exec_id: str, *, tty: bool
) -> AsyncGenerator[_Connection]:
    async def setup() -> tuple[URL, bytes, bool]:
        body = msgspec.json.encode({"Detach": False, "Tty": tty})
        return URL(f"exec/{exec_id}/start"), body, tty

    connection = _Connection(client.docker, setup, aiohttp.ClientTimeout(connect=QUICK_S))
    try:
        await _upgrade(client, connection)
        yield connection
    finally:
        await connection.close()


async def _upgrade(client: DockerClient, connection: _Connection) -> None:
    try:
        async with asyncio.timeout(SLOW_S):
            await connection.__aenter__()
    except DockerError as error:
        if error.status >= 900:
            raise client.unreachable(error) from error
        raise explain(
            DockerRefusal(error.status, error.message), doing="The command could not be run"
        ) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise client.unreachable(error) from error


def _stream(message: Message) -> Stream:
    return Stream.STDERR if message.stream == 2 else Stream.STDOUT
