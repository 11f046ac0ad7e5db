"""Instances of several containers over the daemon: started as far as they may be, ended in the reverse order, read together.

Nothing is remembered but what cannot change: which containers an instance has. A call that finds half of what an
earlier one made goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec
import structlog

from portway.core.containers import hopeless, together, unmet
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.instance import EngineState, ObservedContainer
from portway.engines.base import LogLine, StartRequest
from portway.engines.docker.api import (
    Container,
    ContainerConfig,
    ContainerState,
    ContainerSummary,
    Volumes,
)
from portway.engines.docker.client import DockerClient, segment
from portway.engines.docker.command import LABEL_HOME, LABEL_INSTANCE, ContainerSpec
from portway.engines.docker.containers import Containers, is_worth_another_try
from portway.engines.docker.errors import DockerRefusal, explain_start
from portway.engines.docker.group import SANDBOX, Note, docker_name, notes_of
from portway.engines.docker.logs import read_logs
from portway.engines.docker.names import container_name
from portway.engines.docker.observe import as_observed, is_instance, notes_in
from portway.engines.docker.pause import make_pause_image

PATIENCE_S = (
    2.0  # one call waits so long for a container that another one needs; the next call goes on
)
LOOK_FIRST_S = 0.05
LOOK_MAX_S = 0.4
log = structlog.get_logger(__name__)

_ENDED = ("exited", "dead", "removing")
# What a listing says of one of several that is just being started: to ask would wait until it has.
CREATED = Container(id="", state=ContainerState(status="created"), config=ContainerConfig())


class Groups:
    """What is done to all containers of an instance. `turns` bounds how many starts are asked of the daemon at once.

    `begun` are the names of those being started at this moment.
    """

    def __init__(
        self,
        client: DockerClient,
        containers: Containers,
        *,
        home_id: str,
        turns: asyncio.Semaphore,
        begun: set[str],
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._containers = containers
        self._home_id = home_id
        self._turns = turns
        self._begun = begun
        self._unix_s = unix_s
        self._known: dict[str, tuple[Note, ...]] = {}

    def learn(self, known: Mapping[str, tuple[Note, ...]]) -> None:
        """Which containers each listed instance has; those not listed are forgotten."""
        self._known = dict(known)

    async def notes(self, instance_id: str) -> tuple[Note, ...]:
        """The containers of an instance; () when it is one container, or unknown."""
        if instance_id not in self._known:
            found = await self._containers.inspect(container_name(self._home_id, instance_id))
            if found is not None:
                notes = notes_of(found.config.labels)
            else:
                notes = await self._notes_of_the_rest(instance_id)
                if not notes:
                    return ()
            self._known[instance_id] = notes
        return self._known[instance_id]

    async def start(self, request: StartRequest, specs: Sequence[ContainerSpec]) -> None:
        """Make all of them, then start each once what it waits for holds; whoever still waits is left to the next call."""
        identity = request.identity
        self._known[identity.id] = notes_of(specs[0].labels)
        stack = request.revision.app.stack
        seen = await self._look(specs)
        if not any(one.started_at_ms for one in seen.values()):
            async with self._turns:
                await self._make(request, specs, stack=stack)
            seen = await self._look(specs)
        elif len(seen) < len(specs):
            return  # one was taken away: the instance has ended
        pause_s, ends_s = LOOK_FIRST_S, self._unix_s() + PATIENCE_S
        while together(tuple(seen.values())).state is EngineState.CREATED:
            if not await self._start_those_that_may(request, specs, seen):
                self._refuse_hopeless(request, specs, seen)
                if self._unix_s() > ends_s:
                    return
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LOOK_MAX_S)
            seen = await self._look(specs)

    async def stop(self, instance_id: str, notes: Sequence[Note], *, signal: str) -> bool:
        """End all of them, those that others wait for last; whether every one has ended."""
        ended = True
        for layer in sorted({note.layer for note in notes}, reverse=True):
            stopped = await asyncio.gather(
                *(
                    self._containers.stop(
                        docker_name(self._home_id, instance_id, notes, note.name),
                        signal="SIGKILL" if signal == "SIGKILL" else note.signal,
                        grace_s=note.grace_s,
                    )
                    for note in notes
                    if note.layer == layer
                )
            )
            running = ("running", "paused")
            ended = ended and not any(c and c.state.status in running for c in stopped)
        return ended

    async def remove(self, instance_id: str, notes: Sequence[Note]) -> None:
        """Delete all of them; where the end of one ended the instance, the others are asked to end first."""
        names = [docker_name(self._home_id, instance_id, notes, note.name) for note in notes]
        found = [await self._containers.inspect(name) for name in names]
        running = [one is not None and one.state.status == "running" for one in found]
        if any(running) and not all(running):
            await self.stop(instance_id, notes, signal="")
        for name in reversed(names):
            await self._containers.remove(name)
        await self.remove_volumes(instance_id)
        self._known.pop(instance_id, None)

    async def remove_volumes(self, instance_id: str) -> None:
        """Those that its containers shared, and nobody else has."""
        wanted = [f"{LABEL_HOME}={self._home_id}", f"{LABEL_INSTANCE}={instance_id}"]
        filters = msgspec.json.encode({"label": wanted}).decode()
        answer = await self._client.call("GET", "volumes", params={"filters": filters})
        for volume in msgspec.json.decode(answer, type=Volumes).volumes or ():
            try:
                await self._client.call("DELETE", f"volumes/{segment(volume.name)}")
            except DockerRefusal as refusal:
                if refusal.status != 404:
                    raise

    async def chosen(self, instance_id: str, member: str = "") -> str:
        """What the container is called in Docker: `member`, else the first essential one."""
        notes = [note for note in await self.notes(instance_id) if note.name != SANDBOX]
        if not notes:
            return await self._only(instance_id, member)
        names = [note.name for note in notes]
        if member and member not in names:
            raise no_container(instance_id, member, names)
        wanted = member or next((n.name for n in notes if n.essential), names[0])
        return docker_name(self._home_id, instance_id, await self.notes(instance_id), wanted)

    async def checked(self, instance_id: str) -> str:
        """What the container that the App's own fields describe is called in Docker."""
        notes = await self.notes(instance_id)
        own = next((note.name for note in notes if note.own), "")
        return docker_name(self._home_id, instance_id, notes, own)

    async def _only(self, instance_id: str, member: str) -> str:
        name = container_name(self._home_id, instance_id)
        if member:
            found = await self._containers.inspect(name)
            called = (found.config.labels or {}).get("portway.container", "") if found else member
            if called != member:
                raise no_container(instance_id, member, [called] if called else [])
        return name

    async def logs(
        self, instance_id: str, notes: Sequence[Note], *, follow: bool, tail: int | None
    ) -> AsyncIterator[LogLine]:
        """The lines of all of them with their names: what is written already by time, then as they come."""
        members = [note.name for note in notes if note.name != SANDBOX]
        if not follow:
            written = [
                [
                    line
                    async for line in self._lines(instance_id, notes, one, follow=False, tail=tail)
                ]
                for one in members
            ]
            lines = sorted((x for some in written for x in some), key=lambda x: x.at_ms)
            for line in lines if tail is None else lines[max(0, len(lines) - tail) :]:
                yield line
            return
        queue: asyncio.Queue[LogLine | None] = asyncio.Queue(maxsize=1000)

        async def pump(member: str) -> None:
            try:
                async for line in self._lines(instance_id, notes, member, follow=True, tail=tail):
                    await queue.put(line)
            finally:
                await queue.put(None)

        tasks = [asyncio.get_running_loop().create_task(pump(member)) for member in members]
        try:
            left = len(tasks)
            while left:
                item = await queue.get()
                if item is None:
                    left -= 1
                else:
                    yield item
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _lines(
        self,
        instance_id: str,
        notes: Sequence[Note],
        member: str,
        *,
        follow: bool,
        tail: int | None,
    ) -> AsyncIterator[LogLine]:
        name = docker_name(self._home_id, instance_id, notes, member)

        async def is_running() -> bool:
            found = await self._containers.inspect(name)
            return found is not None and found.state.status not in _ENDED

        container = await self._containers.inspect(name)
        while follow and container is not None and container.state.status == "created":
            await asyncio.sleep(LOOK_MAX_S)  # its turn to start has not come yet
            container = await self._containers.inspect(name)
        if container is None:
            return
        async for line in read_logs(
            self._client,
            container.id,
            tty=container.config.tty,
            follow=follow,
            tail=tail,
            is_running=is_running,
            member=member,
        ):
            yield line

    async def _look(self, specs: Sequence[ContainerSpec]) -> dict[str, ObservedContainer]:
        """Those of them that exist, by name."""
        notes = {note.name: note for note in notes_of(specs[0].labels)}
        found = {spec.member: await self._containers.inspect(spec.name) for spec in specs}
        return {
            name: as_observed(notes[name], container)
            for name, container in found.items()
            if container is not None
        }

    async def _make(
        self, request: StartRequest, specs: Sequence[ContainerSpec], *, stack: str
    ) -> None:
        for spec in specs:
            try:
                await self._create(spec, stack=stack)
            except DockerRefusal as refusal:
                raise _explained(refusal, request, spec) from refusal

    async def _create(self, spec: ContainerSpec, *, stack: str) -> None:
        try:
            await self._containers.create(spec, stack=stack)
        except DockerRefusal as refusal:
            if spec.member != SANDBOX or refusal.status != 404:
                raise
            await make_pause_image(self._client)
            await self._containers.create(spec, stack=stack)

    async def _start_those_that_may(
        self,
        request: StartRequest,
        specs: Sequence[ContainerSpec],
        seen: Mapping[str, ObservedContainer],
    ) -> bool:
        """Whether any was started."""
        waiting = [s for s in specs if seen[s.member].state is EngineState.CREATED]
        ready = [spec for spec in waiting if unmet(spec.depends_on, seen) is None]
        # What the others join must run before them.
        if waiting and waiting[0].member == SANDBOX:
            ready = waiting[:1]
        for spec in ready:
            async with self._turns:
                self._begun.add(spec.name)
                try:
                    await self._containers.start(spec.name)
                except DockerRefusal as refusal:
                    error = _explained(refusal, request, spec)
                    if not (seen[spec.member].essential or error.retryable):
                        log.warning("container_not_started", container=spec.name, error=str(error))
                        continue  # the others do without it
                    await self._note_refusal(refusal, specs, spec, len(waiting) == len(specs))
                    raise error from refusal
                finally:
                    self._begun.discard(spec.name)
        return bool(ready)

    async def _note_refusal(
        self,
        refusal: DockerRefusal,
        specs: Sequence[ContainerSpec],
        spec: ContainerSpec,
        none_ran: bool,
    ) -> None:
        """A network that went takes what was made for it along: then all are made anew by the next call."""
        self._containers.forget_networks()
        if none_ran and is_worth_another_try(refusal, spec):
            for one in reversed(specs):
                await self._containers.remove(one.name)

    def _refuse_hopeless(
        self,
        request: StartRequest,
        specs: Sequence[ContainerSpec],
        seen: Mapping[str, ObservedContainer],
    ) -> None:
        timeouts = {spec.member: spec.start_timeout_s for spec in specs}
        for spec in specs:
            wanted = unmet(spec.depends_on, seen)
            if wanted is None or seen[spec.member].state is not EngineState.CREATED:
                continue
            why = hopeless(
                wanted,
                seen.get(wanted.name),
                timeout_s=timeouts.get(wanted.name, 0),
                now_ms=int(self._unix_s() * 1000),
            )
            if why:
                raise EngineError(
                    f"{request.identity.id} could not be started: its container {spec.member} was not, "
                    f"because {why}.",
                    hint=f"See what {wanted.name} says: `portway logs`; or correct `dependsOn` or its timeout.",
                    retryable=False,
                )

    async def _notes_of_the_rest(self, instance_id: str) -> tuple[Note, ...]:
        """What the containers left of an instance say, where the first of them is gone."""
        label = [f"{LABEL_HOME}={self._home_id}", f"{LABEL_INSTANCE}={instance_id}"]
        params = {"all": "1", "filters": msgspec.json.encode({"label": label}).decode()}
        answer = await self._client.call("GET", "containers/json", params=params)
        for summary in msgspec.json.decode(answer, type=tuple[ContainerSummary, ...]):
            if is_instance(summary, home_id=self._home_id):
                return notes_in(summary)
        return ()


def no_container(instance_id: str, member: str, names: Sequence[str]) -> EngineError:
    """There is no container of that name in the instance."""
    hint = f"It has: {', '.join(names)}." if names else "It is one container without a name."
    return EngineError(
        f"{instance_id} has no container {member}.",
        hint=hint,
        kind=EngineErrorKind.NOT_FOUND,
        retryable=False,
    )


def _explained(refusal: DockerRefusal, request: StartRequest, spec: ContainerSpec) -> EngineError:
    return explain_start(refusal, request, image=str(spec.body["Image"]), member=spec.member)
