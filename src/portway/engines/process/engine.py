"""ProcessEngine: the InstanceEngine protocol over plain processes of this machine. Must never end what it runs by itself.

Every instance has a supervisor (supervisor.py) and a directory (record.py); both outlive this engine, and the next one
adopts them. This file only decides what to do with them.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from portway.core.app import Build
from portway.core.errors import EngineError
from portway.core.instance import EngineState, ObservedInstance
from portway.core.placement import CPU_UNITS
from portway.engines.base import (
    CommandResult,
    EngineChange,
    EngineTraits,
    ExecRequest,
    ExecSession,
    LogLine,
    Node,
    Progress,
    StartRequest,
    Stream,
    Usage,
)
from portway.engines.changes import ChangeFeed
from portway.engines.process import kernel
from portway.engines.process.care import Care
from portway.engines.process.cgroups import Cgroups
from portway.engines.process.command import (
    DEFAULT_PATH,
    SHELL,
    check_ports_free,
    find_program,
    prepare_launch,
)
from portway.engines.process.errors import (
    exec_failed,
    no_images,
    not_running,
    start_failed,
    unknown,
    unusable,
)
from portway.engines.process.followers import Followers
from portway.engines.process.handle import InstanceHandle
from portway.engines.process.logs import LogFiles, StreamReader, merge_streams
from portway.engines.process.record import (
    ProcessRecord,
    RecordDirectory,
    directory_name,
    instance_of,
)
from portway.engines.process.session import SessionCommand, gather, open_check, open_session
from portway.engines.process.supervisor import Tools, find_tools, spawn_supervisor
from portway.engines.process.usage import usage_of_all

TRAITS = EngineTraits(
    name="process",
    runs_images=False,
    runs_commands=True,
    resolves_names=False,
    reaches_containers=False,
    uses_host_kernel=True,
    runs_groups=False,
)
NODE_NAME = "local"
LOG_SIZE_MAX_BYTES = 20 * 1024 * 1024
FOLLOW_S = 0.05
LAST_WORDS_S = 1.0
FORKED_S = 1.0
KILL_WAIT_S = 10.0  # after SIGKILL only a hung device keeps a process
LINES_AT_ONCE = 500
DISCARDED = ".removed-"


def unix_ms() -> int:
    """Now."""
    return time.time_ns() // 1_000_000


class ProcessEngine:
    """Runs commands as processes; `home` keeps their records and logs, `home_id` marks them as this portway's."""

    def __init__(
        self,
        home: Path,
        home_id: str,
        *,
        node_address: str = "127.0.0.1",
        clock: Callable[[], int] = unix_ms,
        log_size_max_bytes: int = LOG_SIZE_MAX_BYTES,
        cgroups: Cgroups | None = None,
    ) -> None:
        self._instances = home / "instances"
        self._home_id = home_id
        self._address = node_address
        self._clock = clock
        self._log_size_max_bytes = log_size_max_bytes
        self._cgroups = cgroups or Cgroups(home_id)
        self._boot_id = kernel.boot_id()
        self._feed = ChangeFeed()
        self._followers = Followers()
        self._handles: dict[str, InstanceHandle] = {}
        self._care = Care(self._handles, clock)
        self._tools: Tools | None = None

    @property
    def traits(self) -> EngineTraits:
        return TRAITS

    async def open(self) -> None:
        """Adopt what the engine before this one left running."""
        self._tools = find_tools()
        try:
            self._instances.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
        except OSError as error:
            raise unusable(self._instances, error) from error
        self._adopt()
        self._care.begin()

    async def close(self) -> None:
        """Let go; everything goes on running."""
        self._care.end()
        for handle in self._handles.values():
            handle.close()
        self._handles.clear()

    def holds(self, instance_id: str) -> bool:
        """Whether there is a record of the instance; EngineError when it cannot be read."""
        return self._find(instance_id) is not None

    async def nodes(self) -> tuple[Node, ...]:
        """This machine."""
        memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        units = CPU_UNITS * (os.cpu_count() or 0)
        return (
            Node(name=NODE_NAME, address=self._address, cpu_units=units, memory_bytes=memory_bytes),
        )

    async def start(self, request: StartRequest) -> None:
        """Write the record, then hand it to a supervisor; see InstanceEngine.start."""
        handle = self._find(request.identity.id)
        if handle is not None and handle.refresh() is not EngineState.CREATED:
            return
        launch = prepare_launch(request, self._home_id)
        check_ports_free(request.identity.leases)
        resources = request.revision.app.resources
        placement = self._cgroups.place(directory_name(request.identity.id), resources)
        record = ProcessRecord(
            home_id=self._home_id,
            boot_id=self._boot_id,
            identity=request.identity,
            argv=launch.argv,
            directory=launch.directory,
            environment=launch.environment,
            account=launch.account,
            cgroups=placement.directories,
            oom_file=placement.oom_file,
            memory_bytes=resources.memory_bytes,
            warnings=(*launch.warnings, *placement.warnings),
            recorded_at_ms=self._clock(),
        )
        try:
            self._launch(record)
        except EngineError:
            self._cgroups.remove(placement.directories)
            raise
        except (OSError, ValueError) as error:
            self._cgroups.remove(placement.directories)
            raise start_failed(request.identity.id, self._instances, error) from error
        await asyncio.sleep(0)  # many starts in a row leave the others a turn
        # Whoever lists it next sees its pid; nothing would tell them of it later.
        if (started := self._find(request.identity.id)) is not None:
            await started.wait_child(FORKED_S)

    async def stop(self, instance_id: str, *, signal: str, grace_s: float) -> None:
        """Signal its whole process group, wait, kill; see InstanceEngine.stop."""
        number = kernel.parse_signal(signal)
        if number is None:
            raise EngineError(
                f"{instance_id} cannot be stopped with {signal}: there is no such signal.",
                hint="Correct `stop_signal:`, for instance SIGTERM or SIGINT.",
                retryable=False,
            )
        handle = self._find(instance_id)
        if handle is None or handle.refresh() is not EngineState.RUNNING:
            return
        ends = asyncio.get_running_loop().time() + grace_s
        child = await handle.wait_child(grace_s)
        if child is not None and number not in handle.signalled:
            handle.signalled.add(number)
            kernel.signal_group(child, number)
        if await handle.wait_ended(grace_s) and child is not None:
            # a shell dies of the signal at once; what it started may still be finishing its work
            await kernel.wait_group_ended(child.pid, ends - asyncio.get_running_loop().time())
        await self._kill(handle)

    async def remove(self, instance_id: str) -> None:
        """Kill what is left of it, delete its directory and control groups."""
        handle = self._find(instance_id)
        if handle is None:
            return
        await self._kill(handle)
        await self._followers.finish(instance_id, within_s=LAST_WORDS_S)
        for _ in range(100):
            if self._cgroups.remove(handle.record.cgroups):
                break
            await asyncio.sleep(
                0.01
            )  # a group stays in use a moment after its last process has gone
        handle.close()
        self._handles.pop(handle.directory.path.name, None)
        self._discard(handle.directory.path)
        self._feed.publish(instance_id)

    async def list(self) -> tuple[ObservedInstance, ...]:
        """Every instance with a record, looked at anew."""
        return tuple(handle.observed(self._address) for handle in self._adopt())

    async def usage(self, instance_ids: Iterable[str]) -> Mapping[str, Usage]:
        """Processor time and memory of their processes."""
        return usage_of_all(filter(None, map(self._find, instance_ids)), self._cgroups)

    def changes(self) -> AsyncIterator[EngineChange]:
        """Hints from this call on."""
        return self._feed.listen()

    async def logs(
        self, instance_id: str, *, follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        """Its lines, both streams merged by time; see logs.py for what `at_ms` means."""
        handle = self._known(instance_id)
        files = [LogFiles(directory=handle.directory.path, stream=stream) for stream in Stream]
        readers = tuple(StreamReader(each) for each in files)
        over = handle.refresh() is not EngineState.RUNNING
        with self._followers.reading(instance_id):
            for line in _first_lines(readers, tail=tail, final=over or not follow):
                yield line
            while follow and not over:
                await asyncio.sleep(FOLLOW_S)
                over = handle.refresh() is not EngineState.RUNNING
                for count, line in enumerate(merge_streams(readers, final=over)):
                    yield line
                    if count % LINES_AT_ONCE == LINES_AT_ONCE - 1:
                        await asyncio.sleep(0)

    @asynccontextmanager
    async def exec(self, instance_id: str, request: ExecRequest) -> AsyncGenerator[ExecSession]:
        """Run a command beside a running instance, with its environment and limits."""
        handle = self._running(instance_id)
        environment = {**handle.record.environment, **request.environment}
        if request.tty:
            environment.setdefault("TERM", "xterm")
        command = self._beside(handle, request.argv, environment)
        rows = request.rows if request.tty else 0
        try:
            session = open_session(command, rows=rows, columns=request.columns)
        except OSError as error:
            raise exec_failed(instance_id, request.argv, error) from error
        self._cgroups.join(handle.record.cgroups, session.pid)
        try:
            yield session
        finally:
            await session.end(leftovers=False)

    async def run_check(
        self, instance_id: str, argv: Sequence[str], *, timeout_s: float
    ) -> CommandResult:
        """Run a health command beside the instance; everything it started is killed when it ends or is late."""
        handle = self._running(instance_id)
        match tuple(argv):
            case ("CMD-SHELL", text, *_):
                argv = (SHELL, "-c", text)
            case ("CMD", *words):
                argv = words
            case _:
                pass
        command = self._beside(handle, argv, handle.record.environment)
        try:
            session = open_check(command)
        except OSError as error:
            raise exec_failed(instance_id, argv, error) from error
        self._cgroups.join(handle.record.cgroups, session.pid)
        try:
            async with asyncio.timeout(timeout_s):
                return await gather(session)
        finally:
            await session.end(leftovers=True)

    async def resolve_image(self, image: str) -> str:
        """Refused: there are no images here."""
        raise no_images(f"use the image {image}")

    async def pull(self, image: str) -> AsyncIterator[Progress]:
        """Refused: there are no images here."""
        raise no_images(f"pull {image}")
        yield

    async def build(
        self, build: Build, *, tag: str, context: AsyncIterator[bytes]
    ) -> AsyncIterator[Progress]:
        """Refused: there are no images here."""
        raise no_images(f"build {tag} from {build.context}")
        yield

    async def exposed_ports(self, image: str) -> tuple[int, ...]:
        """Unknown: there are no images here."""
        return ()

    async def remove_stack(self, stack: str) -> None:
        """A stack of processes has nothing of its own."""

    def _sweep(self) -> None:
        """Delete what a removal or a start that was cut short left behind."""
        for path in tuple(self._instances.iterdir()):
            if path.is_dir() and (
                path.name.startswith(DISCARDED) or self._is_debris(RecordDirectory(path))
            ):
                shutil.rmtree(path, ignore_errors=True)

    def _is_debris(self, directory: RecordDirectory) -> bool:
        """Nothing runs there and nobody can say what did: a start cut short, or a record lost with the power."""
        with suppress(ValueError):
            if directory.read() is not None:
                return False
        child = directory.child()
        return not directory.supervised() and (child is None or not kernel.alive(child))

    def _adopt(self) -> list[InstanceHandle]:
        """Every instance there is a record of, oldest first; EngineError when that cannot be known."""
        try:
            names = {entry.name for entry in os.scandir(self._instances) if entry.is_dir()}
        except OSError as error:
            raise unusable(self._instances, error) from error
        for name in self._handles.keys() - names:
            self._handles.pop(name).close()
        for name in sorted(names - self._handles.keys()):
            if not name.startswith("."):
                self._find(instance_of(name))
        return list(self._handles.values())

    def _find(self, instance_id: str) -> InstanceHandle | None:
        """The instance, adopted if it was not yet; None when there is no record of it."""
        name = directory_name(instance_id)
        handle = self._handles.get(name)
        if handle is not None:
            return handle
        directory = RecordDirectory(self._instances / name)
        try:
            record = directory.read()
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) and self._is_debris(directory):
                return None
            raise EngineError(
                f"The record of {instance_id} in {directory.path} cannot be read: {error}",
                hint="Mend or remove that directory; until then nothing is decided about what runs.",
            ) from error
        if record is None or record.home_id != self._home_id:
            return None
        handle = self._hold(directory, record)
        handle.watch(lambda: self._feed.publish(instance_id))
        return handle

    def _hold(self, directory: RecordDirectory, record: ProcessRecord) -> InstanceHandle:
        handle = InstanceHandle(
            directory,
            record,
            boot_id=self._boot_id,
            log_size_max_bytes=self._log_size_max_bytes,
        )
        self._handles[directory.path.name] = handle
        return handle

    def _launch(self, record: ProcessRecord) -> None:
        """Record, lock, supervisor: in this order, so that a crash after any of them leads to one copy or none."""
        assert self._tools is not None, "open() first"
        instance_id = record.identity.id
        directory = RecordDirectory(self._instances / directory_name(instance_id))
        self._refuse_foreign(directory)
        directory.path.mkdir(mode=0o700, exist_ok=True)
        lock = directory.try_lock()
        if lock is None:
            return  # another portway of this home started it this moment
        try:
            directory.create(record)
            pid = spawn_supervisor(self._tools, directory, record, lock)
        except BaseException:
            self._discard(directory.path)
            raise
        finally:
            os.close(lock)
        handle = self._hold(directory, record)
        handle.watch_supervisor(pid, lambda: self._feed.publish(instance_id))

    def _refuse_foreign(self, directory: RecordDirectory) -> None:
        """Two portways that share one directory by mistake never overwrite each other's records."""
        with suppress(ValueError):
            record = directory.read()
            if record is not None and record.home_id != self._home_id:
                raise EngineError(
                    f"{directory.path} belongs to another portway ({record.home_id}).",
                    hint="Give each server a `--home` of its own.",
                    retryable=False,
                )

    async def _kill(self, handle: InstanceHandle) -> None:
        """End the instance and everything it left behind."""
        ends = asyncio.get_running_loop().time() + KILL_WAIT_S
        while True:
            running = handle.refresh() is EngineState.RUNNING
            child = await handle.wait_child(1.0) if running else None
            if child is not None:
                kernel.signal_group(child, signal.SIGKILL)
            left = self._survivors(handle)
            kernel.kill_all(left)
            if not running and not left:
                return
            if asyncio.get_running_loop().time() > ends:
                raise EngineError(
                    f"{handle.id} does not end, although it was killed (processes {left or child}).",
                    hint="It hangs in the kernel, often on a disk or network file system that does not answer.",
                )
            await (handle.wait_ended(0.2) if running else asyncio.sleep(0.005))

    def _survivors(self, handle: InstanceHandle) -> tuple[int, ...]:
        """What still runs of an instance besides its command: by control group, else by the marker it carries."""
        if handle.record.cgroups:
            return self._cgroups.members(handle.record.cgroups)
        child = handle.directory.child()
        if child is None or not kernel.group_exists(child.pid):
            return ()
        return tuple(kernel.marked(handle.id, self._home_id, but=handle.supervisor_pid))

    def _discard(self, path: Path) -> None:
        """Delete a directory as if at once: half a record would be read as damaged."""
        gone = path.with_name(DISCARDED + path.name)
        shutil.rmtree(gone, ignore_errors=True)
        with suppress(FileNotFoundError):
            path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _beside(
        self, handle: InstanceHandle, argv: Sequence[str], environment: Mapping[str, str]
    ) -> SessionCommand:
        """How to run another command where the instance runs."""
        assert self._tools is not None, "open() first"
        record = handle.record
        path = environment.get("PATH", DEFAULT_PATH)
        if not argv or find_program(argv[0], path, record.directory) is None:
            raise exec_failed(handle.id, argv, None)
        return SessionCommand(
            argv=argv,
            directory=record.directory,
            environment=environment,
            account=record.account,
            setsid=self._tools.setsid,
        )

    def _known(self, instance_id: str) -> InstanceHandle:
        handle = self._find(instance_id)
        if handle is None:
            raise unknown(instance_id)
        return handle

    def _running(self, instance_id: str) -> InstanceHandle:
        handle = self._known(instance_id)
        if handle.refresh() is not EngineState.RUNNING:
            raise not_running(instance_id)
        return handle


def _first_lines(
    readers: tuple[StreamReader, ...], *, tail: int | None, final: bool
) -> Iterable[LogLine]:
    """What is there already; with `tail` the last of it."""
    if tail is None:
        return merge_streams(readers, final=final)
    for reader in readers:
        reader.skip_to_last(tail)
    lines = list(merge_streams(readers, final=final))
    return lines[max(0, len(lines) - tail) :]
