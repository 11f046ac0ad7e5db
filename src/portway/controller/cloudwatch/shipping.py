"""LogShipper: what containers with the log driver awslogs write goes to their streams, and stays there when they are gone.

The engine keeps the lines meanwhile: a portway that comes back reads them again, and goes on after the last one it kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from portway.controller.clock import Clock
from portway.controller.cloudwatch.keeping import LogKeeper, NoSuchGroup, NoSuchStream, keeper_of
from portway.controller.world import World
from portway.core.aws_names import AwsNames
from portway.core.ecs.labels import origin_of
from portway.core.ecs.tasks import task_id_of
from portway.core.errors import PortwayError
from portway.core.instance import InstanceRecord
from portway.core.log_streams import Destination, destinations, has_logs
from portway.core.state import AppState
from portway.engines.base import InstanceEngine, LogLine
from portway.store.base import Store

log = structlog.get_logger("portway.logs")

LOOK_S = 0.2
FLUSH_S = 0.2
LINES_MAX = 1000  # at a time, and as many again waiting


class Around(Protocol):
    """What of a controller it needs."""

    world: World
    engine: InstanceEngine
    store: Store
    clock: Clock


@dataclass(slots=True)
class _Position:
    """Where a stream ended when its lines were begun to be read: up to there they are known already."""

    last_ms: int
    count: int

    def is_new(self, line: LogLine) -> bool:
        if line.at_ms == self.last_ms and self.count:
            self.count -= 1
            return False
        return line.at_ms >= self.last_ms


@dataclass(slots=True)
class _Followed:
    """One instance that is read. `is_over`: it was read to its end."""

    is_over: bool = False
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class LogShipper:
    """Follows every instance that has containers with awslogs, each once."""

    def __init__(self, around: Around, names: AwsNames) -> None:
        self._around = around
        self._names = names
        self._followed: dict[str, _Followed] = {}
        self._known: dict[str, tuple[AppState, bool]] = {}
        self._told: set[str] = set()

    @property
    def _keeper(self) -> LogKeeper:
        return keeper_of(self._around.store.documents, self._around.clock.now_ms)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._look(group)
                await asyncio.sleep(LOOK_S)

    def _look(self, group: asyncio.TaskGroup) -> None:
        """Begin to read what is new; forget what is gone."""
        live: set[str] = set()
        for state in self._writing():
            for record, ways in self._to_read(state):
                live.add(record.id)
                if record.id not in self._followed:
                    followed = self._followed[record.id] = _Followed()
                    followed.task = group.create_task(self._follow(record.id, ways, followed))
        for instance_id in [*self._followed]:
            task = self._followed[instance_id].task
            is_idle = task is None or task.done()
            if is_idle and (instance_id not in live or not self._followed[instance_id].is_over):
                del self._followed[instance_id]

    def _writing(self) -> list[AppState]:
        """The Apps with containers that write to log groups; an App that stayed as it was is not looked through again."""
        apps, known = self._around.world.apps, self._known
        self._known = {
            app_id: kept
            if (kept := known.get(app_id)) is not None and kept[0] is state
            else (state, _writes(state))
            for app_id, state in apps.items()
        }
        return [state for state, writes in self._known.values() if writes]

    def _to_read(self, state: AppState) -> list[tuple[InstanceRecord, Mapping[str, Destination]]]:
        found: list[tuple[InstanceRecord, Mapping[str, Destination]]] = []
        for record in state.live:
            revision = state.revisions.get(record.identity.revision) or state.target
            if record.started_at_ms is None or revision is None or not has_logs(revision.app):
                continue
            task_id = task_id_of(record, self._names, origin_of(revision.app))
            found.append((record, destinations(revision.app, task_id)))
        return found

    async def _follow(
        self, instance_id: str, ways: Mapping[str, Destination], followed: _Followed
    ) -> None:
        """Read one instance to its end. What fails is begun again at the next look."""
        try:
            positions = {way: await self._prepared(way) for way in set(ways.values())}
            await self._ship(instance_id, ways, positions)
            followed.is_over = True
        except (NoSuchGroup, NoSuchStream):
            groups = sorted({way.group for way in ways.values()})
            if instance_id not in self._told:
                self._told.add(instance_id)
                log.warning("log_group_missing", instance=instance_id, groups=groups)
            await asyncio.sleep(1)
        except PortwayError as error:
            log.debug("logs_not_shipped", instance=instance_id, error=str(error))
            await asyncio.sleep(1)

    async def _prepared(self, way: Destination) -> _Position:
        """The stream is there, and where it ends is known."""
        if way.creates_group:
            await self._keeper.create_group(way.group)
        await self._keeper.create_stream(way.group, way.stream)
        last_ms, count = await self._keeper.end_of(way.group, way.stream)
        return _Position(last_ms, count)

    async def _ship(
        self,
        instance_id: str,
        ways: Mapping[str, Destination],
        positions: Mapping[Destination, _Position],
    ) -> None:
        lines: asyncio.Queue[LogLine | PortwayError | None] = asyncio.Queue(LINES_MAX)
        failure: Exception | None = None
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read(instance_id, lines))
            try:
                await self._keep_all(lines, ways, positions)
            except (PortwayError, NoSuchGroup, NoSuchStream) as error:
                failure = error  # out of the group as it is, not as a group of one
            finally:
                reading.cancel()
        if failure is not None:
            raise failure

    async def _read(
        self, instance_id: str, lines: asyncio.Queue[LogLine | PortwayError | None]
    ) -> None:
        """Put every line into the queue, and how it ended: None, or what went wrong."""
        try:
            async for line in self._around.engine.logs(instance_id, follow=True):
                await lines.put(line)
        except PortwayError as error:
            await lines.put(error)
        else:
            await lines.put(None)

    async def _keep_all(
        self,
        lines: asyncio.Queue[LogLine | PortwayError | None],
        ways: Mapping[str, Destination],
        positions: Mapping[Destination, _Position],
    ) -> None:
        while True:
            batch = [await lines.get()]
            await asyncio.sleep(FLUSH_S)  # what comes together is kept together
            while not lines.empty() and len(batch) < LINES_MAX:
                batch.append(lines.get_nowait())
            await self._keep([line for line in batch if isinstance(line, LogLine)], ways, positions)
            end = batch[-1]
            if isinstance(end, PortwayError):
                raise end
            if end is None:
                return

    async def _keep(
        self,
        batch: list[LogLine],
        ways: Mapping[str, Destination],
        positions: Mapping[Destination, _Position],
    ) -> None:
        kept: dict[Destination, list[tuple[int, str]]] = {}
        for line in batch:
            way = ways.get(line.container)
            if way is not None and positions[way].is_new(line) and line.text:
                kept.setdefault(way, []).append((line.at_ms, line.text))
        for way, found in kept.items():
            await self._keeper.append(way.group, way.stream, found)


def _writes(state: AppState) -> bool:
    revisions = (*state.revisions.values(), *((state.target,) if state.target else ()))
    return any(has_logs(revision.app) for revision in revisions)
