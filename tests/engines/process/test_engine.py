"""What only plain processes have: how a command is run, ended and cleaned up after, and its limits."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from portway.core.app import App, Build, Resources
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.instance import EngineState
from portway.core.state import Revision
from portway.engines.process import ProcessEngine
from tests.contract.engines import (
    DEADLINE_S,
    ProcessAdapter,
    ended,
    printed,
    seen,
)
from tests.engines.process.support import (
    first_pid,
    gone,
    needs_cgroups,
    output_of,
    record_of,
    running,
    shell,
    ungrouped,
)


async def test_a_command_written_as_text_goes_through_a_shell(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "echo $GREETING | tr a-z A-Z && echo done")
    request = replace(request, environment={"GREETING": "hello"})
    assert await output_of(engine, request) == ["HELLO", "done"]


async def test_the_entrypoint_comes_before_the_command(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = running(adapter, "one", "two words", entrypoint=("printf", "%s\\n"))
    assert await output_of(engine, request) == ["one", "two words"]


async def test_only_a_minimal_environment_is_inherited(
    adapter: ProcessAdapter, engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTWAY_TOKEN", "secret")
    lines = await output_of(engine, running(adapter, "env"))
    names = {line.partition("=")[0] for line in lines}
    assert "PATH" in names
    assert "PORTWAY_TOKEN" not in names
    assert not {name for name in names if name.startswith("__portway")}


async def test_a_variable_with_a_name_no_shell_could_write_reaches_the_command(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = replace(running(adapter, "env"), environment={"discovery.type": "single-node"})
    assert "discovery.type=single-node" in await output_of(engine, request)


async def test_a_command_starts_with_default_signals_and_no_foreign_descriptors(
    adapter: ProcessAdapter,
) -> None:
    foreign, other = os.pipe()
    os.set_inheritable(foreign, True)
    try:
        engine = await adapter.engine()
        text = "grep -E 'SigIgn|SigBlk' /proc/self/status; ls /proc/self/fd"
        lines = await output_of(engine, shell(adapter, text))
    finally:
        os.close(foreign)
        os.close(other)
    kept_by_libc = 0b11 << 31  # signals 32 and 33, which no program can set
    assert [int(line.split()[1], 16) & ~kept_by_libc for line in lines[:2]] == [0, 0]
    assert lines[2:] == ["0", "1", "2", "3"]  # 3 is the directory that ls reads


async def test_relative_working_directories_begin_where_the_stack_was_deployed_from(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    (adapter.directory / "inner").mkdir()
    lines = await output_of(engine, running(adapter, "pwd", working_dir="inner"))
    assert lines == [str(adapter.directory / "inner")]


@pytest.mark.root
@pytest.mark.parametrize(
    ("user", "ids"), [("nobody", "65534 65534"), ("nobody:0", "65534 0"), ("4321", "4321 4321")]
)
async def test_root_runs_a_command_as_the_user_it_asks_for(
    adapter: ProcessAdapter, engine: ProcessEngine, user: str, ids: str
) -> None:
    request = shell(adapter, "echo $(id -u) $(id -g); exec sleep 1000", user=user, working_dir="/")
    await engine.start(request)
    await printed(engine, request.identity.id, ids)
    checked = await engine.run_check(request.identity.id, ("id", "-u"), timeout_s=10)
    assert checked.output.strip() == ids.split()[0]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"user": "no-such-user"}, "no such user"),
        ({"user": "nobody:no-such-group"}, "no such group"),
        ({"working_dir": "nowhere"}, "does not exist"),
        ({"entrypoint": ("no-such-program",)}, "no such program on PATH"),
        ({"entrypoint": ("./missing",)}, "no such program in"),
        ({"entrypoint": ("./plain.txt",)}, "not an executable file"),
        ({"environment": {"A=B": "1"}}, "environment variable"),
    ],
)
async def test_what_cannot_run_is_refused_with_a_sentence(
    adapter: ProcessAdapter, engine: ProcessEngine, wanted: dict[str, object], says: str
) -> None:
    (adapter.directory / "plain.txt").write_text("not a program")
    environment = wanted.pop("environment", {})
    request = running(adapter, "true", **wanted)
    assert isinstance(environment, dict)
    with pytest.raises(EngineError, match=says) as refused:
        await engine.start(replace(request, environment=environment))
    assert refused.value.kind == EngineErrorKind.BAD_COMMAND
    assert refused.value.hint
    assert not refused.value.retryable
    assert await engine.list() == ()


async def test_an_app_with_only_an_image_is_told_to_use_another_engine(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = running(adapter, "true")
    app = App(id="contract/exit", image="nginx")
    request = replace(request, command=None, revision=Revision(id="R", release="R", app=app))
    with pytest.raises(EngineError, match="runs commands, not images") as refused:
        await engine.start(request)
    assert "--engine docker" in refused.value.hint


async def test_images_can_be_neither_pulled_nor_built_nor_resolved(engine: ProcessEngine) -> None:
    async def context() -> AsyncIterator[bytes]:
        yield b""

    async def pull() -> None:
        async for _ in engine.pull("nginx"):
            pass

    async def build() -> None:
        async for _ in engine.build(Build(context="/app"), tag="x", context=context()):
            pass

    for attempt in (engine.resolve_image("nginx"), pull(), build()):
        with pytest.raises(EngineError, match="runs commands, not images"):
            await attempt
    assert await engine.exposed_ports("nginx") == ()


async def test_a_program_the_shell_cannot_find_is_named_when_it_has_ended(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "no-such-program --flag")
    await engine.start(request)
    instance = await ended(engine, request.identity.id)
    assert instance.exit_code == 127
    assert "not found" in instance.error
    assert "no-such-program" in instance.error


async def test_a_crash_is_named_by_its_signal(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "kill -SEGV $$")
    await engine.start(request)
    instance = await ended(engine, request.identity.id)
    assert instance.exit_code == 139
    assert "Segmentation fault" in instance.error


async def test_an_unknown_stop_signal_is_refused(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep")
    await engine.start(request)
    with pytest.raises(EngineError, match="SIGNONSENSE"):
        await engine.stop(request.identity.id, signal="SIGNONSENSE", grace_s=1)


async def test_any_signal_can_be_the_stop_signal(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "trap 'exit 42' USR2; echo up; while :; do sleep 0.1 & wait; done")
    await engine.start(request)
    await printed(engine, request.identity.id, "up")
    await engine.stop(request.identity.id, signal="SIGUSR2", grace_s=DEADLINE_S)
    assert (await ended(engine, request.identity.id)).exit_code == 42


async def test_stopping_reaches_everything_the_command_started(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "sleep 1000 & echo $!; sleep 1000")
    await engine.start(request)
    inner = await first_pid(engine, request)
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=DEADLINE_S)
    await gone(inner)


async def test_work_that_outlives_its_shell_has_the_whole_grace_period(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    finished = adapter.directory / "finished"
    worker = f"trap 'sleep 0.5; touch {finished}; exit' TERM; echo up; while :; do sleep 0.1; done"
    request = shell(adapter, f'sh -c "{worker}"; echo never')
    await engine.start(request)
    await printed(engine, request.identity.id, "up")
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=DEADLINE_S)
    assert finished.exists()


@pytest.mark.parametrize("grouped", [True, False], ids=["control groups", "markers"])
async def test_removing_kills_what_the_command_left_behind(
    adapter: ProcessAdapter, grouped: bool
) -> None:
    engine = await adapter.engine() if grouped else await ungrouped(adapter)
    request = shell(adapter, "sleep 1000 & echo $!")
    await engine.start(request)
    await ended(engine, request.identity.id)
    left = await first_pid(engine, request)
    await engine.remove(request.identity.id)
    await gone(left)


@needs_cgroups
async def test_removing_kills_even_what_made_a_session_of_its_own(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = shell(adapter, "setsid sleep 1000 & echo $!")
    await engine.start(request)
    await ended(engine, request.identity.id)
    left = await first_pid(engine, request)
    await engine.remove(request.identity.id)
    await gone(left)


async def test_removing_leaves_neither_files_nor_control_groups(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("sleep", resources=Resources(memory_bytes=64 << 20, cpus=0.5, pids=9))
    await engine.start(request)
    record = record_of(adapter, request.identity.id).read()
    assert record is not None
    await engine.remove(request.identity.id)
    assert list((adapter.directory / "home-0/instances").iterdir()) == []
    assert not any(Path(group).parent.exists() for group in record.cgroups)


@needs_cgroups
async def test_the_limit_of_processes_holds(adapter: ProcessAdapter, engine: ProcessEngine) -> None:
    script = "for n in 1 2 3 4 5 6 7 8 9; do sleep 0.5 & done; wait; echo all"
    request = shell(adapter, script, resources=Resources(pids=5))
    lines = await output_of(engine, request)
    assert "all" not in lines
    assert any("ork" in line for line in lines), lines  # "Cannot fork"


@needs_cgroups
async def test_a_command_killed_for_want_of_memory_says_so_with_its_limit(
    adapter: ProcessAdapter, engine: ProcessEngine
) -> None:
    request = adapter.request("greedy", resources=Resources(memory_bytes=32 << 20))
    await engine.start(request)
    assert "32 MiB" in (await ended(engine, request.identity.id)).error


async def test_a_limit_that_cannot_be_enforced_is_a_warning_and_no_failure(
    adapter: ProcessAdapter,
) -> None:
    engine = await ungrouped(adapter)
    request = adapter.request("sleep", resources=Resources(memory_bytes=64 << 20))
    await engine.start(request)
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert instance.state is EngineState.RUNNING
    assert "memory limit is not enforced" in instance.details["warning"]
