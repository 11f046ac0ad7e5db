"""The HAProxy master of one home: found again, started, reloaded, watched, stopped. Knows nothing of routes."""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from portway.balancers.haproxy.render import CONFIG, LOG_DESCRIPTOR, LOG_PIPE
from portway.balancers.haproxy.runtime import MASTER_SOCKET
from portway.core.errors import BalancerError

PID_FILE = "haproxy.pid"
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # where distributions keep it, and not every user's PATH leads
_SETTLED_S = 0.1  # a SIGUSR2 within 50 ms of a fresh master's start is lost without a word
_CHECK_S = 60.0
_PID_S = 3.0
# Only a shell can give a program a file at a number chosen beforehand.
_WITH_LOG = ("/bin/sh", "-c", f'exec "$0" "$@" {LOG_DESCRIPTOR}<>{LOG_PIPE}')


class MasterProcess:
    """One master with its workers, told apart from every other HAProxy by its directory."""

    def __init__(self, directory: Path, executable: str) -> None:
        self._directory = directory
        self._executable = executable
        self._started_at_s = 0.0
        self._known: tuple[int, int] | None = None  # pid and its pidfd

    def program(self) -> str:
        """The path of the executable; BalancerError with the command that installs it."""
        path = os.environ.get("PATH", os.defpath)
        found = shutil.which(self._executable, path=f"{path}:{_SBIN}")
        if found is None:
            raise BalancerError(
                f"HAProxy is not installed: there is no program {self._executable!r}.",
                hint="Install it with `apt-get install haproxy`, or name it with PORTWAY_HAPROXY.",
                retryable=False,
            )
        return found

    def find(self) -> int | None:
        """The pid of the running master of this directory.

        One that is known stays known until it ends: while it replaces itself in a reload its pid
        file and command line are empty for a moment.
        """
        if self._known is not None:
            process_id, descriptor = self._known
            if not select.select([descriptor], [], [], 0)[0]:
                return process_id
            self.forget()
        try:
            process_id = int((self._directory / PID_FILE).read_text())
        except (OSError, ValueError):
            return None
        if not self._is_ours(process_id):
            return None
        with suppress(ProcessLookupError):
            self._known = process_id, os.pidfd_open(process_id)
            return process_id
        return None

    def forget(self) -> None:
        """Let go of what is known about a running master."""
        if self._known is not None:
            os.close(self._known[1])
            self._known = None

    def members(self) -> tuple[int, ...]:
        """Every HAProxy process of this directory, orphans included."""
        entries = (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return tuple(int(name) for name in entries if self._is_ours(int(name)))

    async def check(self, config_name: str) -> str:
        """What HAProxy has against a configuration file; "" when it would load it."""
        code, output = await self._run("-c", "-f", config_name)
        if code == 0:
            return ""
        alerts = [line.partition(" : ")[2] for line in output.splitlines() if "[ALERT]" in line]
        return "; ".join(alerts[:3]) or output[-500:] or f"exit code {code}"

    async def start(self, *, with_log: bool = False) -> int:
        """Start the master in its own session with the configuration in its directory.

        `with_log`: the pipe in its directory is open at LOG_DESCRIPTOR, in reloads too.
        """
        arguments = ("-W", "-D", "-f", CONFIG, "-p", PID_FILE)
        master = ("-S", f"unix@{MASTER_SOCKET},mode,600")
        code, output = await self._run(*arguments, *master, with_log=with_log)
        process_id = await self._await_pid() if code == 0 else None
        if process_id is None:
            alerts = [line for line in output.splitlines() if "[ALERT]" in line]
            raise BalancerError(
                "HAProxy did not start: " + ("; ".join(alerts[:3]) or f"exit code {code}") + ".",
                hint="portway tries again by itself.",
            )
        self._started_at_s = time.monotonic()
        return process_id

    async def signal_reload(self, process_id: int) -> None:
        """Ask the master for new workers with the configuration in its directory."""
        early_s = self._started_at_s + _SETTLED_S - time.monotonic()
        if early_s > 0:
            await asyncio.sleep(early_s)
        with suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGUSR2)

    async def kill_members(self) -> None:
        """End every process of this directory at once, and wait until they are gone."""
        await self._end_members(signal.SIGKILL)

    async def stop(self) -> None:
        """End the master and all its workers, politely at first."""
        process_id = self.find()
        if process_id is not None:
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(3.0):
                    await wait_end(process_id)
        await self.kill_members()
        self.forget()
        (self._directory / PID_FILE).unlink(missing_ok=True)

    async def _await_pid(self) -> int | None:
        """The daemon writes its pid file a moment after its parent has ended."""
        deadline_s = time.monotonic() + _PID_S
        while time.monotonic() < deadline_s:
            process_id = self.find()
            if process_id is not None:
                return process_id
            await asyncio.sleep(0.002)
        return None

    async def _end_members(self, sig: signal.Signals) -> None:
        members = self.members()
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member, sig)
        for member in members:
            await wait_end(member)

    async def _run(self, *arguments: str, with_log: bool = False) -> tuple[int, str]:
        # A file, not a pipe: the daemon may keep the other end open.
        with tempfile.TemporaryFile() as output:
            process = await asyncio.create_subprocess_exec(
                *(_WITH_LOG if with_log else ()),
                self.program(),
                "-C",
                str(self._directory),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._directory,
            )
            async with asyncio.timeout(_CHECK_S):
                code = await process.wait()
            output.seek(0)
            return code, output.read().decode(errors="replace")

    def _is_ours(self, process_id: int) -> bool:
        try:
            arguments = Path(f"/proc/{process_id}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        if b"-c" in arguments or b"-W" not in arguments or b"-C" not in arguments:
            return False
        return arguments[arguments.index(b"-C") + 1] == os.fsencode(self._directory)


async def wait_end(process_id: int) -> None:
    """Return once the process has ended; it need not be a child."""
    try:
        descriptor = os.pidfd_open(process_id)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
