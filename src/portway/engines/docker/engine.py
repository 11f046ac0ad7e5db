"""InstanceEngine over the Docker daemon: an instance is a container or several, a stack has a network of its own.

Keeps nothing that is not in Docker: names are deterministic and identities are labels, so that any call may be
repeated, and another DockerEngine with the same home goes on where this one stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import msgspec
import structlog

from portway.core.app import Build
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.instance import ObservedInstance
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
    Usage,
)
from portway.engines.docker import changes, exec, images
from portway.engines.docker.api import Container, ContainerSummary
from portway.engines.docker.client import QUICK_S, SLOW_S, DockerClient
from portway.engines.docker.command import (
    LABEL_HOME,
    LABEL_OWN_VOLUMES,
    ContainerSpec,
    Settings,
)
from portway.engines.docker.containers import Containers
from portway.engines.docker.errors import DockerRefusal, explain, explain_start
from portway.engines.docker.group import instance_specs
from portway.engines.docker.groups import CREATED, Groups
from portway.engines.docker.logs import read_logs
from portway.engines.docker.names import container_name
from portway.engines.docker.networks import Networks
from portway.engines.docker.observe import (
    Seen,
    final_key,
    identity_of,
    is_instance,
    notes_in,
    observed,
)
from portway.engines.docker.usage import usage_of

NODE = "local"
# More do not start faster on two cores, and delay every other answer. Docker 20.10 locks up for good
# where many containers end at once, each taking its network apart.
AT_ONCE = 4

log = structlog.get_logger(__name__)


class DockerEngine:
    """Runs instances as containers of one Docker daemon."""

    def __init__(
        self,
        home_id: str,
        *,
        docker_host: str = "",
        publish_address: str = "127.0.0.1",
        node_address: str = "127.0.0.1",
        at_once: int = AT_ONCE,
    ) -> None:
        self._home_id = home_id
        self._node_address = node_address
        self._node = Node(name=NODE, address=node_address)
        self._settings = Settings(home_id=home_id, publish_address=publish_address)
        self._client = DockerClient(docker_host)
        self._networks = Networks(self._client, home_id=home_id)
        self._starting = asyncio.Semaphore(at_once)
        self._containers = Containers(self._client, self._networks, at_once=at_once)
        self._begun: set[str] = set()  # the containers being started at this moment, by name
        self._groups = Groups(
            self._client,
            self._containers,
            home_id=home_id,
            turns=self._starting,
            begun=self._begun,
        )
        self._inspected: dict[tuple[str, str, str], Container] = {}

    @property
    def traits(self) -> EngineTraits:
        return EngineTraits(
            name="docker",
            runs_images=True,
            runs_commands=False,
            resolves_names=True,
            reaches_containers=True,
            uses_host_kernel=True,
        )

    async def open(self) -> None:
        """Connect to the daemon; EngineError(kind=UNAVAILABLE) with what to do when it does not answer."""
        with _explained("Docker could not be asked what it is"):
            await self._client.open()
            info = await self._client.info()
        driver = info.logging_driver
        self._node = Node(
            name=NODE,
            address=self._node_address,
            cpu_units=CPU_UNITS * info.processors,
            memory_bytes=info.memory_bytes,
        )
        # Another driver was somebody's choice for this machine; json-file by default never rotates.
        self._settings = Settings(
            home_id=self._home_id,
            publish_address=self._settings.publish_address,
            rotates_logs=driver == "json-file",
        )

    async def close(self) -> None:
        """Let go of the connections; the containers go on running."""
        await self._client.close()

    async def nodes(self) -> tuple[Node, ...]:
        """This machine."""
        return (self._node,)

    async def start(self, request: StartRequest) -> None:
        """Create and start the instance's containers, or go on where an earlier call stopped."""
        if request.revision.app.image is None:
            raise _no_image(request)
        specs = instance_specs(request, self._settings)
        if request.revision.app.containers:
            with _explained(f"{request.identity.id} could not be started"):
                await self._groups.start(request, specs)
        else:
            async with self._starting:
                try:
                    await self._start(specs[0], stack=request.revision.app.stack)
                except DockerRefusal as refusal:
                    raise explain_start(refusal, request) from refusal
        log.info("container_started", instance=request.identity.id, container=specs[0].name)

    async def stop(self, instance_id: str, *, signal: str, grace_s: float) -> None:
        """Signal, wait up to `grace_s`, kill; returns once it has ended. Of several containers each has its own."""
        name = container_name(self._home_id, instance_id)
        with _explained(f"{instance_id} could not be stopped"):
            notes = await self._groups.notes(instance_id)
            if notes:
                has_ended = await self._groups.stop(instance_id, notes, signal=signal)
            else:
                container = await self._containers.stop(name, signal=signal, grace_s=grace_s)
                has_ended = container is None or container.state.status not in ("running", "paused")
        if not has_ended:
            raise _immortal(instance_id, name)

    async def remove(self, instance_id: str) -> None:
        """Delete its containers and their anonymous volumes, killing what still runs."""
        with _explained(f"{instance_id} could not be removed"):
            notes = await self._groups.notes(instance_id)
            if notes:
                await self._groups.remove(instance_id, notes)
            else:
                await self._remove_only(instance_id)

    async def _remove_only(self, instance_id: str) -> None:
        name = container_name(self._home_id, instance_id)
        found = await self._containers.inspect(name)
        await self._containers.remove(name)
        if found is not None and LABEL_OWN_VOLUMES in (found.config.labels or {}):
            await self._groups.remove_volumes(instance_id)

    async def list(self) -> tuple[ObservedInstance, ...]:
        """Every instance of this home, from the daemon's own records."""
        with _explained("The containers could not be listed"):
            summaries = await self._summaries()
            inspections = [await self._inspected_once(summary) for summary in summaries]
        # What is final about a container is asked for once; forget those that are gone.
        keys = {final_key(summary) for summary in summaries}
        self._inspected = {key: c for key, c in self._inspected.items() if key in keys}
        together: dict[str, list[Seen]] = {}
        for summary, inspected in zip(summaries, inspections, strict=True):
            if inspected is not None:
                seen = Seen(summary=summary, inspected=inspected)
                together.setdefault(identity_of(summary).id, []).append(seen)
        self._groups.learn({key: notes_in(seen[0].summary) for key, seen in together.items()})
        return tuple(
            observed(seen, home_id=self._home_id, node_address=self._node_address)
            for seen in together.values()
        )

    async def usage(self, instance_ids: Collection[str]) -> Mapping[str, Usage]:
        """Processor time and memory of their containers."""
        found: dict[str, Usage] = {}
        with _explained("What the containers use could not be read"):
            for summary in await self._summaries():
                instance_id = identity_of(summary).id
                if instance_id in instance_ids and (one := await self._usage_of(summary)):
                    before = found.get(instance_id)
                    found[instance_id] = one if before is None else before.plus(one)
        return found

    def changes(self) -> AsyncIterator[EngineChange]:
        """Hints from the daemon's events; after every (re)connection an EngineChange()."""
        return changes.read_changes(self._client, home_id=self._home_id)

    async def logs(
        self, instance_id: str, *, follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        """Lines in order, both streams; of several containers, theirs together."""
        name = container_name(self._home_id, instance_id)

        async def is_running() -> bool:
            found = await self._containers.inspect(name)
            return found is not None and found.state.status not in ("exited", "dead", "removing")

        with _explained(f"The logs of {instance_id} could not be read"):
            if notes := await self._groups.notes(instance_id):
                async for line in self._groups.logs(instance_id, notes, follow=follow, tail=tail):
                    yield line
                return
            container = await self._containers.inspect(name)
            if container is None:
                raise _unknown(instance_id)
            async for line in read_logs(
                self._client,
                container.id,
                tty=container.config.tty,
                follow=follow,
                tail=tail,
                is_running=is_running,
            ):
                yield line

    @asynccontextmanager
    async def exec(self, instance_id: str, request: ExecRequest) -> AsyncGenerator[ExecSession]:
        """Run a command inside a running instance."""
        with _explained(f"{instance_id} could not be looked into"):
            name = await self._groups.chosen(instance_id, request.container)
        async with exec.open_exec(self._client, name, request, name=instance_id) as session:
            yield session

    async def run_check(
        self, instance_id: str, argv: Sequence[str], *, timeout_s: float
    ) -> CommandResult:
        """Run a health command inside the instance: in the container that the App's own fields describe."""
        with _explained(f"{instance_id} could not be looked into"):
            name = await self._groups.checked(instance_id)
        return await exec.run_check(self._client, name, argv, timeout_s=timeout_s, name=instance_id)

    async def resolve_image(self, image: str) -> str:
        """The image's sha256 id."""
        return (await images.inspect_image(self._client, image)).id

    def pull(self, image: str) -> AsyncIterator[Progress]:
        """Fetch an image from its registry."""
        return images.pull(self._client, image)

    def build(
        self, build: Build, *, tag: str, context: AsyncIterator[bytes]
    ) -> AsyncIterator[Progress]:
        """Build an image from a tar stream."""
        return images.build(self._client, build, tag=tag, context=context)

    async def exposed_ports(self, image: str) -> tuple[int, ...]:
        """TCP ports the image declares."""
        return await images.exposed_ports(self._client, image)

    async def remove_stack(self, stack: str) -> None:
        """Remove the stack's networks."""
        with _explained(f"The networks of {stack} could not be removed"):
            await self._networks.remove_stack(stack)

    async def _start(self, spec: ContainerSpec, *, stack: str) -> None:
        self._begun.add(spec.name)
        try:
            await self._containers.run(spec, stack=stack)
        finally:
            self._begun.discard(spec.name)

    async def _summaries(self) -> tuple[ContainerSummary, ...]:
        filters = {"label": [f"{LABEL_HOME}={self._home_id}"]}
        params = {"all": "1", "filters": msgspec.json.encode(filters).decode()}
        answer = await self._client.call(
            "GET", "containers/json", params=params, timeout_s=2 * QUICK_S
        )
        summaries = msgspec.json.decode(answer, type=tuple[ContainerSummary, ...])
        return tuple(s for s in summaries if is_instance(s, home_id=self._home_id))

    async def _usage_of(self, summary: ContainerSummary) -> Usage | None:
        inspected = await self._inspected_once(summary)
        if summary.state != "running" or inspected is None or not inspected.state.pid:
            return None
        return await usage_of(self._client, summary.id, inspected.state.pid)

    async def _inspected_once(self, summary: ContainerSummary) -> Container | None:
        # To inspect one that is just being started waits until it has, and the whole listing with it.
        if summary.state == "created" and any(n[1:] in self._begun for n in summary.names):
            return CREATED if notes_in(summary) else None
        key = final_key(summary)
        if key not in self._inspected or summary.state == "created":
            container = await self._containers.inspect(summary.id)
            if container is None:
                return None  # removed since it was listed
            self._inspected[key] = container
        return self._inspected[key]


@contextmanager
def _explained(doing: str) -> Generator[None]:
    try:
        yield
    except DockerRefusal as refusal:
        raise explain(refusal, doing=doing) from refusal


def _no_image(request: StartRequest) -> EngineError:
    return EngineError(
        f"{request.identity.id} could not be started: {request.identity.app_id} names no image, "
        "and Docker runs nothing else.",
        hint="Add `image:` or `build:` to it, or run its command without containers: `--engine process`.",
        kind=EngineErrorKind.IMAGE_MISSING,
        retryable=False,
    )


def _unknown(instance_id: str) -> EngineError:
    return EngineError(
        f"There is no instance {instance_id} in Docker.",
        hint="`portway ps` shows what runs.",
        kind=EngineErrorKind.NOT_FOUND,
        retryable=False,
    )


def _immortal(instance_id: str, name: str) -> EngineError:
    return EngineError(
        f"{instance_id} still runs {SLOW_S:g} s after it was killed.",
        hint=f"A process that waits for a disk or a network file system cannot be killed; "
        f"see `docker top {name}` and `dmesg`.",
    )
