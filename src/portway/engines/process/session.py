"""A command run beside an instance: same environment, directory, account and control groups, its streams held here."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import termios
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from portway.engines.base import CommandResult, Stream
from portway.engines.process.kernel import kill_all
from portway.engines.process.record import Account

CHUNK_SIZE_BYTES = 64 * 1024
OUTPUT_SIZE_MAX_BYTES = 64 * 1024
END_OF_INPUT = b"\x04"  # what Control-D sends
POLL_S = 0.02  # where the kernel has no pidfd


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCommand:
    """What to run and how. `setsid` makes a terminal the command's own."""

    argv: Sequence[str]
    directory: str
    environment: Mapping[str, str]
    account: Account | None
    setsid: str


class ProcessSession:
    """See ExecSession. Made by `open_session` and `open_check`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        outputs: dict[int, Stream],
        given: int | None,
        terminal: int | None,
    ) -> None:
        self._process = process
        self._outputs = outputs  # descriptors still open
        self._input = given
        self._terminal = terminal
        self._exited = asyncio.Event()
        self._stirred = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._pidfd = _pidfd(process.pid)
        if self._pidfd is not None:
            self._loop.add_reader(self._pidfd, self._look)
        else:
            self._poll()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def write(self, data: bytes) -> None:
        """Send to its input; what comes after its end is lost as in a shell."""
        rest = memoryview(data)
        while rest and self._input is not None:
            try:
                rest = rest[os.write(self._input, rest) :]
            except BlockingIOError:
                await self._writable(self._input)
            except OSError:  # it closed its input, or it has ended
                return

    async def close_input(self) -> None:
        """End its input; a terminal gets what Control-D sends."""
        if self._terminal is not None:
            await self.write(END_OF_INPUT)
        elif self._input is not None:
            os.close(self._input)
            self._input = None

    async def output(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """As it comes; ends when the command has, even if something it left behind holds its output open."""
        while self._outputs:
            over = self._exited.is_set()
            read = [
                (stream, data) for stream, data in map(self._take, tuple(self._outputs)) if data
            ]
            for stream, data in read:
                yield stream, data
            if not read and over:
                return
            if not read and self._outputs:
                await self._readable()
        await self._exited.wait()

    async def resize(self, *, rows: int, columns: int) -> None:
        """Set its terminal's size."""
        if self._terminal is not None:
            termios.tcsetwinsize(self._terminal, (rows, columns))

    async def wait(self) -> int:
        """Its exit code; 128 + n when signal n ended it."""
        await self._exited.wait()
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    async def end(self, *, leftovers: bool) -> None:
        """Kill it if it still runs (`leftovers`: and what it left in its group), close every descriptor."""
        if leftovers or not self._exited.is_set():
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        if not self._exited.is_set():
            kill_all((self._process.pid,))
            await self._exited.wait()
        descriptors = {*self._outputs, self._terminal, self._input} - {None}
        self._outputs, self._terminal, self._input = {}, None, None
        for descriptor in descriptors:
            assert descriptor is not None
            os.close(descriptor)

    def _take(self, descriptor: int) -> tuple[Stream, bytes]:
        """What can be read at once; a descriptor at its end is closed."""
        stream = self._outputs[descriptor]
        try:
            data = os.read(descriptor, CHUNK_SIZE_BYTES)
        except BlockingIOError:
            return stream, b""
        except OSError:  # a terminal whose last user has gone
            data = b""
        if not data:
            del self._outputs[descriptor]
            if descriptor != self._terminal:
                os.close(descriptor)
        return stream, data

    async def _readable(self) -> None:
        """Return once there is output, an end of output, or the command has ended."""
        self._stirred.clear()
        if self._exited.is_set():
            return
        descriptors = tuple(self._outputs)
        for descriptor in descriptors:
            self._loop.add_reader(descriptor, self._stirred.set)
        try:
            await self._stirred.wait()
        finally:
            for descriptor in descriptors:
                self._loop.remove_reader(descriptor)

    async def _writable(self, descriptor: int) -> None:
        ready = asyncio.Event()
        self._loop.add_writer(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_writer(descriptor)

    def _look(self) -> None:
        """The command has ended: take its exit code."""
        if self._process.poll() is None:
            return
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        self._exited.set()
        self._stirred.set()

    def _poll(self) -> None:
        self._look()
        if not self._exited.is_set():
            self._loop.call_later(POLL_S, self._poll)


def open_session(command: SessionCommand, *, rows: int = 0, columns: int = 0) -> ProcessSession:
    """Start it with open input and output; `rows` not 0: with a terminal of its own. OSError when it cannot."""
    if rows:
        return _open_terminal(command, rows=rows, columns=columns)
    process = _spawn(
        command, command.argv, subprocess.PIPE, subprocess.PIPE, subprocess.PIPE, leads=True
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    given, out, err = (
        _own(stream.fileno()) for stream in (process.stdin, process.stdout, process.stderr)
    )
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()
    return ProcessSession(process, {out: Stream.STDOUT, err: Stream.STDERR}, given, None)


def open_check(command: SessionCommand) -> ProcessSession:
    """Start it without input, both outputs as one. OSError when it cannot."""
    process = _spawn(
        command,
        command.argv,
        subprocess.DEVNULL,
        subprocess.PIPE,
        subprocess.STDOUT,
        leads=True,
    )
    assert process.stdout
    out = _own(process.stdout.fileno())
    process.stdout.close()
    return ProcessSession(process, {out: Stream.STDOUT}, None, None)


async def gather(session: ProcessSession) -> CommandResult:
    """The end of its output and its exit code."""
    chunks: deque[bytes] = deque()
    size_bytes = 0
    async for _, data in session.output():
        chunks.append(data)
        size_bytes += len(data)
        while size_bytes - len(chunks[0]) >= OUTPUT_SIZE_MAX_BYTES:
            size_bytes -= len(chunks.popleft())
    text = b"".join(chunks)[-OUTPUT_SIZE_MAX_BYTES:]
    return CommandResult(exit_code=await session.wait(), output=text.decode(errors="replace"))


def _open_terminal(command: SessionCommand, *, rows: int, columns: int) -> ProcessSession:
    ours, theirs = os.openpty()
    try:
        termios.tcsetwinsize(ours, (rows, columns))
        argv = (command.setsid, "-c", *command.argv)
        process = _spawn(command, argv, theirs, theirs, theirs, leads=False)
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    os.set_blocking(ours, False)
    return ProcessSession(process, {ours: Stream.STDOUT}, ours, ours)


def _spawn(
    command: SessionCommand, argv: Sequence[str], given: int, out: int, err: int, *, leads: bool
) -> subprocess.Popen[bytes]:
    account = command.account
    return subprocess.Popen(
        tuple(argv),
        stdin=given,
        stdout=out,
        stderr=err,
        cwd=command.directory,
        env=dict(command.environment),
        start_new_session=leads,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=account.groups if account else None,
    )


def _own(descriptor: int) -> int:
    """A copy that never blocks."""
    copy = os.dup(descriptor)
    os.set_blocking(copy, False)
    return copy


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
