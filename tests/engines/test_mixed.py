"""Containers and processes side by side: each App where it can run, and neither hidden by what happens to the other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from portway.core.app import App, Build
from portway.core.errors import EngineError
from portway.core.instance import EngineState, InstanceIdentity
from portway.core.state import Revision
from portway.engines import mixed
from portway.engines.base import EngineChange, PartlySeenError, StartRequest
from portway.engines.memory import Fault, FaultKind, ImageBehaviour, MemoryEngine
from portway.engines.mixed import MixedEngine
from portway.engines.process import ProcessEngine

IMAGE = App(id="both/image", image="web")
BARE = App(id="both/bare", command=("sh", "-c", "echo hello; exec sleep 60"))


class Both:
    """One mixed engine over an engine in memory and real processes."""

    def __init__(self, home: Path) -> None:
        self.containers = MemoryEngine()
        self.home, self.home_id = home, f"mixed-{os.getpid()}"
        self.engine = self.another()

    def another(self) -> MixedEngine:
        return MixedEngine(self.containers, ProcessEngine(self.home, self.home_id))

    async def started(self, app: App) -> str:
        identity = InstanceIdentity(
            id=f"{app.id}.1.1",
            app_id=app.id,
            slot=1,
            serial=1,
            revision="R-1",
            release="R",
            node=(await self.engine.nodes())[0].name,
            leases=(),
        )
        revision = Revision(id="R-1", release="R", app=app)
        await self.engine.start(
            StartRequest(
                identity=identity,
                revision=revision,
                environment={},
                command=app.command,
                command_text=None,
            )
        )
        return identity.id

    async def listed(self) -> list[str]:
        return sorted(one.id for one in await self.engine.list())


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    made = Both(tmp_path)
    made.containers.world.behaviours["web"] = ImageBehaviour(lines=("from a container",))
    await made.engine.open()
    yield made
    made.containers.clear_faults()
    for instance in await made.engine.list():
        await made.engine.remove(instance.id)
    await made.engine.close()


async def lines_of(engine: MixedEngine, instance_id: str) -> list[str]:
    return [line.text async for line in engine.logs(instance_id)]


async def _next(changes: AsyncIterator[EngineChange]) -> str:
    return (await anext(changes)).instance_id


async def test_each_app_runs_where_it_can_and_both_are_listed_together(both: Both) -> None:
    await both.started(IMAGE)
    await both.started(BARE)
    assert [one.id for one in await both.containers.list()] == ["both/image.1.1"]
    assert await both.listed() == ["both/bare.1.1", "both/image.1.1"]


async def test_there_is_one_node_for_both(both: Both) -> None:
    assert await both.engine.nodes() == await both.containers.nodes()


def test_an_app_that_has_to_be_built_is_one_with_an_image() -> None:
    assert App(id="s/a", build=Build(context="/src")).names_image
    assert not BARE.names_image


async def test_an_instance_is_spoken_to_where_it_is(both: Both) -> None:
    container, process = await both.started(IMAGE), await both.started(BARE)
    assert await lines_of(both.engine, container) == ["from a container"]
    async with asyncio.timeout(20), aclosing(both.engine.logs(process, follow=True)) as lines:  # type: ignore[type-var]
        assert (await anext(lines)).text == "hello"
    for instance_id in (container, process):
        await both.engine.stop(instance_id, signal="SIGTERM", grace_s=5)
    assert {one.state for one in await both.engine.list()} == {EngineState.EXITED}
    for instance_id in (container, process):
        await both.engine.remove(instance_id)
    assert await both.listed() == []


async def test_containers_that_cannot_be_listed_hide_no_process(both: Both) -> None:
    await both.started(IMAGE)
    await both.started(BARE)
    both.containers.inject(
        Fault(operation="list", error=EngineError("no daemon", hint="Start it."))
    )
    with pytest.raises(PartlySeenError, match="no daemon\n  Start it") as told:
        await both.engine.list()
    assert [one.id for one in told.value.seen] == ["both/bare.1.1"]
    assert (told.value.hides(IMAGE), told.value.hides(BARE)) == (True, False)
    assert len(await both.listed()) == 2


async def test_processes_that_cannot_be_listed_hide_no_container(both: Both) -> None:
    await both.started(IMAGE)
    (both.home / "instances").rename(both.home / "away")
    with pytest.raises(PartlySeenError) as told:
        await both.engine.list()
    (both.home / "away").rename(both.home / "instances")
    assert [one.id for one in told.value.seen] == ["both/image.1.1"]
    assert (told.value.hides(IMAGE), told.value.hides(BARE)) == (False, True)


async def test_where_neither_can_be_listed_nothing_is_known(both: Both) -> None:
    both.containers.inject(Fault(operation="list", error=EngineError("no daemon")))
    (both.home / "instances").rename(both.home / "away")
    with pytest.raises(EngineError, match="no daemon") as told:
        await both.engine.list()
    (both.home / "away").rename(both.home / "instances")
    assert not isinstance(told.value, PartlySeenError)


async def test_a_listing_that_hangs_holds_the_other_up_for_a_time_only(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixed, "LIST_TIMEOUT_S", 0.05)
    both.containers.inject(Fault(operation="list", kind=FaultKind.HANG))
    with pytest.raises(PartlySeenError, match="memory engine did not say within 0.05 s"):
        await both.engine.list()


async def test_usage_of_one_is_told_where_the_other_fails(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    container, process = await both.started(IMAGE), await both.started(BARE)

    async def fail(_: object) -> None:
        raise EngineError("no daemon")

    monkeypatch.setattr(both.containers, "usage", fail)
    assert set(await both.engine.usage([container, process])) == {process}
    with pytest.raises(EngineError, match="no daemon"):
        await both.engine.usage([container])


async def test_hints_of_both_arrive_and_an_end_of_listening_leaves_nothing(both: Both) -> None:
    heard: set[str] = set()
    async with aclosing(both.engine.changes()) as changes:  # type: ignore[type-var]
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(_next(changes))
            await both.started(IMAGE)
            process = await both.started(BARE)
            heard.add(await waiting)
        await both.engine.stop(process, signal="SIGKILL", grace_s=0)
        async with asyncio.timeout(10):
            while heard < {"both/image.1.1", "both/bare.1.1"}:
                heard.add(await _next(changes))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_another_server_adopts_both(both: Both) -> None:
    await both.started(IMAGE)
    await both.started(BARE)
    await both.engine.close()
    both.engine = both.another()
    await both.engine.open()
    assert await both.listed() == ["both/bare.1.1", "both/image.1.1"]


async def test_where_one_cannot_be_opened_neither_is(tmp_path: Path) -> None:
    made = Both(tmp_path)
    made.containers.inject(Fault(operation="open", error=EngineError("no daemon")))
    with pytest.raises(EngineError, match="no daemon"):
        await made.engine.open()
    assert not (tmp_path / "instances").exists()


def test_its_traits_are_those_of_containers_and_it_runs_commands_besides(tmp_path: Path) -> None:
    containers = MemoryEngine()
    traits = MixedEngine(containers, ProcessEngine(tmp_path, "x")).traits
    assert traits == replace(containers.traits, runs_commands=True, runs_both=True)
