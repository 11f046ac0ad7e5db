"""The rules every InstanceEngine keeps, over every adapter of engines.py."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from portway.core.app import Resources
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.instance import EngineState, ObservedInstance
from portway.engines.base import InstanceEngine
from tests.contract.engines import (
    DEADLINE_S,
    EngineAdapter,
    all_lines,
    ended,
    printed,
    seen,
    until,
)

UNKNOWN = "contract/nobody.1.999"


MIB = 1024 * 1024


async def test_it_has_at_least_one_available_node_with_an_address(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    nodes = await engine.nodes()
    assert adapter.node in [node.name for node in nodes]
    assert all(node.available and node.address for node in nodes)


async def test_a_started_instance_is_listed_with_its_whole_identity(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("http")
    await engine.start(request)
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert instance.identity == request.identity
    assert instance.state is EngineState.RUNNING
    assert instance.started_at_ms is not None


async def test_starting_what_runs_changes_nothing(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("http")
    await engine.start(request)
    before = await seen(engine, request.identity.id)
    await engine.start(request)
    after = await seen(engine, request.identity.id)
    assert before is not None
    assert after is not None
    assert (after.state, after.started_at_ms) == (before.state, before.started_at_ms)


async def test_starting_the_same_instance_twice_at_once_runs_it_once(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("once",), runs_on=True)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(engine.start(request))
    await printed(engine, request.identity.id, "once")
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=5)
    lines = await all_lines(engine, request.identity.id)
    assert [line.text for line in lines] == ["once"]


async def test_starting_what_has_ended_does_not_run_it_again(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("once",))
    await engine.start(request)
    await ended(engine, request.identity.id)
    await engine.start(request)
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert instance.state is EngineState.EXITED
    assert [line.text for line in await all_lines(engine, request.identity.id)] == ["once"]


@pytest.mark.parametrize("exit_code", [0, 3, 255])
async def test_the_exit_code_is_reported(
    adapter: EngineAdapter, engine: InstanceEngine, exit_code: int
) -> None:
    request = adapter.request("exit", exit_code=exit_code)
    await engine.start(request)
    instance = await ended(engine, request.identity.id)
    assert instance.exit_code == exit_code
    assert not instance.oom_killed


async def test_an_instance_killed_from_outside_is_seen_as_ended_with_137(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("up",), runs_on=True)
    await engine.start(request)
    await printed(engine, request.identity.id, "up")
    await adapter.die(engine, request.identity.id)
    assert (await ended(engine, request.identity.id)).exit_code == 137


async def test_stop_signals_and_returns_once_it_has_ended(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("up",), runs_on=True)
    await engine.start(request)
    await printed(engine, request.identity.id, "up")
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=30)
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert (instance.state, instance.exit_code) == (EngineState.EXITED, 0)


async def test_stop_kills_what_ignores_the_signal_when_the_grace_period_is_over(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("stubborn")
    await engine.start(request)
    await printed(engine, request.identity.id, "ready")
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=1)
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert (instance.state, instance.exit_code) == (EngineState.EXITED, 137)


async def test_stopping_what_has_ended_changes_nothing(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("exit", exit_code=4)
    await engine.start(request)
    await ended(engine, request.identity.id)
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=5)
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert instance.exit_code == 4


async def test_stopping_or_removing_an_unknown_instance_is_nothing(engine: InstanceEngine) -> None:
    await engine.stop(UNKNOWN, signal="SIGTERM", grace_s=1)
    await engine.remove(UNKNOWN)


async def test_two_stops_at_once_both_return_once_it_has_ended(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("up",), runs_on=True)
    await engine.start(request)
    await printed(engine, request.identity.id, "up")
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.stop(request.identity.id, signal="SIGTERM", grace_s=20))
        group.create_task(engine.stop(request.identity.id, signal="SIGTERM", grace_s=20))
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert instance.state is EngineState.EXITED


async def test_removing_an_ended_instance_forgets_it(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("exit")
    await engine.start(request)
    await ended(engine, request.identity.id)
    await engine.remove(request.identity.id)
    assert await seen(engine, request.identity.id) is None
    await engine.remove(request.identity.id)


async def test_removing_a_running_instance_kills_it(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("http")
    await engine.start(request)
    if adapter.answers:
        await answers(engine, request.identity.id)
    before = await seen(engine, request.identity.id)
    await engine.remove(request.identity.id)
    assert await seen(engine, request.identity.id) is None
    if adapter.answers:
        assert before is not None
        with pytest.raises(OSError):  # noqa: PT011  (refused or unreachable, as the engine has it)
            await get(before)


async def test_whoever_follows_an_instance_reads_its_last_words_though_it_is_removed_at_once(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("up", "last words"), runs_on=True)
    await engine.start(request)
    await printed(engine, request.identity.id, "last words")
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        follower = group.create_task(texts(engine, request.identity.id))
        await asyncio.sleep(0)  # it has begun
        await adapter.die(engine, request.identity.id)
        await engine.remove(request.identity.id)
    assert follower.result()[:2] == ["up", "last words"]  # a shell may tell how it ended, too


async def texts(engine: InstanceEngine, wanted_id: str) -> list[str]:
    return [line.text async for line in engine.logs(wanted_id, follow=True)]


async def test_a_second_engine_with_the_same_home_adopts_what_runs(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    running, done = adapter.request("http"), adapter.request("exit", exit_code=7)
    await engine.start(running)
    await engine.start(done)
    await ended(engine, done.identity.id)
    await engine.close()
    heir = await adapter.engine()
    adopted = await seen(heir, running.identity.id)
    assert adopted is not None
    assert adopted.identity == running.identity
    assert adopted.state is EngineState.RUNNING
    assert (await ended(heir, done.identity.id)).exit_code == 7
    await heir.start(running)
    await heir.stop(running.identity.id, signal="SIGTERM", grace_s=2)
    assert (await ended(heir, running.identity.id)).state is EngineState.EXITED


async def test_the_exit_code_is_known_to_the_engine_that_adopted_the_instance(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("up",), runs_on=True)
    await engine.start(request)
    await printed(engine, request.identity.id, "up")
    await engine.close()
    heir = await adapter.engine()
    await adapter.die(heir, request.identity.id)
    assert (await ended(heir, request.identity.id)).exit_code == 137


async def test_another_home_sees_nothing_and_touches_nothing(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("http")
    await engine.start(request)
    other = await adapter.engine(home=1)
    assert await other.list() == ()
    await other.stop(request.identity.id, signal="SIGTERM", grace_s=1)
    await other.remove(request.identity.id)
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert instance.state is EngineState.RUNNING


async def test_a_listing_that_cannot_be_made_raises(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    with adapter.broken_listing(engine), pytest.raises(EngineError):
        await engine.list()
    assert await seen(engine, request.identity.id) is not None


async def test_an_exit_is_hinted_at(adapter: EngineAdapter, engine: InstanceEngine) -> None:
    request = adapter.request("print", lines=("up",), runs_on=True)
    await engine.start(request)
    await printed(engine, request.identity.id, "up")
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        hint = group.create_task(exit_hint(engine, request.identity.id))
        await asyncio.sleep(0.2)  # some engines connect only when the listener begins to wait
        await adapter.die(engine, request.identity.id)
    assert hint.result().state is EngineState.EXITED


async def exit_hint(engine: InstanceEngine, wanted_id: str) -> ObservedInstance:
    """The instance as listed after the hint that came with its end."""
    async for change in engine.changes():
        if change.instance_id in ("", wanted_id):
            instance = await seen(engine, wanted_id)
            assert instance is not None
            if instance.state is EngineState.EXITED:
                return instance
    raise AssertionError("the hints ended")


async def test_an_exit_of_an_adopted_instance_is_hinted_at(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("up",), runs_on=True)
    await engine.start(request)
    await printed(engine, request.identity.id, "up")
    await engine.close()
    heir = await adapter.engine()
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        hint = group.create_task(exit_hint(heir, request.identity.id))
        await asyncio.sleep(0.2)  # as above
        await adapter.die(heir, request.identity.id)
    assert hint.result().exit_code == 137


async def test_a_taken_host_port_is_refused_and_leaves_nothing_running(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("http")
    with adapter.taken(request), pytest.raises(EngineError) as refused:
        await engine.start(request)
    assert refused.value.kind == EngineErrorKind.PORT_TAKEN
    assert str(request.identity.leases[0].host_port) in str(refused.value)
    left = await seen(engine, request.identity.id)
    assert left is None or left.state is EngineState.CREATED
    await engine.start(request)
    again = await seen(engine, request.identity.id)
    assert again is not None
    assert again.state is EngineState.RUNNING


async def get(instance: ObservedInstance) -> bytes:
    """The first line an HTTP GET of the instance's only port brings, sent where a balancer would send it."""
    lease = instance.identity.leases[0]
    port_number = lease.container_port if instance.reaches_container else lease.host_port
    reader, writer = await asyncio.open_connection(instance.address, port_number)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        return await reader.readline()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def answers(engine: InstanceEngine, wanted_id: str) -> None:
    """Return once the instance answers HTTP."""

    async def does() -> bool:
        instance = await seen(engine, wanted_id)
        assert instance is not None
        with suppress(OSError):
            return (await get(instance)).startswith(b"HTTP/1.")
        return False

    await until(does, f"{wanted_id} answers HTTP")


async def test_the_port_answers_at_the_listed_address(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    if not adapter.answers:
        pytest.skip("instances of this engine do not listen")
    first, second = adapter.request("http"), adapter.request("http")
    await engine.start(first)
    await engine.start(second)
    await answers(engine, first.identity.id)
    await answers(engine, second.identity.id)


async def test_a_memory_limit_is_enforced_and_named_as_the_reason(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    if not adapter.enforces_memory:
        pytest.skip("this engine cannot limit memory here")
    request = adapter.request("greedy", resources=Resources(memory_bytes=32 * MIB))
    await engine.start(request)
    instance = await ended(engine, request.identity.id)
    assert instance.oom_killed
    assert instance.exit_code == 137


async def test_removing_a_stack_that_is_not_there_is_nothing(engine: InstanceEngine) -> None:
    await engine.remove_stack("nowhere")
