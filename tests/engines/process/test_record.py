"""What is kept of a process: adoption by the next controller, damaged records, reused pids, full disks."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from portway.core.errors import EngineError
from portway.core.instance import EngineState
from portway.engines.process import ProcessEngine
from portway.engines.process.kernel import alive, observe_process
from tests.contract.engines import (
    DEADLINE_S,
    ProcessAdapter,
    all_lines,
    ended,
    printed,
    process_of,
    seen,
)
from tests.engines.process.support import (
    CONTROLLER,
    gone,
    output_of,
    record_of,
    shell,
    supervisor_of,
)


async def test_the_record_alone_is_started_when_it_is_asked_for_again(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "echo once")
    await engine.start(request)
    await ended(engine, request.identity.id)
    directory = record_of(adapter, request.identity.id)
    record = directory.read()
    assert record is not None
    await engine.remove(request.identity.id)
    directory.create(record)  # what a crash between record and spawn leaves
    heir = await adapter.engine()
    left = await seen(heir, request.identity.id)
    assert left is not None
    assert left.state is EngineState.CREATED
    assert await output_of(heir, request) == ["once"]


async def test_a_supervisor_that_has_not_yet_written_anything_is_not_doubled(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "echo once")
    await engine.start(request)
    await ended(engine, request.identity.id)
    directory = record_of(adapter, request.identity.id)
    record = directory.read()
    assert record is not None
    await engine.remove(request.identity.id)
    directory.create(record)
    heir = await adapter.engine()
    with directory.lock_path.open() as supervisor:
        fcntl.flock(supervisor, fcntl.LOCK_EX)
        await heir.start(request)
        instance = await seen(heir, request.identity.id)
    assert instance is not None
    assert instance.state is EngineState.RUNNING
    assert await all_lines(heir, request.identity.id) == []
    assert await output_of(heir, request) == ["once"]


async def test_a_half_made_directory_is_swept_away(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    instances = adapter.directory / "home-0/instances"
    (instances / "contract%2Fexit.1.1").mkdir()
    (instances / ".removed-contract%2Fexit.1.2").mkdir()
    assert await engine.list() == ()
    await adapter.engine()
    assert list(instances.iterdir()) == []


async def test_a_damaged_record_is_never_taken_for_an_absent_one(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    await engine.close()
    path = record_of(adapter, request.identity.id).record_path
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    heir = ProcessEngine(adapter.directory / "home-0", adapter.home_ids[0])
    with pytest.raises(EngineError, match="cannot be read"):
        await heir.open()
    path.write_bytes(whole)


async def test_a_damaged_record_of_what_has_ended_is_swept_away(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("exit")
    await engine.start(request)
    await ended(engine, request.identity.id)
    await gone(await supervisor_of(engine, request.identity.id))
    await engine.close()
    record_of(adapter, request.identity.id).record_path.write_bytes(b"")
    heir = await adapter.engine()
    assert await heir.list() == ()
    await heir.start(request)
    assert (await ended(heir, request.identity.id)).exit_code == 0


async def test_instances_survive_the_kill_of_the_controller_and_are_adopted(
    adapter: ProcessAdapter,
) -> None:
    home, home_id = adapter.directory / "home-0", adapter.home_ids[0]
    request = shell(adapter, "echo up; read line <$FIFO; exit 5")
    fifo = adapter.directory / "fifo"
    os.mkfifo(fifo)
    request = replace(request, environment={"FIFO": str(fifo)})
    controller = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CONTROLLER, str(home), home_id, stdin=asyncio.subprocess.PIPE
    )
    await controller.communicate(msgspec.json.encode(request))
    assert controller.returncode == -signal.SIGKILL
    engine = await adapter.engine()
    await printed(engine, request.identity.id, "up")
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert (instance.identity, instance.state) == (request.identity, EngineState.RUNNING)
    changes = engine.changes()
    await asyncio.to_thread(fifo.write_text, "go\n")
    async with asyncio.timeout(DEADLINE_S):
        assert (await anext(changes)).instance_id == request.identity.id
    assert (await ended(engine, request.identity.id)).exit_code == 5


async def test_a_command_whose_supervisor_was_killed_still_runs_and_can_be_stopped(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "exec sleep 1000")
    await engine.start(request)
    pid = await process_of(engine, request.identity.id)
    os.kill(await supervisor_of(engine, request.identity.id), signal.SIGKILL)
    await gone(await supervisor_of(engine, request.identity.id))
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert instance.state is EngineState.RUNNING
    await engine.start(request)
    assert await process_of(engine, request.identity.id) == pid
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=DEADLINE_S)
    last = await ended(engine, request.identity.id)
    assert last.exit_code is None
    assert "supervisor was killed" in last.error


async def test_the_end_of_a_command_without_supervisor_is_hinted_at(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "exec sleep 1000")
    await engine.start(request)
    pid = await process_of(engine, request.identity.id)
    changes = engine.changes()
    os.kill(await supervisor_of(engine, request.identity.id), signal.SIGKILL)
    await gone(await supervisor_of(engine, request.identity.id))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(DEADLINE_S):
        assert (await anext(changes)).instance_id == request.identity.id
    assert (await ended(engine, request.identity.id)).state is EngineState.EXITED


async def test_a_process_that_has_the_pid_of_an_ended_one_is_left_alone(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "exec sleep 1000")
    await engine.start(request)
    pid = await process_of(engine, request.identity.id)
    supervisor = await supervisor_of(engine, request.identity.id)
    await engine.close()
    os.kill(supervisor, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        directory = record_of(adapter, request.identity.id)
        for name in ("child", "supervisor"):
            stat = (directory.path / name).read_text()
            (directory.path / name).write_text(f"{stranger.pid} {stat.partition(' ')[2]}")
        heir = await adapter.engine()
        assert (await ended(heir, request.identity.id)).state is EngineState.EXITED
        await heir.stop(request.identity.id, signal="SIGKILL", grace_s=1)
        await heir.remove(request.identity.id)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_after_a_restart_of_the_machine_nothing_is_taken_for_running(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "exec sleep 1000")
    await engine.start(request)
    pid = await process_of(engine, request.identity.id)
    await engine.close()
    directory = record_of(adapter, request.identity.id)
    record = directory.read()
    assert record is not None
    directory.record_path.write_bytes(
        msgspec.json.encode(replace(record, boot_id="an earlier one"))
    )
    heir = await adapter.engine()
    instance = await ended(heir, request.identity.id)
    assert "machine restarted" in instance.error
    os.kill(pid, signal.SIGKILL)
    await gone(pid)


async def test_two_installations_never_share_records_even_in_one_directory(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    other = ProcessEngine(adapter.directory / "home-0", "somebody-else")
    await other.open()
    try:
        assert await other.list() == ()
        await other.remove(request.identity.id)
        with pytest.raises(EngineError, match="belongs to another portway"):
            await other.start(request)
        assert await seen(engine, request.identity.id) is not None
        assert not list(Path("/sys/fs/cgroup").glob("**/portway/somebody-else"))
    finally:
        await other.close()


async def test_closing_the_engine_leaves_everything_running(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    pid = await process_of(engine, request.identity.id)
    await engine.close()
    status = observe_process(pid)
    assert status is not None
    assert alive(status.stamp)


async def test_many_instances_are_started_listed_and_stopped_at_once(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    requests = [shell(adapter, "exec sleep 1000") for _ in range(60)]
    async with asyncio.TaskGroup() as group:
        for request in requests:
            group.create_task(engine.start(request))
    assert {each.state for each in await engine.list()} == {EngineState.RUNNING}
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        for request in requests:
            group.create_task(engine.stop(request.identity.id, signal="SIGTERM", grace_s=60))
    assert {each.exit_code for each in await engine.list()} == {143}
    assert len(await engine.list()) == 60


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "small"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler


@pytest.mark.root
async def test_a_full_disk_is_named_and_what_runs_keeps_its_exit_code(small_disk: Path) -> None:
    adapter = ProcessAdapter(small_disk)
    try:
        engine = await adapter.engine()
        first, second = shell(adapter, "echo up; exec sleep 1000"), shell(adapter, "true")
        await engine.start(first)
        await printed(engine, first.identity.id, "up")
        filler = fill(small_disk)
        with pytest.raises(EngineError, match="No space left") as refused:
            await engine.start(second)
        assert "Make room" in refused.value.hint
        assert await seen(engine, second.identity.id) is None
        await engine.stop(first.identity.id, signal="SIGTERM", grace_s=DEADLINE_S)
        assert (await ended(engine, first.identity.id)).exit_code == 143
        filler.unlink()
        await engine.start(second)
        assert (await ended(engine, second.identity.id)).exit_code == 0
    finally:
        await adapter.cleanup()


async def test_following_goes_on_across_rotations_without_repeating_a_line(
    adapter: ProcessAdapter,
) -> None:
    engine = ProcessEngine(
        adapter.directory / "home-0", adapter.home_ids[0], log_size_max_bytes=1000
    )
    await engine.open()
    adapter.engines.append((0, engine))
    script = "n=0; while [ $n -lt 300 ]; do n=$((n+1)); echo line $n; sleep 0.01; done"
    request = shell(adapter, script)
    await engine.start(request)
    async with asyncio.timeout(60):
        lines = await all_lines(engine, request.identity.id, follow=True)
    numbers = [int(line.text.removeprefix("line ")) for line in lines]
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1]) == (1, 300)
    assert len(numbers) > 290  # a line written in the moment between copy and cut may be lost
    assert (record_of(adapter, request.identity.id).path / "stdout.log.1").exists()


async def test_unfinished_and_undecodable_lines_are_given_all_the_same(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    lines = await output_of(engine, shell(adapter, r"printf 'caf\351\r\nno newline'"))
    assert lines == ["caf\ufffd", "no newline"]
