"""The adapters the engine contract suite runs over, and what one must offer. Holds no test.

An EngineAdapter hides how an engine is made to do something (serve HTTP, exit, print...), so that every rule is
written once. To plug one in: subclass ShellAdapter (or EngineAdapter) and add a `pytest.param` to ADAPTERS, marked
with what it needs.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shlex
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_hex
from typing import Literal
from unittest.mock import patch

import pytest

from portway.core.app import App, PortSpec, Protocol, Resources
from portway.core.instance import EngineState, InstanceIdentity, ObservedInstance, instance_id
from portway.core.ports import LOOPBACK, Lease
from portway.core.state import Revision
from portway.engines.base import EngineTraits, InstanceEngine, LogLine, StartRequest
from portway.engines.docker.client import DockerClient
from portway.engines.docker.engine import DockerEngine
from portway.engines.docker.names import container_name
from portway.engines.memory import Fault, ImageBehaviour, MemoryEngine, MemoryWorld
from portway.engines.mixed import MixedEngine
from portway.engines.process import ProcessEngine
from tests.engines.docker.support import clear_home, quietly, shared_image, with_client

Kind = Literal["sleep", "http", "exit", "print", "stubborn", "greedy"]
# sleep     runs until it is signalled
# http      serves HTTP on its port
# exit      ends with `exit_code`
# print     prints `lines` on stdout, then `error_lines` on stderr, then ends with 0 (`runs_on`: goes on running)
# stubborn  ignores SIGTERM; prints "ready" once it does
# greedy    takes memory without end

DEADLINE_S = 20.0
RELEASE = "RAAAAAAAAAA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The details of a Kind."""

    exit_code: int = 0
    lines: tuple[str, ...] = ()
    error_lines: tuple[str, ...] = ()
    runs_on: bool = False
    resources: Resources = field(default_factory=Resources)


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Poll until `holds`; fail with `what` after the deadline."""
    ends = time.monotonic() + DEADLINE_S
    while not await holds():
        assert time.monotonic() < ends, f"never came true: {what}"
        await asyncio.sleep(0.02)


async def seen(engine: InstanceEngine, wanted_id: str) -> ObservedInstance | None:
    """The instance as the engine lists it; None when it does not."""
    found = [instance for instance in await engine.list() if instance.id == wanted_id]
    assert len(found) <= 1, f"{wanted_id} is listed {len(found)} times"
    return found[0] if found else None


async def ended(engine: InstanceEngine, wanted_id: str) -> ObservedInstance:
    """The instance once it has ended by itself."""

    async def has_ended() -> bool:
        instance = await seen(engine, wanted_id)
        assert instance is not None, f"{wanted_id} is not listed"
        return instance.state is EngineState.EXITED

    await until(has_ended, f"{wanted_id} ends")
    instance = await seen(engine, wanted_id)
    assert instance is not None
    return instance


async def printed(engine: InstanceEngine, wanted_id: str, text: str) -> None:
    """Return once the instance has printed that line."""

    async def has_printed() -> bool:
        return text in [line.text for line in await all_lines(engine, wanted_id)]

    await until(has_printed, f"{wanted_id} prints {text!r}")


async def all_lines(
    engine: InstanceEngine, wanted_id: str, *, follow: bool = False, tail: int | None = None
) -> list[LogLine]:
    """Every line `logs` gives until it ends."""
    return [line async for line in engine.logs(wanted_id, follow=follow, tail=tail)]


async def process_of(engine: InstanceEngine, wanted_id: str) -> int:
    """The pid of the instance's command, once it is known."""

    async def is_known() -> bool:
        instance = await seen(engine, wanted_id)
        return instance is not None and "pid" in instance.details

    await until(is_known, f"{wanted_id} has a pid")
    instance = await seen(engine, wanted_id)
    assert instance is not None
    return int(instance.details["pid"])


def free_host_port() -> int:
    """A TCP port nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class EngineAdapter(ABC):
    """One engine under test. Home 0 is the portway under test, home 1 another one on the same machine."""

    answers = True  # its instances really listen on their ports
    node = "local"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.serial = 0

    @property
    def enforces_memory(self) -> bool:
        """Whether a memory limit holds here."""
        return False

    @abstractmethod
    async def engine(self, *, home: int = 0) -> InstanceEngine:
        """One more opened engine on that home, as a new controller would make it."""

    @abstractmethod
    def app(self, kind: Kind, wanted: Wanted) -> App:
        """An App "contract/KIND" that does what `kind` says. A "http" one has exactly one port, named "web"."""

    @abstractmethod
    def command(self, app: App, leases: tuple[Lease, ...]) -> tuple[str, ...] | None:
        """StartRequest.command of that App with these leases."""

    @abstractmethod
    def taken(self, request: StartRequest) -> AbstractContextManager[None]:
        """Somebody else has the host port of the request's first lease."""

    @abstractmethod
    def broken_listing(self, engine: InstanceEngine) -> AbstractContextManager[None]:
        """The engine cannot see its instances."""

    @abstractmethod
    async def die(self, engine: InstanceEngine, wanted_id: str) -> None:
        """Kill a running instance behind the engine's back (as SIGKILL does)."""

    @abstractmethod
    async def cleanup(self) -> None:
        """Remove every instance of both homes, close every engine, delete everything else that was made."""

    def request(
        self, kind: Kind, *, environment: Mapping[str, str] | None = None, **wanted: object
    ) -> StartRequest:
        """What starts one instance that has not been before; `wanted` as in Wanted."""
        self.serial += 1
        app = self.app(kind, Wanted(**wanted))  # type: ignore[arg-type]
        leases = tuple(self.lease(spec) for spec in app.ports)
        identity = InstanceIdentity(
            id=instance_id(app.id, slot=1, serial=self.serial),
            app_id=app.id,
            slot=1,
            serial=self.serial,
            revision=f"{RELEASE}-1",
            release=RELEASE,
            node=self.node,
            leases=leases,
        )
        return StartRequest(
            identity=identity,
            revision=Revision(id=identity.revision, release=RELEASE, app=app),
            environment=dict(environment or {}),
            command=self.command(app, leases),
            command_text=None,
            aliases=(app.name,),
            directory=str(self.directory),
        )

    def lease(self, spec: PortSpec) -> Lease:
        """A free host port for a port of an App."""
        return Lease(
            port_name=spec.name,
            node=self.node,
            protocol=spec.protocol,
            host_port=free_host_port(),
            container_port=spec.container_port,
        )


class ShellAdapter(EngineAdapter):
    """An engine that really runs programs: everything but `http` is a line of POSIX shell."""

    def script(self, kind: Kind, wanted: Wanted) -> str:
        """What `sh -c` runs for that kind."""
        match kind:
            case "sleep":
                return "trap 'exit 0' TERM INT; while :; do sleep 0.1 & wait; done"
            case "exit":
                return f"exit {wanted.exit_code}"
            case "print":
                said = [f"echo {shlex.quote(line)}" for line in wanted.lines]
                said += [f"echo {shlex.quote(line)} >&2" for line in wanted.error_lines]
                if not wanted.runs_on:
                    return "; ".join([*said, ":"])
                trap, rest = self.script("sleep", wanted).split("; ", 1)
                return "; ".join([trap, *said, rest])
            case "stubborn":
                return "trap '' TERM INT; echo ready; while :; do sleep 0.2; done"
            case "greedy":
                return "x=portway; while :; do x=$x$x; done"
            case "http":
                raise AssertionError("each adapter has its own server")

    @contextmanager
    def taken(self, request: StartRequest) -> Iterator[None]:
        lease = request.identity.leases[0]
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stranger.bind((lease.address, lease.host_port))
            stranger.listen()
            yield


class MemoryAdapter(EngineAdapter):
    """The engine in memory: a kind is an image with a behaviour of its own."""

    answers = False

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.worlds = (MemoryWorld(), MemoryWorld())
        self.behaviours: dict[str, ImageBehaviour] = {}

    async def engine(self, *, home: int = 0) -> MemoryEngine:
        engine = MemoryEngine(world=self.worlds[home])
        await engine.open()
        return engine

    def app(self, kind: Kind, wanted: Wanted) -> App:
        behaviour = ImageBehaviour(
            exits_with=_exits_with(kind, wanted),
            lines=("ready",) if kind == "stubborn" else wanted.lines,
            error_lines=wanted.error_lines,
            ignores_signals=kind == "stubborn",
        )
        image = f"{kind}-{self.serial}"
        for world in self.worlds:
            world.behaviours[image] = behaviour
        return App(id=f"contract/{kind}", image=image, ports=_web() if kind == "http" else ())

    def command(self, app: App, leases: tuple[Lease, ...]) -> tuple[str, ...] | None:
        return None

    @contextmanager
    def taken(self, request: StartRequest) -> Iterator[None]:
        lease = request.identity.leases[0]
        stranger = MemoryEngine(world=self.worlds[0])
        stranger.steal_port(lease)
        yield
        stranger.give_back_port(lease)

    @contextmanager
    def broken_listing(self, engine: InstanceEngine) -> Iterator[None]:
        assert isinstance(engine, MemoryEngine)
        engine.inject(Fault(operation="list", times=0))
        yield
        engine.clear_faults()

    async def die(self, engine: InstanceEngine, wanted_id: str) -> None:
        assert isinstance(engine, MemoryEngine)
        engine.kill(wanted_id, exit_code=137)

    async def cleanup(self) -> None:
        pass


class ProcessAdapter(ShellAdapter):
    """Plain processes of this machine."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.engines: list[tuple[int, ProcessEngine]] = []
        self.home_ids = tuple(f"test-{os.getpid()}-{next(_HOMES)}-{home}" for home in range(2))

    @property
    def enforces_memory(self) -> bool:
        return memory_cgroups_are_writable()

    async def engine(self, *, home: int = 0) -> ProcessEngine:
        engine = ProcessEngine(self.directory / f"home-{home}", self.home_ids[home])
        await engine.open()
        self.engines.append((home, engine))
        return engine

    def app(self, kind: Kind, wanted: Wanted) -> App:
        if kind == "http":
            return App(id="contract/http", command=("serve",), ports=_web())
        command = ("sh", "-c", self.script(kind, wanted))
        return App(id=f"contract/{kind}", command=command, resources=wanted.resources)

    def command(self, app: App, leases: tuple[Lease, ...]) -> tuple[str, ...] | None:
        if app.command != ("serve",):
            return app.command
        where = (str(leases[0].host_port), "--bind", LOOPBACK)
        return (sys.executable, "-m", "http.server", *where)

    @contextmanager
    def broken_listing(self, engine: InstanceEngine) -> Iterator[None]:
        instances, hidden = (self.directory / "home-0" / name for name in ("instances", "hidden"))
        instances.rename(hidden)
        yield
        hidden.rename(instances)

    async def die(self, engine: InstanceEngine, wanted_id: str) -> None:
        os.kill(await process_of(engine, wanted_id), signal.SIGKILL)

    async def cleanup(self) -> None:
        for home in range(2):
            cleaner = await self.engine(home=home)
            for instance in await cleaner.list():
                await cleaner.remove(instance.id)
        for _, engine in self.engines:
            await engine.close()


_HOMES = itertools.count(1)


class OfProcesses(MixedEngine):
    """A mixed engine that runs processes alone."""

    @property
    def traits(self) -> EngineTraits:
        return replace(super().traits, runs_groups=False)


class MixedProcessAdapter(ProcessAdapter):
    """Processes beside containers, of which there are none. With containers: tests/engines/test_mixed.py."""

    async def engine(self, *, home: int = 0) -> InstanceEngine:
        processes = await super().engine(home=home)
        engine = OfProcesses(MemoryEngine(world=MemoryWorld()), processes)
        await engine.open()
        return engine


class DockerAdapter(ShellAdapter):
    """Containers of the Docker daemon, all of one small image."""

    enforces_memory = True

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.engines: list[DockerEngine] = []
        self.home_ids = tuple(f"contract{token_hex(4)}" for _ in range(2))

    async def engine(self, *, home: int = 0) -> DockerEngine:
        engine = DockerEngine(self.home_ids[home])
        await engine.open()
        self.engines.append(engine)
        return engine

    def app(self, kind: Kind, wanted: Wanted) -> App:
        image = shared_image()
        if kind == "http":  # what the image does by itself
            return App(id="contract/http", image=image, ports=_web(80))
        command = ("sh", "-c", self.script(kind, wanted))
        return App(id=f"contract/{kind}", image=image, command=command, resources=wanted.resources)

    def command(self, app: App, leases: tuple[Lease, ...]) -> tuple[str, ...] | None:
        return app.command

    @contextmanager
    def broken_listing(self, engine: InstanceEngine) -> Iterator[None]:
        with patch.object(engine, "_client", DockerClient(f"{self.directory}/nobody.sock")):
            yield

    async def die(self, engine: InstanceEngine, wanted_id: str) -> None:
        path = f"containers/{container_name(self.home_ids[0], wanted_id)}/kill"
        await with_client(lambda client: quietly(client, "POST", path, {"signal": "SIGKILL"}))

    async def cleanup(self) -> None:
        for engine in self.engines:
            await engine.close()
        for home_id in self.home_ids:
            await clear_home(home_id)


def memory_cgroups_are_writable() -> bool:
    """Whether this machine lets us limit the memory of a process."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        controllers = (root / "cgroup.controllers").read_text().split()
        return "memory" in controllers and os.access(root / "cgroup.subtree_control", os.W_OK)
    return os.access(root / "memory", os.W_OK) and (root / "memory/cgroup.procs").exists()


def _exits_with(kind: Kind, wanted: Wanted) -> int | None:
    if kind == "exit":
        return wanted.exit_code
    return 0 if kind == "print" and not wanted.runs_on else None


def _web(container_port: int = 8000) -> tuple[PortSpec, ...]:
    return (PortSpec(name="web", container_port=container_port, protocol=Protocol.TCP),)


ADAPTERS = [
    pytest.param(MemoryAdapter, id="memory"),
    pytest.param(ProcessAdapter, id="process"),
    pytest.param(MixedProcessAdapter, id="mixed"),
    pytest.param(DockerAdapter, id="docker", marks=pytest.mark.docker),
]
