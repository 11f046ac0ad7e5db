"""What every engine promises about what an instance writes and about commands run inside it."""

from __future__ import annotations

import asyncio

import pytest

from portway.core.errors import EngineError, EngineErrorKind
from portway.engines.base import ExecRequest, ExecSession, InstanceEngine, Stream
from tests.contract.engines import (
    DEADLINE_S,
    EngineAdapter,
    all_lines,
    ended,
    printed,
    seen,
)

UNKNOWN = "contract/nobody.1.999"


async def test_logs_are_whole_in_order_and_by_stream(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    lines = tuple(f"line {n}" for n in range(200))
    request = adapter.request("print", lines=lines, error_lines=("bad", "worse"))
    await engine.start(request)
    await ended(engine, request.identity.id)
    logged = await all_lines(engine, request.identity.id)
    assert [line.text for line in logged if line.stream is Stream.STDOUT] == list(lines)
    assert [line.text for line in logged if line.stream is Stream.STDERR] == ["bad", "worse"]
    for stream in Stream:  # of two streams the engine may have read either one first
        times = [line.at_ms for line in logged if line.stream is stream]
        assert times == sorted(times)
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert instance.started_at_ms is not None
    assert all(at_ms >= instance.started_at_ms - 1000 for at_ms in times)


async def test_tail_gives_only_the_last_lines(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("one", "two", "three"))
    await engine.start(request)
    await ended(engine, request.identity.id)
    logged = await all_lines(engine, request.identity.id, tail=2)
    assert [line.text for line in logged] == ["two", "three"]
    assert await all_lines(engine, request.identity.id, tail=0) == []


async def test_following_ends_when_the_instance_ends(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("one", "two"), runs_on=True)
    await engine.start(request)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        following = group.create_task(all_lines(engine, request.identity.id, follow=True))
        await printed(engine, request.identity.id, "two")
        await asyncio.sleep(0.1)
        assert not following.done()
        await engine.stop(request.identity.id, signal="SIGTERM", grace_s=5)
    assert [line.text for line in following.result()] == ["one", "two"]


async def test_following_what_has_ended_gives_its_lines_and_ends(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("print", lines=("last words",))
    await engine.start(request)
    await ended(engine, request.identity.id)
    async with asyncio.timeout(DEADLINE_S):
        logged = await all_lines(engine, request.identity.id, follow=True)
    assert [line.text for line in logged] == ["last words"]


async def test_logs_of_an_unknown_instance_are_not_found(engine: InstanceEngine) -> None:
    with pytest.raises(EngineError) as refused:
        await all_lines(engine, UNKNOWN)
    assert refused.value.kind == EngineErrorKind.NOT_FOUND


@pytest.mark.parametrize("exit_code", [0, 1, 5])
async def test_a_check_reports_its_exit_code_and_output(
    adapter: EngineAdapter, engine: InstanceEngine, exit_code: int
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    result = await engine.run_check(
        request.identity.id, ("sh", "-c", f"exit {exit_code}"), timeout_s=10
    )
    assert result.exit_code == exit_code
    said = await engine.run_check(request.identity.id, ("echo", "fine", "so far"), timeout_s=10)
    assert (said.exit_code, said.output) == (0, "fine so far\n")


async def test_a_check_written_as_text_goes_through_a_shell(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    result = await engine.run_check(
        request.identity.id, ("CMD-SHELL", "echo 'in a shell'"), timeout_s=10
    )
    assert (result.exit_code, result.output) == (0, "in a shell\n")


async def test_a_check_that_takes_too_long_is_a_timeout(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(TimeoutError):
            await engine.run_check(request.identity.id, ("sleep", "600"), timeout_s=0.5)


async def test_a_check_in_an_unknown_instance_is_not_found(engine: InstanceEngine) -> None:
    with pytest.raises(EngineError) as refused:
        await engine.run_check(UNKNOWN, ("true",), timeout_s=5)
    assert refused.value.kind == EngineErrorKind.NOT_FOUND


async def test_the_environment_reaches_the_instance(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    value = "a b'c\"d $HOME \\n é"
    request = adapter.request("sleep", environment={"GREETING": value, "EMPTY": ""})
    await engine.start(request)
    result = await engine.run_check(request.identity.id, ("printenv", "GREETING"), timeout_s=10)
    assert (result.exit_code, result.output) == (0, value + "\n")
    empty = await engine.run_check(request.identity.id, ("printenv", "EMPTY"), timeout_s=10)
    assert (empty.exit_code, empty.output) == (0, "\n")


async def read_all(session: ExecSession) -> bytes:
    return b"".join([data async for stream, data in session.output() if stream is Stream.STDOUT])


async def test_exec_gives_output_and_exit_code(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    asked = ExecRequest(argv=("printenv", "EXTRA"), environment={"EXTRA": "given"})
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
        assert await read_all(session) == b"given\n"
        assert await session.wait() == 0
    failing = ExecRequest(argv=("sh", "-c", "exit 9"))
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, failing) as session:
        assert await session.wait() == 9


async def test_exec_reads_what_is_written_to_it_until_its_input_is_closed(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    async with (
        asyncio.timeout(DEADLINE_S),
        engine.exec(request.identity.id, ExecRequest(argv=("cat",))) as session,
    ):
        await session.write(b"hello ")
        await session.write(b"there\n")
        await session.close_input()
        assert await read_all(session) == b"hello there\n"
        assert await session.wait() == 0


async def test_exec_of_a_program_that_is_not_there_is_a_bad_command(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    asked = ExecRequest(argv=("no-such-program-anywhere",))
    with pytest.raises(EngineError) as refused:
        async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
            await session.wait()
    assert refused.value.kind == EngineErrorKind.BAD_COMMAND


async def test_exec_in_an_unknown_or_ended_instance_is_not_found(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = adapter.request("exit")
    await engine.start(request)
    await ended(engine, request.identity.id)
    for instance_id in (UNKNOWN, request.identity.id):
        with pytest.raises(EngineError) as refused:
            async with engine.exec(instance_id, ExecRequest(argv=("true",))):
                pass
        assert refused.value.kind == EngineErrorKind.NOT_FOUND
