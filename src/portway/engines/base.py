"""InstanceEngine: the protocol of everything that runs instances. One contract suite checks every adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from portway.core.app import App, Build
from portway.core.errors import EngineError
from portway.core.instance import InstanceIdentity, ObservedInstance
from portway.core.state import Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTraits:
    """What an engine can do; the planner and the operations read it, nobody asks for a class."""

    name: str
    runs_images: bool  # needs `image` (or `build`) in the App
    runs_commands: bool  # runs a bare `command`
    resolves_names: bool  # instances of a stack find each other by App name and container_port
    reaches_containers: bool  # endpoints are (instance address, container_port)
    uses_host_kernel: bool  # leases are ports of this machine: look at the kernel, bind test
    runs_both: bool = False  # containers, and Marathon's bare commands as processes of this machine
    runs_groups: bool = True  # an instance may be several containers, and have a network mode other than its stack's


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine that instances run on. `address` is where its host ports answer ($HOST).

    `cpu_units` are 1/1024 of a processor; 0 of them or of `memory_bytes` = not known.
    """

    name: str
    address: str
    available: bool = True
    cpu_units: int = 0
    memory_bytes: int = 0
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """Everything needed to run one instance. `environment` is complete (App, stack, ports, links).

    So are those of the App's containers. `command` has its $PORT... expanded, as theirs have. `aliases` are the
    names the stack's other instances use.
    `directory` is where relative host paths begin.
    """

    identity: InstanceIdentity
    revision: Revision
    environment: Mapping[str, str]
    command: tuple[str, ...] | None
    command_text: str | None
    aliases: tuple[str, ...] = ()
    directory: str = ""
    hosts: tuple[tuple[str, str], ...] = ()  # extra name -> address


class Stream(StrEnum):
    """Which of an instance's outputs a line came from."""

    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of output, without its newline; undecodable bytes are replaced. `container`: of several, which one."""

    at_ms: int
    stream: Stream
    text: str
    container: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a command run inside an instance ended; `output` is its last 64 KiB, both streams."""

    exit_code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step of a build or pull, for people. `image` is set on the last one: the immutable image id."""

    text: str
    image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a running instance uses of its machine, its containers together.

    `cpu_us`: processor time since it began, which only grows; `memory_bytes`: now, without what could be given back.
    """

    cpu_us: int
    memory_bytes: int

    def plus(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            cpu_us=self.cpu_us + other.cpu_us, memory_bytes=self.memory_bytes + other.memory_bytes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChange:
    """A hint that an instance changed; `instance_id` "" = look at everything (stream was cut)."""

    instance_id: str = ""


class PartlySeenError(EngineError):
    """A listing of which one part could not be made: `seen` is the other. The instances of Apps it `hides` are unknown."""

    def __init__(
        self,
        cause: EngineError,
        *,
        seen: tuple[ObservedInstance, ...],
        hides: Callable[[App], bool],
    ) -> None:
        super().__init__(cause.message, hint=cause.hint, retryable=cause.retryable, kind=cause.kind)
        self.seen = seen
        self.hides = hides


class ExecSession(Protocol):
    """A command running inside an instance, its input and output open."""

    async def write(self, data: bytes) -> None:
        """Send bytes to its standard input."""
        ...

    async def close_input(self) -> None:
        """End its standard input."""
        ...

    def output(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """Its output as it comes; ends when the command ends. With a tty all is STDOUT."""
        ...

    async def resize(self, *, rows: int, columns: int) -> None:
        """Tell its terminal a new size; nothing without a tty."""
        ...

    async def wait(self) -> int:
        """Its exit code."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRequest:
    """A command to run inside an instance: in its `container`, or in the first essential one."""

    argv: tuple[str, ...]
    tty: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    rows: int = 24
    columns: int = 80
    container: str = ""


class InstanceEngine(Protocol):
    """Runs instances. Every call is idempotent by instance id; every failure is an EngineError.

    A listing that cannot be made raises; it never returns less than there is. Where only a part of it cannot be
    made, it is a PartlySeenError.
    """

    @property
    def traits(self) -> EngineTraits: ...

    async def open(self) -> None:
        """Connect; EngineError(kind=UNAVAILABLE) with what to do when the engine does not answer."""
        ...

    async def close(self) -> None:
        """Let go of connections and tasks; what runs goes on running."""
        ...

    async def nodes(self) -> tuple[Node, ...]:
        """The machines instances can run on."""
        ...

    async def start(self, request: StartRequest) -> None:
        """Create and start one instance. Already running (or already exited): nothing happens.

        Of several containers it may return before all are started, where one waits for another: ask again.

        EngineError kinds: PORT_TAKEN (a lease's host port is in use), IMAGE_MISSING, BAD_COMMAND.
        """
        ...

    async def stop(self, instance_id: str, *, signal: str, grace_s: float) -> None:
        """Signal, wait up to `grace_s`, kill. Returns once it has ended. Unknown or ended: nothing."""
        ...

    async def remove(self, instance_id: str) -> None:
        """Forget an ended instance and delete what it left; kills it when it still runs. Unknown: nothing."""
        ...

    async def list(self) -> tuple[ObservedInstance, ...]:
        """Every instance of this portway, running or ended, from the engine's own records, its containers together."""
        ...

    async def usage(self, instance_ids: Collection[str]) -> Mapping[str, Usage]:
        """What these instances use; those that do not run, or of which it cannot be told, are left out."""
        ...

    def changes(self) -> AsyncIterator[EngineChange]:
        """Hints as they happen, for ever; reconnects by itself and then yields EngineChange()."""
        ...

    def logs(
        self, instance_id: str, *, follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        """Lines in order; `tail` = only the last n of those already written; `follow` goes on until it ends."""
        ...

    def exec(
        self, instance_id: str, request: ExecRequest
    ) -> AbstractAsyncContextManager[ExecSession]:
        """Run a command inside a running instance; EngineError(kind=NOT_FOUND | BAD_COMMAND)."""
        ...

    async def run_check(
        self, instance_id: str, argv: Sequence[str], *, timeout_s: float
    ) -> CommandResult:
        """Run a health command inside the instance. argv ("CMD-SHELL", text) goes through sh -c. TimeoutError when late."""
        ...

    async def resolve_image(self, image: str) -> str:
        """The immutable id of a local image; EngineError(kind=IMAGE_MISSING) when absent."""
        ...

    def pull(self, image: str) -> AsyncIterator[Progress]:
        """Fetch an image; the last Progress carries its id. EngineError(kind=IMAGE_MISSING)."""
        ...

    def build(
        self, build: Build, *, tag: str, context: AsyncIterator[bytes]
    ) -> AsyncIterator[Progress]:
        """Build an image from a tar stream; the last Progress carries its id. EngineError(kind=BUILD_FAILED)."""
        ...

    async def exposed_ports(self, image: str) -> tuple[int, ...]:
        """TCP ports the image declares (EXPOSE); () when unknown."""
        ...

    async def remove_stack(self, stack: str) -> None:
        """Delete what belongs to a stack and to no instance: its networks. Named volumes stay."""
        ...
