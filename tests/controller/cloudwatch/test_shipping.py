"""The output of containers goes to streams, once, and stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from portway.controller.cloudwatch.keeping import LogKeeper, NoSuchGroup, keeper_of
from portway.controller.cloudwatch.shipping import LogShipper
from portway.controller.world import World
from portway.core.app import App
from portway.core.aws_names import AwsNames
from portway.core.ecs.labels import Origin, labels_of
from portway.core.errors import EngineError
from portway.core.instance import InstanceIdentity, InstanceRecord
from portway.core.state import AppState, Revision
from portway.engines.base import LogLine, Stream
from portway.store.memory import MemoryStore
from tests.controller.inprocess import EPOCH_MS, LoopClock

VIRTUAL_TIME = True
STREAM = "ecs/nginx/t1"
ID = "c/web.1.1"


class Engine:
    """Says its lines, and then goes on or ends."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.said = asyncio.Event()
        self.is_over = False
        self.failures = 0

    def say(self, *texts: str, at_ms: int = EPOCH_MS) -> None:
        self.lines += [LogLine(at_ms=at_ms, stream=Stream.STDOUT, text=text) for text in texts]
        self.said.set()

    def end(self) -> None:
        self.is_over = True
        self.said.set()

    async def logs(
        self, instance_id: str, *, follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[LogLine]:
        if self.failures:
            self.failures -= 1
            raise EngineError("The daemon is away.")
        at = 0
        while True:
            self.said.clear()
            while at < len(self.lines):
                at += 1
                yield self.lines[at - 1]
            if self.is_over:
                return
            await self.said.wait()


class Around:
    """What a shipper needs of a controller."""

    def __init__(self, *, creates_group: bool = False) -> None:
        self.world, self.clock, self.store = World(), LoopClock(), MemoryStore()
        self.engine: Any = Engine()
        options = {
            "portway.logs.awslogs-group": "g",
            "portway.logs.awslogs-stream-prefix": "ecs",
            "portway.logs.awslogs-create-group": str(creates_group).lower(),
        }
        labels = labels_of(Origin(kind="task", cluster="c", task_id="t1"))
        app = App(id="c/web", container_name="nginx", labels={**labels, **options})
        identity = InstanceIdentity(
            id=ID, app_id="c/web", release="r", revision="r", slot=1, serial=1, node="n", leases=()
        )
        record = InstanceRecord(identity=identity, planned_at_ms=1, started_at_ms=2)
        state = AppState(
            app_id="c/web",
            target=Revision(id="r", release="r", app=app),
            instances=(record,),
        )
        self.world.apps["c/web"] = state

    @property
    def keeper(self) -> LogKeeper:
        return keeper_of(self.store.documents, self.clock.now_ms)

    async def messages(self) -> list[str]:
        try:
            streams = await self.keeper.streams("g")
        except NoSuchGroup:
            return []
        found = await self.keeper.events("g", [each.body["name"] for each in streams])
        return [event.message for event in found]

    async def sees(self, *expected: str) -> None:
        async with asyncio.timeout(60):
            while await self.messages() != list(expected):
                await asyncio.sleep(0.1)


@asynccontextmanager
async def shipping(around: Around) -> AsyncGenerator[None]:
    names = AwsNames(region="us-east-1", account_id="0" * 12)
    task = asyncio.get_running_loop().create_task(LogShipper(cast("Any", around), names).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
async def around() -> Around:
    made = Around()
    await made.store.open()
    await made.keeper.create_group("g")
    return made


async def test_what_a_task_writes_is_in_its_stream_and_stays_when_it_is_gone(around: Around):
    async with shipping(around):
        around.engine.say("one", "", "two")
        await around.sees("one", "two")
        (stream,) = await around.keeper.streams("g")
        assert stream.body["name"] == STREAM
        around.engine.say("last words", at_ms=EPOCH_MS + 5)
        around.engine.end()
        await around.sees("one", "two", "last words")
        del around.world.apps["c/web"]
        await asyncio.sleep(5)
        assert await around.messages() == ["one", "two", "last words"]


async def test_another_portway_goes_on_after_the_last_line_that_was_kept(around: Around):
    async with shipping(around):
        around.engine.say("one")
        around.engine.say("two", "three", at_ms=EPOCH_MS + 1)
        await around.sees("one", "two", "three")
    around.engine.say("four", at_ms=EPOCH_MS + 1)
    async with shipping(around):
        await around.sees("one", "two", "three", "four")
        await asyncio.sleep(5)
        assert await around.messages() == ["one", "two", "three", "four"]


async def test_a_group_that_comes_late_loses_nothing():
    around = Around()
    await around.store.open()
    async with shipping(around):
        around.engine.say("one")
        await asyncio.sleep(5)
        assert await around.messages() == []
        await around.keeper.create_group("g")
        await around.sees("one")


async def test_a_group_is_made_where_the_task_asks_for_it():
    around = Around(creates_group=True)
    await around.store.open()
    async with shipping(around):
        around.engine.say("one")
        await around.sees("one")


async def test_an_engine_that_fails_is_asked_again(around: Around):
    around.engine.failures = 2
    async with shipping(around):
        around.engine.say("one")
        await around.sees("one")


async def test_a_stream_deleted_in_the_middle_is_begun_anew(around: Around):
    async with shipping(around):
        around.engine.say("one")
        await around.sees("one")
        await around.keeper.delete_stream("g", STREAM)
        around.engine.say("two", at_ms=EPOCH_MS + 1)
        await around.sees("one", "two")
