"""Hints: one for each change, and one to look at everything whenever some may have been missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from portway.engines.base import EngineChange
from portway.engines.docker import changes
from portway.engines.docker.client import DockerClient
from portway.engines.docker.engine import DockerEngine
from tests.engines.docker.support import Requests, until
from tests.engines.docker.wire import Wire

pytestmark = pytest.mark.docker


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    made = Wire(tmp_path / "docker.sock")
    await made.listen()
    yield made
    await made.deafen()


@asynccontextmanager
async def heard(hints: AsyncIterator[EngineChange]) -> AsyncIterator[list[str]]:
    """The instance ids of the hints so far, as they come."""
    ids: list[str] = []

    async def listen() -> None:
        async for change in hints:
            ids.append(change.instance_id)

    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        try:
            yield ids
        finally:
            listening.cancel()


async def until_heard(ids: list[str], instance_id: str, *, times: int = 1) -> None:
    async def enough() -> bool:
        return ids.count(instance_id) >= times

    await until(enough, f"{times} x {instance_id!r} in {ids}")


async def test_the_first_hint_is_to_look_at_everything_then_one_for_each_change(
    engine: DockerEngine, requests: Requests, home: str
) -> None:
    stranger = DockerEngine(f"{home}x")
    await stranger.open()
    request = requests.shell("exit 1")
    async with heard(engine.changes()) as mine, heard(stranger.changes()) as theirs:
        await until_heard(mine, "")
        await until_heard(theirs, "")
        await engine.start(request)
        await until_heard(mine, request.identity.id, times=3)
        await engine.remove(request.identity.id)
        await until_heard(mine, request.identity.id, times=4)
        assert set(theirs) == {""}
    await stranger.close()


async def test_what_a_hint_tells_of_is_listed_when_it_comes(
    engine: DockerEngine, requests: Requests
) -> None:
    wanted = [requests.shell(f"sleep 0.5; exit {n}") for n in range(8)]
    for request in wanted:
        await engine.start(request)
    left = {request.identity.id for request in wanted}
    async with asyncio.timeout(30):
        async for change in engine.changes():
            for instance in await engine.list():
                if change.instance_id in ("", instance.id) and instance.exit_code is not None:
                    left.discard(instance.id)
            if not left:
                break


async def test_checks_inside_an_instance_are_no_changes(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    async with heard(engine.changes()) as ids:
        await until_heard(ids, "")
        for _ in range(3):
            await engine.run_check(request.identity.id, ("true",), timeout_s=20)
        before = ids.count(request.identity.id)
        await engine.stop(request.identity.id, signal="SIGKILL", grace_s=5)
        await until_heard(ids, request.identity.id, times=before + 1)
        assert before <= 2  # create and start, when the daemon repeats its last second


async def test_after_every_reconnection_everything_is_to_be_looked_at(
    wire: Wire, requests: Requests, engine: DockerEngine, home: str
) -> None:
    client = DockerClient(wire.docker_host)
    await client.open()
    async with heard(changes.read_changes(client, home_id=home)) as ids:
        await until_heard(ids, "")
        wire.cut()
        await until_heard(ids, "", times=2)
        await wire.deafen()
        await asyncio.sleep(0.3)  # let an attempt or two fail
        await wire.listen()
        await until_heard(ids, "", times=3)
        request = requests.sleeper()
        await engine.start(request)
        await until_heard(ids, request.identity.id)
    await client.close()


async def test_a_daemon_that_freezes_is_noticed_and_found_again(wire: Wire, home: str) -> None:
    client = DockerClient(wire.docker_host, quick_s=0.3, silence_s=0.1)
    await client.open()
    async with heard(changes.read_changes(client, home_id=home)) as ids:
        await until_heard(ids, "")
        wire.freeze()
        connections = wire.connections

        async def tried_again() -> bool:
            return wire.connections >= connections + 2

        await until(tried_again, "the ping and a new stream")
        wire.thaw()
        await until_heard(ids, "", times=ids.count("") + 1)
    await client.close()


async def test_a_stream_that_stays_silent_is_made_anew_now_and_then(wire: Wire, home: str) -> None:
    client = DockerClient(wire.docker_host, silence_s=0.05)
    await client.open()
    async with heard(changes.read_changes(client, home_id=home)) as ids:
        await until_heard(ids, "", times=3)
    await client.close()


class Babbling:
    """A daemon whose first words are no event, and that says one when it is asked again."""

    def __init__(self) -> None:
        self.said = [b'{"Action": "\xff"}\n', b'{"Actor": {"Attributes": {"portway.instance": "a"}}, "Action": "start"}\n']  # fmt: skip

    @asynccontextmanager
    async def stream(self, *_: object, **__: object) -> AsyncIterator[AsyncIterator[bytes]]:
        async def bits() -> AsyncIterator[bytes]:
            yield self.said.pop(0)

        yield bits()


async def test_what_is_no_event_cuts_the_stream_and_does_not_end_the_watching() -> None:
    hints = changes.read_changes(Babbling(), home_id="h")  # type: ignore[arg-type]
    assert [(await anext(hints)).instance_id for _ in range(3)] == ["", "", "a"]
