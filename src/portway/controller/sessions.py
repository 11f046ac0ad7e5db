"""Looking inside: logs of instances, commands in them, one-off runs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import replace

from portway.controller.lookup import find_app, find_instance, find_stack
from portway.controller.loop import Controller
from portway.controller.world import RUN_SLOT, app_of, short_id
from portway.core.errors import EngineError, EngineErrorKind, RequestError
from portway.core.instance import EngineState, InstanceIdentity, instance_id
from portway.core.plan import StartInstance
from portway.core.state import AppState
from portway.engines.base import ExecRequest, ExecSession, LogLine
from portway.store.base import Batch

JOIN_EVERY_S = 0.1  # an instance may live for no longer than that
EXIT_POLL_S = 0.05
LINES_AHEAD = 1000

Line = tuple[str, LogLine]


class Sessions:
    """The part of PortwayOperations that looks inside instances."""

    controller: Controller

    async def logs(
        self,
        stack: str,
        *,
        app: str = "",
        instance: str = "",
        follow: bool = False,
        tail: int | None = None,
    ) -> AsyncIterator[Line]:
        """Lines of every instance asked for ("web.1/sidecar": of that container); with `follow`, those that start later join in."""
        ids = self._wanted_ids(stack, app, instance)
        container = instance.partition("/")[2]
        # Of one container among several, the last lines are those that are left of all.
        each = None if container and not follow else tail
        lines = self._followed(stack, app, instance, each) if follow else self._written(ids, each)
        async with aclosing(lines):
            chosen = _of_container(lines, container) if container else lines
            async for line in _last(chosen, tail) if each is not tail else chosen:
                yield line

    async def _written(self, ids: Sequence[str], tail: int | None) -> AsyncGenerator[Line]:
        for wanted in ids:
            try:
                async with _closing(self.controller.engine.logs(wanted, tail=tail)) as lines:
                    async for line in lines:
                        yield _source(wanted, line), line
            except EngineError as error:
                # Of several, one may be removed while the others are read.
                if len(ids) == 1 or error.kind != EngineErrorKind.NOT_FOUND:
                    raise

    async def _followed(
        self, stack: str, app: str, instance: str, tail: int | None
    ) -> AsyncGenerator[Line]:
        queue: asyncio.Queue[Line | None] = asyncio.Queue(maxsize=LINES_AHEAD)
        feeding = asyncio.get_running_loop().create_task(
            self._feed(stack, app, instance, tail, queue)
        )
        try:
            while (item := await queue.get()) is not None:
                yield item
            await feeding
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])

    async def _feed(
        self,
        stack: str,
        app: str,
        instance: str,
        tail: int | None,
        queue: asyncio.Queue[Line | None],
    ) -> None:
        """Lines of what is wanted until nothing of that name is left; None at the end, even of a failure."""
        try:
            await self._join(stack, app, instance, tail, queue)
        except Exception:
            await queue.put(None)
            raise
        await queue.put(None)

    async def _join(
        self,
        stack: str,
        app: str,
        instance: str,
        tail: int | None,
        queue: asyncio.Queue[Line | None],
    ) -> None:
        known: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    ids = self._wanted_ids(stack, app, instance)
                except RequestError:
                    return
                for wanted in ids:
                    if wanted not in known and self._is_seen(wanted):
                        known.add(wanted)
                        group.create_task(self._pump(wanted, tail, queue))
                tail = None  # what starts later is shown whole
                await asyncio.sleep(JOIN_EVERY_S)

    async def _pump(self, wanted: str, tail: int | None, queue: asyncio.Queue[Line | None]) -> None:
        try:
            async with _closing(
                self.controller.engine.logs(wanted, follow=True, tail=tail)
            ) as lines:
                async for line in lines:
                    await queue.put((_source(wanted, line), line))
        except EngineError:
            return  # it is gone; its lines have been read as far as they could be

    def _is_seen(self, wanted: str) -> bool:
        return wanted in (self.controller.world.seen(app_of(wanted)) or {})

    def _wanted_ids(self, stack: str, app: str, instance: str) -> list[str]:
        world = self.controller.world
        find_stack(world, stack)
        if instance:
            return [self._instance_id(stack, instance)]
        if app:
            find_app(world, stack, app)
        states = [s for s in world.of_stack(stack) if not app or s.app_id == f"{stack}/{app}"]
        return [r.id for s in states for r in s.live if self._is_seen(r.id)]

    def _instance_id(self, stack: str, name: str) -> str:
        """The instance meant by "web.1", or by "web.1/sidecar" where it has such a container."""
        world = self.controller.world
        short, slash, container = name.partition("/")
        found = find_instance(world, stack, short)[0].id
        seen = (world.seen(app_of(found)) or {}).get(found)
        names = [one.name for one in seen.containers] if seen else []
        if slash and seen and (len(names) < 2 or container not in names):
            has = f"It has: {', '.join(names)}." if len(names) > 1 else "It is one container."
            raise RequestError(
                f"{short_id(found)} has no container {container}.", hint=has, http_status=404
            )
        return found

    def exec(
        self, stack: str, instance: str, request: ExecRequest
    ) -> AbstractAsyncContextManager[ExecSession]:
        """A command inside the instance the name means."""
        record, _ = find_instance(self.controller.world, stack, instance)
        return self.controller.engine.exec(record.id, request)

    async def run(self, stack: str, app: str, argv: Sequence[str]) -> AsyncIterator[Line | int]:
        """A one-off instance: its lines, then its exit code. Leaving early stops it."""
        if not argv:
            raise RequestError("no command to run was given", hint="portway run APP COMMAND...")
        async with self._one_off(stack, app, argv) as identity:
            name = short_id(identity.id)
            async with _closing(self.controller.engine.logs(identity.id, follow=True)) as lines:
                async for line in lines:
                    yield name, line
            yield await self._exit_code(identity.id)

    @asynccontextmanager
    async def _one_off(
        self, stack: str, app: str, argv: Sequence[str]
    ) -> AsyncGenerator[InstanceIdentity]:
        identity, action = await self._decide_one_off(stack, app, argv)
        engine, one_offs = self.controller.engine, self.controller.world.one_offs
        one_offs.add(identity.id)
        try:
            await engine.start(self.controller.executor.start_request(action))
            yield identity
        finally:
            try:
                await engine.stop(identity.id, signal="SIGTERM", grace_s=2.0)
                await engine.remove(identity.id)
            finally:
                # What could not be removed is nobody's now, and the loop clears it away once it ended.
                one_offs.discard(identity.id)

    async def _decide_one_off(
        self, stack: str, app: str, argv: Sequence[str]
    ) -> tuple[InstanceIdentity, StartInstance]:
        """Its serial is saved first, so that no other instance ever gets its name."""
        async with self.controller.changing() as world:
            state = find_app(world, stack, app)
            await self.controller.save(
                Batch(apps=(replace(state, next_serial=state.next_serial + 1),))
            )
            identity = self._identity(state)
        assert state.target is not None
        spec = replace(
            state.target.app,
            command=tuple(argv),
            command_text=None,
            entrypoint=None,
            ports=(),
            containers=(),
            container_links=(),
            container_depends_on=(),
            volumes_from=(),
        )
        revision = replace(state.target, app=spec)
        return identity, StartInstance(identity=identity, revision=revision)

    def _identity(self, state: AppState) -> InstanceIdentity:
        assert state.target is not None
        nodes = [node.name for node in self.controller.world.nodes if node.available]
        return InstanceIdentity(
            id=instance_id(state.app_id, slot=RUN_SLOT, serial=state.next_serial),
            app_id=state.app_id,
            slot=RUN_SLOT,
            serial=state.next_serial,
            revision=state.target.id,
            release=state.target.release,
            node=nodes[0] if nodes else "",
        )

    async def _exit_code(self, wanted: str) -> int:
        while True:
            seen = {i.id: i for i in await self.controller.engine.list()}.get(wanted)
            if seen is None:
                raise EngineError(
                    f"{short_id(wanted)} was removed by someone else before its exit code was known.",
                    retryable=False,
                    kind=EngineErrorKind.NOT_FOUND,
                )
            if seen.state is EngineState.EXITED:
                return seen.exit_code if seen.exit_code is not None else 1
            await asyncio.sleep(EXIT_POLL_S)


def _source(instance_id: str, line: LogLine) -> str:
    """Who wrote a line: the instance, and which of its containers where it has several."""
    short = short_id(instance_id)
    return f"{short}/{line.container}" if line.container else short


async def _of_container(lines: AsyncIterator[Line], container: str) -> AsyncGenerator[Line]:
    async for line in lines:
        if line[1].container == container:
            yield line


async def _last(lines: AsyncIterator[Line], count: int | None) -> AsyncGenerator[Line]:
    kept = deque([line async for line in lines], maxlen=count)
    for line in kept:
        yield line


@asynccontextmanager
async def _closing(lines: AsyncIterator[LogLine]) -> AsyncGenerator[AsyncIterator[LogLine]]:
    """The engine's lines, their reading ended with the block."""
    try:
        yield lines
    finally:
        if isinstance(lines, AsyncGenerator):
            await lines.aclose()
