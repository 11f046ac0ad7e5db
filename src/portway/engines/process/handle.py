"""One instance as this controller holds it: its record, whether it lives, and the descriptor that tells of its end."""

from __future__ import annotations

import asyncio
import os
import select
import shlex
import signal
from collections.abc import Callable
from contextlib import suppress

from portway.core.instance import EngineState, ObservedInstance
from portway.engines.base import Stream
from portway.engines.process import kernel
from portway.engines.process.command import SHELL
from portway.engines.process.kernel import ProcessStamp
from portway.engines.process.logs import LogFiles, LogKeeper
from portway.engines.process.record import Exit, ProcessRecord, RecordDirectory
from portway.engines.process.supervisor import NOT_STARTED

POLL_S = 0.002
MIB = 1024 * 1024
ORDINARY_SIGNALS = frozenset({signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP})


class InstanceHandle:
    """Derives everything from the files and the kernel each time; keeps only what can never change back."""

    def __init__(
        self,
        directory: RecordDirectory,
        record: ProcessRecord,
        *,
        boot_id: str,
        log_size_max_bytes: int,
    ) -> None:
        self.directory = directory
        self.record = record
        self.signalled: set[int] = set()
        self._same_boot = record.boot_id == boot_id
        self._state = EngineState.CREATED
        self._exit: Exit | None = None
        self._pidfd: int | None = None
        self._on_end: Callable[[], None] | None = None
        self._ended = asyncio.Event()
        self._pid = 0
        self._poller = select.poll()
        self._observed: ObservedInstance | None = None
        self._keepers = tuple(
            LogKeeper(
                LogFiles(directory=directory.path, stream=stream), size_max_bytes=log_size_max_bytes
            )
            for stream in Stream
        )

    @property
    def id(self) -> str:
        return self.record.identity.id

    @property
    def supervisor_pid(self) -> int:
        """The supervisor's pid, 0 while it is not known."""
        stamp = self.directory.supervisor()
        return stamp.pid if stamp else 0

    def refresh(self) -> EngineState:
        """What it is now."""
        if self._state is not EngineState.EXITED:
            self._state = self._look()
            if self._state is EngineState.EXITED:
                self._ended.set()
        return self._state

    def watch(self, on_end: Callable[[], None]) -> None:
        """Call `on_end` once, when it has ended; without a pidfd `tend` finds out."""
        self._on_end = on_end
        if self._pidfd is None and self.refresh() is EngineState.RUNNING:
            self._open_pidfd()

    def watch_supervisor(self, pid: int, on_end: Callable[[], None]) -> None:
        """Like `watch`, for a supervisor that was started this moment."""
        self._on_end = on_end
        self._state = EngineState.RUNNING
        with suppress(OSError):  # too many descriptors: `tend` finds out
            self._hold(pid, os.pidfd_open(pid))

    def tend(self, now_ms: int) -> None:
        """The once-a-second care of a running instance: its logs, and its end where nothing else tells."""
        if self._state is EngineState.EXITED:
            return
        for keeper in self._keepers:
            with suppress(OSError):
                keeper.tend(now_ms)
        if self._pidfd is None:
            self._stirred()

    async def wait_ended(self, timeout_s: float) -> bool:
        """Whether it has ended within that time."""
        ends = asyncio.get_running_loop().time() + timeout_s
        while self.refresh() is not EngineState.EXITED:
            left_s = ends - asyncio.get_running_loop().time()
            if left_s <= 0:
                return False
            with suppress(TimeoutError):
                slice_s = left_s if self._pidfd is not None else min(left_s, 0.05)
                await asyncio.wait_for(self._ended.wait(), slice_s)
        return True

    async def wait_child(self, timeout_s: float) -> ProcessStamp | None:
        """The command's process, once the supervisor has forked it; None when it never came to that."""
        ends = asyncio.get_running_loop().time() + timeout_s
        while (child := self.directory.child()) is None:
            if self.refresh() is not EngineState.RUNNING:
                return self.directory.child()
            if asyncio.get_running_loop().time() > ends:
                return None
            await asyncio.sleep(POLL_S)
        return child

    def observed(self, address: str) -> ObservedInstance:
        """As the engine reports it."""
        state = self.refresh()
        if self._observed is None or self._observed.state is not state:
            observed = self._observe(state, address)
            if "pid" in observed.details:
                self._observed = observed  # nothing in it changes before the state does
            return observed
        return self._observed

    def close(self) -> None:
        """Let go of the descriptor; the instance does not notice."""
        self._on_end = None
        self._close_pidfd()

    def _look(self) -> EngineState:
        if self._pidfd is not None and not self._poller.poll(0):
            return EngineState.RUNNING
        if self._found_exit():
            return EngineState.EXITED
        if self._same_boot and self.directory.supervised():
            return EngineState.RUNNING
        if self._found_exit():  # written between the two looks
            return EngineState.EXITED
        child = self.directory.child()
        if child is not None and self._same_boot and kernel.alive(child):
            return EngineState.RUNNING  # its supervisor was killed
        begun = child is not None or self.directory.supervisor() is not None
        return EngineState.EXITED if begun else EngineState.CREATED

    def _found_exit(self) -> bool:
        self._exit = self._exit or self.directory.exit()
        return self._exit is not None

    def _open_pidfd(self) -> None:
        for stamp in (self.directory.supervisor(), self.directory.child()):
            if stamp is not None and (pidfd := kernel.open_pidfd(stamp)) is not None:
                self._hold(stamp.pid, pidfd)
                return

    def _hold(self, pid: int, pidfd: int) -> None:
        self._pid, self._pidfd = pid, pidfd
        self._poller.register(pidfd, select.POLLIN)
        asyncio.get_running_loop().add_reader(pidfd, self._stirred)

    def _close_pidfd(self) -> None:
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            self._poller.unregister(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _stirred(self) -> None:
        """The watched process has ended, or nobody knows: look, and go on with what is left."""
        if self._pidfd is not None:
            kernel.reap(self._pid)
            self._close_pidfd()
        if self.refresh() is EngineState.RUNNING:
            self._open_pidfd()
        elif self._state is EngineState.EXITED and self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()

    def _observe(self, state: EngineState, address: str) -> ObservedInstance:
        return ObservedInstance(
            identity=self.record.identity,
            state=state,
            address=address,
            reaches_container=False,
            exit_code=self._exit.code if self._exit else None,
            oom_killed=bool(self._exit and self._exit.oom_kills),
            error=self._why() if state is EngineState.EXITED else "",
            started_at_ms=None if state is EngineState.CREATED else self.record.recorded_at_ms,
            details=self._details(),
        )

    def _details(self) -> dict[str, str]:
        child, supervisor = self.directory.child(), self.directory.supervisor()
        details = {
            "pid": str(child.pid) if child else "",
            "supervisor": str(supervisor.pid) if supervisor else "",
            "command": shlex.join(self.record.argv),
            "directory": self.record.directory,
            "user": self.record.account.name if self.record.account else "",
            "warning": " ".join(self.record.warnings),
        }
        return {key: value for key, value in details.items() if value}

    def _why(self) -> str:
        """Why it ended, as a sentence; "" when the exit code says it all."""
        if self._exit is None:
            if not self._same_boot:
                return "The machine restarted while it ran."
            return "Its supervisor was killed, so nobody knows how it ended."
        if self._exit.oom_kills:
            limit = self.record.memory_bytes
            what = "its memory limit" if limit is None else f"its limit of {limit // MIB} MiB"
            return f"It was killed because it used more memory than {what}."
        return _why_code(
            self._exit.code, self.record.argv, forked=self.directory.child() is not None
        )


def _why_code(code: int, argv: tuple[str, ...], *, forked: bool) -> str:
    command = argv[2] if argv[:2] == (SHELL, "-c") else shlex.join(argv)
    number = code - 128
    if code == NOT_STARTED and not forked:
        return "It could not be started, because its files could not be written. Is the disk full?"
    if code == 127:
        return f"A program in its command was not found (exit code 127): {command}"
    if code == 126:
        return f"A program in its command could not be executed (exit code 126): {command}"
    if number in signal.valid_signals() and number not in ORDINARY_SIGNALS:
        return f"It was ended by signal {number} ({signal.strsignal(number)})."
    return ""
