"""MixedEngine: containers and plain processes of one machine together. Each App goes to the engine that can run it.

An App with an image (or a build) is a container, one without is a process. Both run on the same machine: to whoever
plans there is one node, so host ports are given out and room is counted once. What one of the two cannot see never
hides what the other does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import TypeVar

from portway.core.app import App, Build
from portway.core.errors import EngineError
from portway.core.instance import ObservedInstance
from portway.engines.base import (
    CommandResult,
    EngineChange,
    EngineTraits,
    ExecRequest,
    ExecSession,
    InstanceEngine,
    LogLine,
    Node,
    PartlySeenError,
    Progress,
    StartRequest,
    Usage,
)
from portway.engines.process import ProcessEngine

LIST_TIMEOUT_S = 15.0  # less than a look may take: the other's instances are seen in the same look

T = TypeVar("T")


class MixedEngine:
    """`containers` runs what has an image, `processes` what has none."""

    def __init__(self, containers: InstanceEngine, processes: ProcessEngine) -> None:
        self._containers = containers
        self._processes = processes

    @property
    def traits(self) -> EngineTraits:
        """Those of the engine of containers, and that Marathon's bare commands run besides."""
        return replace(self._containers.traits, runs_commands=True, runs_both=True)

    async def open(self) -> None:
        """Open both; where one cannot be, neither is."""
        await self._containers.open()
        try:
            await self._processes.open()
        except BaseException:
            await self._containers.close()
            raise

    async def close(self) -> None:
        """Let go of both; what runs goes on running."""
        try:
            await self._processes.close()
        finally:
            await self._containers.close()

    async def nodes(self) -> tuple[Node, ...]:
        """This machine, as the engine of containers describes it."""
        return await self._containers.nodes()

    async def start(self, request: StartRequest) -> None:
        """Start it where its App can run."""
        app = request.revision.app
        await (self._containers if app.names_image else self._processes).start(request)

    async def stop(self, instance_id: str, *, signal: str, grace_s: float) -> None:
        """Stop it where it is."""
        await self._engine_of(instance_id).stop(instance_id, signal=signal, grace_s=grace_s)

    async def remove(self, instance_id: str) -> None:
        """Remove it where it is."""
        await self._engine_of(instance_id).remove(instance_id)

    async def list(self) -> tuple[ObservedInstance, ...]:
        """Everything both see. Where one sees nothing: PartlySeenError with what the other does."""
        containers, processes = await asyncio.gather(
            _seen_by(self._containers), _seen_by(self._processes)
        )
        if isinstance(containers, EngineError) and isinstance(processes, EngineError):
            raise containers
        if isinstance(containers, EngineError):
            assert not isinstance(processes, EngineError)
            raise PartlySeenError(containers, seen=processes, hides=_has_image)
        if isinstance(processes, EngineError):
            raise PartlySeenError(processes, seen=containers, hides=_has_no_image)
        return (*containers, *processes)

    async def usage(self, instance_ids: Collection[str]) -> Mapping[str, Usage]:
        """What they use; what one engine cannot tell is left out, unless there is nothing else to tell."""
        processes = [one for one in instance_ids if self._processes.holds(one)]
        others = set(instance_ids).difference(processes)
        found = dict(await self._processes.usage(processes)) if processes else {}
        try:
            if others:
                found |= await self._containers.usage(others)
        except EngineError:
            if not found:
                raise
        return found

    def changes(self) -> AsyncIterator[EngineChange]:
        """Hints of both as they come."""
        return _merged(self._containers.changes(), self._processes.changes())

    def logs(
        self, instance_id: str, *, follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        """Its lines, from where it is."""
        return self._engine_of(instance_id).logs(instance_id, follow=follow, tail=tail)

    def exec(
        self, instance_id: str, request: ExecRequest
    ) -> AbstractAsyncContextManager[ExecSession]:
        """Run a command where the instance is."""
        return self._engine_of(instance_id).exec(instance_id, request)

    async def run_check(
        self, instance_id: str, argv: Sequence[str], *, timeout_s: float
    ) -> CommandResult:
        """Run a health command where the instance is."""
        engine = self._engine_of(instance_id)
        return await engine.run_check(instance_id, argv, timeout_s=timeout_s)

    async def resolve_image(self, image: str) -> str:
        """The immutable id of a local image."""
        return await self._containers.resolve_image(image)

    def pull(self, image: str) -> AsyncIterator[Progress]:
        """Fetch an image."""
        return self._containers.pull(image)

    def build(
        self, build: Build, *, tag: str, context: AsyncIterator[bytes]
    ) -> AsyncIterator[Progress]:
        """Build an image from a tar stream."""
        return self._containers.build(build, tag=tag, context=context)

    async def exposed_ports(self, image: str) -> tuple[int, ...]:
        """TCP ports the image declares."""
        return await self._containers.exposed_ports(image)

    async def remove_stack(self, stack: str) -> None:
        """Delete what belongs to a stack and to no instance, of both."""
        await self._processes.remove_stack(stack)
        await self._containers.remove_stack(stack)

    def _engine_of(self, instance_id: str) -> InstanceEngine:
        """By the records of processes: those are here, and nothing else has to be asked."""
        return self._processes if self._processes.holds(instance_id) else self._containers


def _has_image(app: App) -> bool:
    return app.names_image


def _has_no_image(app: App) -> bool:
    return not app.names_image


async def _seen_by(engine: InstanceEngine) -> tuple[ObservedInstance, ...] | EngineError:
    try:
        async with asyncio.timeout(LIST_TIMEOUT_S):
            return await engine.list()
    except EngineError as error:
        return error
    except TimeoutError:
        name = engine.traits.name
        return EngineError(f"The {name} engine did not say within {LIST_TIMEOUT_S:g} s what runs.")


async def _merged(*feeds: AsyncIterator[T]) -> AsyncGenerator[T]:
    """What each of them brings, as it comes; the end or failure of one is that of all."""
    begin = asyncio.get_running_loop().create_task  # every one is awaited or cancelled below
    waiting = {begin(_next(feed)): feed for feed in feeds}
    try:
        while True:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                feed = waiting.pop(task)
                try:
                    item = task.result()
                except StopAsyncIteration:
                    return
                waiting[begin(_next(feed))] = feed
                yield item
    finally:
        for task in waiting:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _next(feed: AsyncIterator[T]) -> T:
    return await anext(feed)
