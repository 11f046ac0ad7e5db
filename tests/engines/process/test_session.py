"""Commands run beside a process."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

from portway.core.app import Resources
from portway.core.errors import EngineError, EngineErrorKind
from portway.engines.base import ExecRequest, Stream
from portway.engines.process import ProcessEngine
from tests.contract.engines import (
    DEADLINE_S,
    ProcessAdapter,
)
from tests.engines.process.support import (
    gone,
    needs_cgroups,
    read_all,
)


async def test_exec_with_a_terminal_has_one_of_the_size_asked_for(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    asked = ExecRequest(
        argv=(
            "sh",
            "-c",
            "test -t 0 && test -t 2 && stty size </dev/tty; read x; stty size; exit 6",
        ),
        tty=True,
        rows=40,
        columns=132,
    )
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
        output = session.output()
        assert await anext(output) == (Stream.STDOUT, b"40 132\r\n")
        await session.resize(rows=50, columns=100)
        await session.write(b"\n")
        rest = b"".join([data async for _, data in output])
        assert rest.endswith(b"50 100\r\n")
        assert await session.wait() == 6


async def test_exec_keeps_the_two_outputs_apart(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    asked = ExecRequest(argv=("sh", "-c", "echo out; echo err >&2"))
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
        got = {stream: data async for stream, data in session.output()}
    assert got == {Stream.STDOUT: b"out\n", Stream.STDERR: b"err\n"}


async def test_leaving_a_session_kills_the_command(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    asked = ExecRequest(argv=("sh", "-c", "echo $$; exec sleep 1000"))
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
        _, line = await anext(session.output())
    await gone(int(line))


async def test_a_large_input_and_output_pass_through_whole(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    data = os.urandom(3_000_000)
    async with (
        asyncio.timeout(60),
        engine.exec(request.identity.id, ExecRequest(argv=("cat",))) as session,
        asyncio.TaskGroup() as group,
    ):
        echoed = group.create_task(read_all(session))
        await session.write(data)
        await session.close_input()
    assert echoed.result() == data


async def test_a_session_ends_although_something_it_started_holds_its_output(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    asked = ExecRequest(argv=("sh", "-c", "sleep 1000 & echo $!"))
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
        left = int(await read_all(session))
        assert await session.wait() == 0
    os.kill(left, signal.SIGKILL)


async def test_a_late_check_leaves_nothing_running(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    note = adapter.directory / "pid"
    text = f"sleep 1000 & echo $! > {note}; wait"
    with pytest.raises(TimeoutError):
        await engine.run_check(request.identity.id, ("CMD-SHELL", text), timeout_s=1)
    await gone(int(note.read_text()))


async def test_a_check_keeps_only_the_end_of_a_long_output(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    result = await engine.run_check(
        request.identity.id, ("sh", "-c", "yes | head -c 300000; echo end"), timeout_s=DEADLINE_S
    )
    assert len(result.output) == 64 * 1024
    assert result.output.endswith("\nend\n")


@needs_cgroups
async def test_a_command_beside_an_instance_counts_against_its_limits(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep", resources=Resources(memory_bytes=64 << 20))
    await engine.start(request)
    result = await engine.run_check(
        request.identity.id, ("sh", "-c", "sleep 0.2; cat /proc/self/cgroup"), timeout_s=DEADLINE_S
    )
    assert adapter.home_ids[0] in result.output


async def test_a_missing_tool_of_the_system_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "setsid" else f"/bin/{name}")
    with pytest.raises(EngineError, match="setsid") as refused:
        await ProcessEngine(tmp_path, "x").open()
    assert refused.value.kind == EngineErrorKind.UNAVAILABLE
    assert "apt install" in refused.value.hint
