"""MemoryEngine: the InstanceEngine protocol over a MemoryWorld, and the levers that make the world misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from portway.core.app import Build
from portway.core.containers import Member, members, together
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.instance import EngineState, ObservedContainer, ObservedInstance
from portway.core.ports import Lease
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
from portway.engines.memory import commands, containers
from portway.engines.memory.session import MemoryExecSession
from portway.engines.memory.world import (
    STRANGER,
    Fault,
    FaultKind,
    ImageBehaviour,
    MemoryInstance,
    MemoryWorld,
)

TRAITS = EngineTraits(
    name="memory",
    runs_images=True,
    runs_commands=True,
    resolves_names=True,
    reaches_containers=False,
    uses_host_kernel=False,
)
OUTPUT_SIZE_MAX_BYTES = 64 * 1024
KILLED = 128 + 9
WAITS_S = 0.2
_OUT_OF_MEMORY = "It was killed because it used more memory than its limit."

T = TypeVar("T")


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


class MemoryEngine:
    """An engine that is only values: deterministic, instant, and as faulty as it is told to be.

    `world`: go on with the instances of another MemoryEngine (a controller that came after a crash).
    """

    def __init__(
        self,
        *,
        nodes: int = 1,
        clock: Callable[[], int] = _unix_ms,
        world: MemoryWorld | None = None,
    ) -> None:
        self.world = MemoryWorld(nodes=nodes) if world is None else world
        self._clock = clock
        self._feed = ChangeFeed()

    @property
    def traits(self) -> EngineTraits:
        return TRAITS

    async def open(self) -> None:
        """Nothing to connect to."""
        await self._strike("open")

    async def close(self) -> None:
        """Nothing to let go of."""

    async def nodes(self) -> tuple[Node, ...]:
        """Every node, those that went away marked unavailable."""
        return await self._shown("nodes", "", lambda: tuple(self.world.nodes.values()))

    async def start(self, request: StartRequest) -> None:
        """Start one instance at once, or what of it may start; see InstanceEngine.start."""
        await self._shown("start", request.identity.id, lambda: self._start(request))
        instance = self.world.instances.get(request.identity.id)
        if instance is not None and instance.observed.state is EngineState.CREATED:
            # Some container waits for another: whoever asks again at once would ask for ever.
            await asyncio.sleep(WAITS_S)

    async def stop(self, instance_id: str, *, signal: str, grace_s: float) -> None:
        """End it with code 0, or 137 when it ignores signals; the grace period passes in no time."""
        await self._shown("stop", instance_id, lambda: self._stop(instance_id))

    async def remove(self, instance_id: str) -> None:
        """Forget it; see InstanceEngine.remove."""
        await self._shown("remove", instance_id, lambda: self._remove(instance_id))

    async def list(self) -> tuple[ObservedInstance, ...]:
        """Every instance, in the order they were started."""
        return await self._shown(
            "list", "", lambda: tuple(i.observed for i in self.world.instances.values())
        )

    def changes(self) -> AsyncIterator[EngineChange]:
        """Hints from this call on."""
        return self._feed.listen()

    async def logs(
        self, instance_id: str, *, follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        """The lines it printed; see InstanceEngine.logs."""
        instance = self._known(instance_id)
        at = 0 if tail is None else max(0, len(instance.lines) - tail)
        more = asyncio.Event()
        instance.followers.add(more)
        try:
            while True:
                more.clear()
                while at < len(instance.lines):
                    at += 1
                    yield instance.lines[at - 1]
                if not follow or not instance.running:
                    return
                await more.wait()
        finally:
            instance.followers.discard(more)

    @asynccontextmanager
    async def exec(self, instance_id: str, request: ExecRequest) -> AsyncGenerator[ExecSession]:
        """Run one of the commands that exist in memory (commands.py) in a running instance."""
        await self._strike("exec", instance_id)
        instance = self._running(instance_id)
        names = [one.name for one in instance.observed.containers]
        if request.container and request.container not in names:
            raise EngineError(
                f"{instance_id} has no container {request.container}.",
                hint=f"It has: {', '.join(names)}.",
                retryable=False,
                kind=EngineErrorKind.NOT_FOUND,
            )
        if not commands.knows(request.argv):
            program = request.argv[0] if request.argv else ""
            raise EngineError(
                f"{instance_id} has no program called {program!r}.",
                hint=f"Instances in memory know only: {', '.join(sorted(commands.PROGRAMS))}.",
                retryable=False,
                kind=EngineErrorKind.BAD_COMMAND,
            )
        yield MemoryExecSession(request, {**instance.request.environment, **request.environment})

    async def run_check(
        self, instance_id: str, argv: Sequence[str], *, timeout_s: float
    ) -> CommandResult:
        """A known command is run; any other passes exactly when the instance is healthy."""
        await self._strike("check", instance_id)
        instance = self._running(instance_id)
        if not commands.knows(argv):
            passed, detail = instance.health
            return CommandResult(exit_code=0 if passed else 1, output=detail)
        outcome = commands.run(argv, environment=instance.request.environment)
        if outcome.lasts_s > timeout_s:
            raise TimeoutError
        text = outcome.output[-OUTPUT_SIZE_MAX_BYTES:].decode(errors="replace")
        return CommandResult(exit_code=outcome.exit_code, output=text)

    async def resolve_image(self, image: str) -> str:
        """An id made from the name, always the same for the same name."""
        self._present(image)
        if image in self.world.image_names:
            return image
        image_id = "sha256:" + hashlib.sha256(image.encode()).hexdigest()
        self.world.image_names[image_id] = image
        return image_id

    async def pull(self, image: str) -> AsyncIterator[Progress]:
        """Every image is here already, save those told to be missing."""
        await self._strike("pull", image)
        yield Progress(text=f"Pulling {image}")
        yield Progress(text=f"{image} is up to date", image=await self.resolve_image(image))

    async def build(
        self, build: Build, *, tag: str, context: AsyncIterator[bytes]
    ) -> AsyncIterator[Progress]:
        """The image id depends on the tag and the bytes of the context; nothing is run."""
        digest = hashlib.sha256(tag.encode())
        async for chunk in context:
            digest.update(chunk)
        yield Progress(text=f"Step 1/1 : {build.dockerfile}")
        await self._strike("build", tag)
        image_id = "sha256:" + digest.hexdigest()
        self.world.image_names[image_id] = tag
        yield Progress(text=f"Successfully tagged {tag}", image=image_id)

    async def exposed_ports(self, image: str) -> tuple[int, ...]:
        """What the image's behaviour says."""
        return self.world.image_behaviour(image).container_ports

    async def usage(self, instance_ids: Collection[str]) -> Mapping[str, Usage]:
        """What `use` said of those that run; where it said nothing, nothing is used."""
        told = await self._shown("usage", "", lambda: dict(self.world.usage))
        running = {i for i in instance_ids if (one := self.world.instances.get(i)) and one.running}
        return {i: told.get(i, Usage(cpu_us=0, memory_bytes=0)) for i in running}

    async def remove_stack(self, stack: str) -> None:
        """A stack leaves nothing behind in memory."""
        await self._strike("remove_stack", stack)

    def health_of(self, instance_id: str) -> tuple[bool, str]:
        """What a probe of the instance would say; an instance that does not run refuses connections."""
        instance = self.world.instances.get(instance_id)
        if instance is None or not instance.running:
            return False, "connection refused"
        return instance.health

    def set_health(self, instance_id: str, *, passed: bool, detail: str = "") -> None:
        """From now on probes of the instance say this."""
        self._known(instance_id).health = (passed, detail)
        self._feed.publish(instance_id)

    def behave(self, image: str, behaviour: ImageBehaviour) -> None:
        """Instances of `image` (or of a command whose first word is `image`) started from now on do this."""
        self.world.behaviours[image] = behaviour

    def inject(self, fault: Fault) -> None:
        """Make a later call fail; faults of one operation show in the order given."""
        self.world.faults.setdefault(fault.operation, []).append(fault)

    def clear_faults(self) -> None:
        """No call fails any more."""
        self.world.faults.clear()

    def kill(
        self,
        instance_id: str,
        *,
        exit_code: int = 1,
        oom_killed: bool = False,
        container: str = "",
    ) -> None:
        """The instance dies by itself, by the end of `container` or else of its first; it must be running."""
        code = KILLED if oom_killed else exit_code
        instance = self._running(instance_id)
        first = instance.observed.containers[0]
        name = container or (first.name if len(instance.observed.containers) > 1 else "")
        after = tuple(
            containers.over(one, exit_code=code, now_ms=self._clock(), oom_killed=oom_killed)
            if one.name == name or not name
            else one
            for one in instance.observed.containers
        )
        self._become(instance, after)
        self._feed.publish(instance_id)

    def set_container_health(self, instance_id: str, container: str, health: str) -> None:
        """From now on the engine's own check of the container says this ("starting", "healthy", "unhealthy")."""
        instance = self._known(instance_id)
        after = tuple(
            replace(one, health=health) if one.name == container else one
            for one in instance.observed.containers
        )
        self._become(instance, after)
        self._feed.publish(instance_id)

    def use(self, instance_id: str, usage: Usage) -> None:
        """From now on the instance has used so much."""
        self._known(instance_id)
        self.world.usage[instance_id] = usage

    def say(self, instance_id: str, text: str, *, stream: Stream = Stream.STDOUT) -> None:
        """The instance prints one line."""
        self._known(instance_id)
        self.world.print_line(instance_id, text, at_ms=self._clock(), stream=stream)

    def lose_node(self, name: str) -> None:
        """A node goes away with everything that ran on it."""
        self.world.nodes[name] = replace(self.world.nodes[name], available=False)
        for instance in tuple(self.world.instances.values()):
            if instance.running and instance.observed.identity.node == name:
                self.world.end(instance.observed.id, exit_code=None, error=f"Node {name} is gone.")
        self._feed.publish()

    def regain_node(self, name: str) -> None:
        """A node that went away is back, empty."""
        self.world.nodes[name] = replace(self.world.nodes[name], available=True)
        self._feed.publish()

    def steal_port(self, lease: Lease) -> None:
        """Another program takes a host port of a node."""
        self.world.take_ports(STRANGER, (lease,))

    def give_back_port(self, lease: Lease) -> None:
        """The other program ends."""
        self.world.free_ports(STRANGER, (lease,))

    async def _shown(self, operation: str, instance_id: str, act: Callable[[], T]) -> T:
        """Do it as the next fault allows."""
        if not self.world.faults:
            return act()
        fault = self.world.take_fault(operation, instance_id)
        if fault is None:
            return act()
        if fault.kind is FaultKind.LOSE_ANSWER:
            act()
        if fault.kind is FaultKind.HANG:
            await asyncio.Event().wait()
        raise fault.error

    async def _strike(self, operation: str, instance_id: str = "") -> None:
        await self._shown(operation, instance_id, lambda: None)

    def _start(self, request: StartRequest) -> None:
        identity = request.identity
        if identity.id in self.world.instances:
            self._go_on(self.world.instances[identity.id])
            return
        node = self.world.nodes.get(identity.node)
        if node is None or not node.available:
            raise EngineError(
                f"{identity.id} cannot start: node {identity.node} does not answer.",
                kind=EngineErrorKind.UNAVAILABLE,
            )
        self._runnable(request)
        self._ports_free(request)
        behaviour = self.world.behaviour_of(request)
        now_ms = self._clock()
        observed = ObservedInstance(
            identity=identity,
            state=EngineState.CREATED,
            address=node.address,
            reaches_container=False,
            started_at_ms=now_ms,
            containers=containers.made(request),
        )
        instance = MemoryInstance(request=request, behaviour=behaviour, observed=observed)
        instance.health = (behaviour.healthy, behaviour.health_detail)
        self.world.instances[identity.id] = instance
        self.world.take_ports(identity.id, identity.leases)
        self._go_on(instance)
        if identity.slot == 0 and instance.running:
            self._play_one_off(request)
        self._feed.publish(identity.id)

    def _go_on(self, instance: MemoryInstance) -> None:
        """Start every container of the instance that may start now."""
        if instance.observed.state is not EngineState.CREATED:
            return
        app, now_ms = instance.request.revision.app, self._clock()

        def behaviour_of(member: Member) -> ImageBehaviour:
            return instance.behaviour if member.app is app else self._behaviour_of(member)

        before = instance.observed.containers
        after = containers.started(app, before, behaviour_of, now_ms=now_ms)
        group = members(app)
        for member, was, now in zip(group, before, after, strict=True):
            if was.started_at_ms is None and now.started_at_ms is not None:
                self._say_first_lines(instance, member, behaviour_of(member), now_ms)
        self._become(instance, after)

    def _behaviour_of(self, member: Member) -> ImageBehaviour:
        return self.world.image_behaviour(member.app.image or "")

    def _say_first_lines(
        self, instance: MemoryInstance, member: Member, behaviour: ImageBehaviour, now_ms: int
    ) -> None:
        name = member.name if instance.request.revision.app.containers else ""
        for stream, texts in (
            (Stream.STDOUT, behaviour.lines),
            (Stream.STDERR, behaviour.error_lines),
        ):
            for text in texts:
                instance.write(LogLine(at_ms=now_ms, stream=stream, text=text, container=name))

    def _become(self, instance: MemoryInstance, after: tuple[ObservedContainer, ...]) -> None:
        """The instance's containers are these now; with an essential one it ends."""
        whole = together(after)
        several = bool(instance.request.revision.app.containers)
        # Where there is one, its health is the probes' matter alone.
        instance.observed = replace(
            instance.observed,
            containers=after,
            engine_health=whole.health if several else "",
            failed_container=whole.ended_by.name if whole.ended_by and several else "",
        )
        if whole.ended_by is not None:
            ended = whole.ended_by
            error = _OUT_OF_MEMORY if ended.oom_killed and not several else ""
            self.world.end(
                instance.observed.id,
                exit_code=ended.exit_code,
                oom_killed=ended.oom_killed,
                error=error,
            )
        else:
            instance.observed = replace(instance.observed, state=whole.state)

    def _play_one_off(self, request: StartRequest) -> None:
        """A one-off instance (slot 0) runs its command as `exec` would, and ends with it."""
        outcome = commands.run(request.command or (), environment=request.environment)
        for line in outcome.output.decode(errors="replace").splitlines():
            self.world.print_line(
                request.identity.id, line, at_ms=self._clock(), stream=Stream.STDOUT
            )
        if not outcome.lasts_s:
            self.world.end(request.identity.id, exit_code=outcome.exit_code)

    def _runnable(self, request: StartRequest) -> None:
        app = request.revision.app
        for other in app.containers:
            self._present(other.image)
        if app.image is not None:
            self._present(app.image)
        elif not request.command and not request.command_text:
            raise EngineError(
                f"{app.id} has neither an image nor a command, so there is nothing to run.",
                hint="Give the service `image:` or `command:`.",
                retryable=False,
                kind=EngineErrorKind.BAD_COMMAND,
            )

    def _present(self, image: str) -> None:
        if self.world.image_behaviour(image).missing:
            raise EngineError(
                f"Image {image} is not on this machine.",
                hint="Check its name and tag.",
                retryable=False,
                kind=EngineErrorKind.IMAGE_MISSING,
            )

    def _ports_free(self, request: StartRequest) -> None:
        for lease in request.identity.leases:
            holder = self.world.port_holder(lease)
            if holder is not None:
                raise EngineError(
                    f"Host port {lease.host_port} of node {lease.node} is held by "
                    f"{holder or 'another program'}, so {request.identity.id} cannot have it.",
                    kind=EngineErrorKind.PORT_TAKEN,
                )

    def _stop(self, instance_id: str) -> None:
        instance = self.world.instances.get(instance_id)
        if instance is None or instance.observed.state is EngineState.EXITED:
            return
        self.world.end(instance_id, exit_code=KILLED if instance.behaviour.ignores_signals else 0)
        self._feed.publish(instance_id)

    def _remove(self, instance_id: str) -> None:
        instance = self.world.instances.get(instance_id)
        if instance is None:
            return
        if instance.observed.state is not EngineState.EXITED:
            self.world.end(instance_id, exit_code=KILLED)
        del self.world.instances[instance_id]
        self.world.usage.pop(instance_id, None)
        self._feed.publish(instance_id)

    def _known(self, instance_id: str) -> MemoryInstance:
        instance = self.world.instances.get(instance_id)
        if instance is None:
            raise EngineError(
                f"There is no instance {instance_id}.",
                hint="`portway ps` shows those there are.",
                retryable=False,
                kind=EngineErrorKind.NOT_FOUND,
            )
        return instance

    def _running(self, instance_id: str) -> MemoryInstance:
        instance = self._known(instance_id)
        if not instance.running:
            raise EngineError(
                f"Instance {instance_id} has ended, so nothing can run inside it.",
                retryable=False,
                kind=EngineErrorKind.NOT_FOUND,
            )
        return instance
