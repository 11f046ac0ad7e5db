"""InstanceEngine over the Docker daemon: an instance is a container, a stack has a network of its own.

Keeps nothing that is not in Docker: names are deterministic and identities are labels, so that any call may be
repeated, and another DockerEngine with the same home goes on where this one stopped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress

import msgspec
import structlog

from portway.core.app import Build
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.instance import ObservedInstance
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
)
from portway.engines.docker import changes, exec, images
from portway.engines.docker.api import Container, ContainerSummary
from portway.engines.docker.client import QUICK_S, SLOW_S, DockerClient
from portway.engines.docker.command import (
    LABEL_HOME,
    LABEL_IDENTITY,
    ContainerSpec,
    Settings,
    connect_body,
    container_spec,
)
from portway.engines.docker.errors import DockerRefusal, explain, explain_start
from portway.engines.docker.logs import read_logs
from portway.engines.docker.names import container_name
from portway.engines.docker.networks import Networks
from portway.engines.docker.observe import final_key, is_instance, observed

NODE = "local"
# More do not start faster on two cores, and delay every other answer. Docker 20.10 locks up for good
# where many containers end at once, each taking its network apart.
AT_ONCE = 4
SOON_S = 0.3  # what takes longer to end when it is asked to holds up nobody else
KILLED_S = 5.0  # nor what takes longer when it is killed
_ATTEMPTS = 5
_NAME_PAUSE_MIN_S = 0.02
_NAME_PAUSE_MAX_S = 6.0

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
        self._settings = Settings(home_id=home_id, publish_address=publish_address)
        self._client = DockerClient(docker_host)
        self._networks = Networks(self._client, home_id=home_id)
        self._starting = asyncio.Semaphore(at_once)
        self._ending = asyncio.Semaphore(at_once)
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
            driver = (await self._client.info()).logging_driver
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
        return (Node(name=NODE, address=self._node_address),)

    async def start(self, request: StartRequest) -> None:
        """Create and start the instance's container, or go on where an earlier call stopped."""
        if request.revision.app.image is None:
            raise _no_image(request)
        spec = container_spec(request, self._settings)
        async with self._starting:
            try:
                await self._start(spec, stack=request.revision.app.stack)
            except DockerRefusal as refusal:
                raise explain_start(refusal, request) from refusal
        log.info("container_started", instance=request.identity.id, container=spec.name)

    async def stop(self, instance_id: str, *, signal: str, grace_s: float) -> None:
        """Signal, wait up to `grace_s`, kill; returns once it has ended."""
        name = container_name(self._home_id, instance_id)
        soon_s = min(grace_s, SOON_S)
        with _explained(f"{instance_id} could not be stopped"):
            ended = await self._told(name, signal, soon_s)
            ended = ended or await self._ended_within(name, grace_s - soon_s)
            if not ended and not await self._told(name, "SIGKILL", KILLED_S):
                await self._ended_within(name, SLOW_S)
            container = await self._inspect(name)
        if container is not None and container.state.status in ("running", "paused"):
            raise _immortal(instance_id, name)

    async def remove(self, instance_id: str) -> None:
        """Delete the container and its anonymous volumes, killing it when it still runs."""
        name = container_name(self._home_id, instance_id)
        with _explained(f"{instance_id} could not be removed"):
            async with self._ending:
                await self._remove(name)

    async def list(self) -> tuple[ObservedInstance, ...]:
        """Every instance of this home, from the daemon's own records."""
        with _explained("The containers could not be listed"):
            summaries = await self._summaries()
            inspections = [await self._inspected_once(summary) for summary in summaries]
        # What is final about a container is asked for once; forget those that are gone.
        keys = {final_key(summary) for summary in summaries}
        self._inspected = {key: c for key, c in self._inspected.items() if key in keys}
        return tuple(
            observed(summary, container, home_id=self._home_id)
            for summary, container in zip(summaries, inspections, strict=True)
            if container is not None
        )

    def changes(self) -> AsyncIterator[EngineChange]:
        """Hints from the daemon's events; after every (re)connection an EngineChange()."""
        return changes.read_changes(self._client, home_id=self._home_id)

    async def logs(
        self, instance_id: str, *, follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        """Lines in order, both streams."""
        name = container_name(self._home_id, instance_id)

        async def is_running() -> bool:
            found = await self._inspect(name)
            return found is not None and found.state.status not in ("exited", "dead", "removing")

        with _explained(f"The logs of {instance_id} could not be read"):
            container = await self._inspect(name)
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

    def exec(
        self, instance_id: str, request: ExecRequest
    ) -> AbstractAsyncContextManager[ExecSession]:
        """Run a command inside a running instance."""
        name = container_name(self._home_id, instance_id)
        return exec.open_exec(self._client, name, request, name=instance_id)

    async def run_check(
        self, instance_id: str, argv: Sequence[str], *, timeout_s: float
    ) -> CommandResult:
        """Run a health command inside the instance."""
        name = container_name(self._home_id, instance_id)
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
        for attempt in range(_ATTEMPTS):
            await self._networks.ensure(spec.networks, stack=stack)
            if not await self._create(spec):
                return
            try:
                await self._connect(spec)
                await self._client.call("POST", f"containers/{spec.name}/start", timeout_s=SLOW_S)
            except DockerRefusal as refusal:
                self._networks.look_again()
                if await self._runs_all_the_same(spec.name):
                    return
                if attempt + 1 == _ATTEMPTS or not _worth_another_try(refusal, spec):
                    raise
            else:
                return

    async def _runs_all_the_same(self, name: str) -> bool:
        """Another server's start of the same instance succeeded; else what could not start is removed."""
        params = {"v": "1"}  # without force: a container that runs stays
        try:
            await self._client.call("DELETE", f"containers/{name}", params=params, timeout_s=SLOW_S)
        except DockerRefusal as refusal:
            if "running container" in refusal.message:
                return True
            if refusal.status == 409:  # somebody else is removing it
                await self._gone(name)
            elif refusal.status != 404:
                raise
        return False

    async def _create(self, spec: ContainerSpec) -> bool:
        """Whether the container is there and has yet to be started."""
        pause_s = _NAME_PAUSE_MIN_S
        while True:
            try:
                await self._client.call(
                    "POST",
                    "containers/create",
                    params={"name": spec.name},
                    body=spec.body,
                    timeout_s=SLOW_S,
                )
            except DockerRefusal as refusal:
                if refusal.status != 409 or pause_s > _NAME_PAUSE_MAX_S:
                    raise
                adopted = await self._adopt(spec)
                if adopted is not None:
                    return adopted
            else:
                return True
            # A name is taken a moment before its container can be seen, and a moment after it cannot.
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def _adopt(self, spec: ContainerSpec) -> bool | None:
        """Whether the container of that name has yet to be started; None when the name is free now."""
        found = await self._inspect(spec.name)
        if found is None:
            return None
        if found.state.status in ("removing", "dead"):
            await self._remove(spec.name)
            return None
        if found.state.status != "created":
            return False
        if (found.config.labels or {}).get(LABEL_IDENTITY) != spec.labels[LABEL_IDENTITY]:
            await self._remove(spec.name)  # never ran, and was meant for other ports
            return None
        return True

    async def _connect(self, spec: ContainerSpec) -> None:
        for use in spec.networks[1:]:
            try:
                await self._client.call(
                    "POST",
                    f"networks/{use.name}/connect",
                    body=connect_body(spec.name, use),
                    timeout_s=SLOW_S,
                )
            except DockerRefusal as refusal:
                if "already exists in network" not in refusal.message:
                    raise

    async def _inspect(self, name: str) -> Container | None:
        try:
            answer = await self._client.call("GET", f"containers/{name}/json")
        except DockerRefusal as refusal:
            if refusal.status == 404:
                return None
            raise
        return msgspec.json.decode(answer, type=Container)

    async def _summaries(self) -> tuple[ContainerSummary, ...]:
        filters = {"label": [f"{LABEL_HOME}={self._home_id}"]}
        params = {"all": "1", "filters": msgspec.json.encode(filters).decode()}
        answer = await self._client.call(
            "GET", "containers/json", params=params, timeout_s=2 * QUICK_S
        )
        summaries = msgspec.json.decode(answer, type=tuple[ContainerSummary, ...])
        return tuple(s for s in summaries if is_instance(s, home_id=self._home_id))

    async def _inspected_once(self, summary: ContainerSummary) -> Container | None:
        key = final_key(summary)
        if key not in self._inspected or summary.state == "created":
            container = await self._inspect(summary.id)
            if container is None:
                return None  # removed since it was listed
            self._inspected[key] = container
        return self._inspected[key]

    async def _told(self, name: str, signal: str, timeout_s: float) -> bool:
        """Signal it in its turn; whether it has ended within the time, or had before."""
        async with self._ending:
            if not await self._signal(name, signal):
                return True
            ended = await self._ended_within(name, timeout_s)
            if ended:
                await self._inspect(name)  # answers once its network is taken apart
            return ended

    async def _signal(self, name: str, signal: str) -> bool:
        """Whether there was anything to signal."""
        try:
            await self._client.call(
                "POST", f"containers/{name}/kill", params={"signal": signal}, timeout_s=SLOW_S
            )
        except DockerRefusal as refusal:
            if "is paused" in refusal.message:
                await self._client.call("POST", f"containers/{name}/unpause")
                return await self._signal(name, signal)
            if refusal.status == 404 or "is not running" in refusal.message:
                return False
            raise
        return True

    async def _ended_within(self, name: str, timeout_s: float) -> bool:
        if timeout_s <= 0:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await self._client.call(
                    "POST", f"containers/{name}/wait", timeout_s=timeout_s + QUICK_S
                )
        except TimeoutError:
            return False
        except DockerRefusal as refusal:
            if refusal.status != 404:
                raise
        return True

    async def _remove(self, name: str) -> None:
        params = {"force": "1", "v": "1"}
        try:
            await self._client.call("DELETE", f"containers/{name}", params=params, timeout_s=SLOW_S)
        except DockerRefusal as refusal:
            if refusal.status == 409:  # somebody else is removing it
                await self._gone(name)
            elif refusal.status != 404:
                raise

    async def _gone(self, name: str) -> None:
        params = {"condition": "removed"}
        with suppress(DockerRefusal):
            await self._client.call(
                "POST", f"containers/{name}/wait", params=params, timeout_s=SLOW_S
            )


@contextmanager
def _explained(doing: str) -> Generator[None]:
    try:
        yield
    except DockerRefusal as refusal:
        raise explain(refusal, doing=doing) from refusal


def _worth_another_try(refusal: DockerRefusal, spec: ContainerSpec) -> bool:
    """Another server took the container away, or the network went, or was there twice, since it was looked for."""
    if re.search("marked for removal|No such container", refusal.message):
        return True
    ours = (use.name for use in spec.networks if not use.external)
    unsettled = re.search("not found|is ambiguous", refusal.message)
    return bool(unsettled) and any(name in refusal.message for name in ours)


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
