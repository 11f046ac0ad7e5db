"""Commands inside containers, with and without a terminal, and health checks."""

from __future__ import annotations

import asyncio

import pytest

from portway.core.errors import EngineErrorKind
from portway.engines.base import ExecRequest, ExecSession, Stream
from portway.engines.docker.engine import DockerEngine
from portway.engines.docker.exec import OUTPUT_BYTES_MAX, check_argv
from tests.engines.docker.support import DEADLINE_S, Requests, refusal_of


async def everything(session: ExecSession) -> dict[Stream, bytes]:
    """All of its output, by stream."""
    output = {Stream.STDOUT: b"", Stream.STDERR: b""}
    async for stream, data in session.output():
        output[stream] += data
    return output


def test_a_check_is_read_as_compose_writes_it() -> None:
    assert check_argv(("CMD-SHELL", "a | b")) == ("/bin/sh", "-c", "a | b")
    assert check_argv(("CMD", "a", "b")) == ("a", "b")
    assert check_argv(("a", "b")) == ("a", "b")


@pytest.mark.docker
async def test_output_comes_by_stream_and_the_exit_code_after_it(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    asked = ExecRequest(
        argv=("sh", "-c", 'echo "$X"; echo err >&2; exit 3'), environment={"X": "y"}
    )
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
        assert await everything(session) == {Stream.STDOUT: b"y\n", Stream.STDERR: b"err\n"}
        assert await session.wait() == 3
        await session.write(b"too late")
        await session.resize(rows=1, columns=1)


@pytest.mark.docker
async def test_megabytes_pass_both_ways_unharmed(engine: DockerEngine, requests: Requests) -> None:
    request = requests.sleeper()
    await engine.start(request)
    sent = bytes(range(256)) * 8192

    async def send(session: ExecSession) -> None:
        for start in range(0, len(sent), 65536):
            await session.write(sent[start : start + 65536])
        await session.close_input()

    asked = ExecRequest(argv=("cat",))
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
        async with asyncio.TaskGroup() as group:
            group.create_task(send(session))
            reading = group.create_task(everything(session))
        assert reading.result()[Stream.STDOUT] == sent
        assert await session.wait() == 0


@pytest.mark.docker
async def test_a_terminal_has_a_size_that_can_change(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    asked = ExecRequest(argv=("sh",), tty=True, rows=33, columns=99)
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
        await session.write(b"stty size; test -t 0 && echo is-a-$((1 + 1))-terminal\n")
        output = b""
        streams = set[Stream]()
        async for stream, data in session.output():
            streams.add(stream)
            output += data
            if b"is-a-2-terminal" in output:
                break
        assert b"33 99" in output
        assert streams == {Stream.STDOUT}
        await session.resize(rows=11, columns=22)
        await session.write(b"stty size; exit 6\n")
        assert b"11 22" in (await everything(session))[Stream.STDOUT]
        assert await session.wait() == 6


@pytest.mark.docker
async def test_leaving_early_does_not_wait_for_the_command(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    asked = ExecRequest(argv=("sleep", "600"))
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked):
        pass


@pytest.mark.docker
async def test_a_command_ends_when_its_instance_is_killed(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    asked = ExecRequest(argv=("sleep", "600"))
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
        await engine.stop(request.identity.id, signal="SIGKILL", grace_s=5)
        await everything(session)
        assert await session.wait() == 137


@pytest.mark.docker
async def test_a_silent_command_is_not_taken_for_an_ended_one(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    client = engine._client  # pyright: ignore[reportPrivateUsage]
    client._silence_s = 0.05  # pyright: ignore[reportPrivateUsage]
    asked = ExecRequest(argv=("sh", "-c", "sleep 0.5; echo done"))
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, asked) as session:
        assert (await everything(session))[Stream.STDOUT] == b"done\n"


@pytest.mark.docker
async def test_what_cannot_be_run_is_told_at_once_and_exit_code_127_is_not_mistaken_for_it(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)

    async def enter(*argv: str) -> None:
        async with engine.exec(request.identity.id, ExecRequest(argv=argv)):
            pass

    error = await refusal_of(enter("no-such-program"))
    assert error.kind == EngineErrorKind.BAD_COMMAND
    assert '"no-such-program" does not exist' in error.message
    shell = ExecRequest(argv=("sh", "-c", "echo first; no-such-program"))
    async with asyncio.timeout(DEADLINE_S), engine.exec(request.identity.id, shell) as session:
        output = await everything(session)
        assert output[Stream.STDOUT] == b"first\n"
        assert b"not found" in output[Stream.STDERR]
        assert await session.wait() == 127


@pytest.mark.docker
async def test_exec_and_checks_need_a_running_instance(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=10)

    async def enter(instance_id: str) -> None:
        async with engine.exec(instance_id, ExecRequest(argv=("true",))):
            pass

    for instance_id in (request.identity.id, "nobody/web.1.1"):
        error = await refusal_of(enter(instance_id))
        assert error.kind == EngineErrorKind.NOT_FOUND
        assert f"{instance_id} is not running" in error.message
        check = await refusal_of(engine.run_check(instance_id, ("true",), timeout_s=5))
        assert check.kind == EngineErrorKind.NOT_FOUND


@pytest.mark.docker
async def test_a_check_keeps_the_last_64_kib_of_both_streams(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    noisy = "head -c 200000 /dev/zero | tr '\\0' x; echo end; exit 2"
    result = await engine.run_check(request.identity.id, ("CMD-SHELL", noisy), timeout_s=20)
    assert result.exit_code == 2
    assert len(result.output) == OUTPUT_BYTES_MAX
    assert result.output.endswith("xend\n")
    both = ("CMD-SHELL", "echo out; echo err >&2")
    result = await engine.run_check(request.identity.id, both, timeout_s=20)
    assert sorted(result.output.split()) == ["err", "out"]


@pytest.mark.docker
async def test_a_check_whose_program_is_missing_fails_with_a_sentence(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    result = await engine.run_check(request.identity.id, ("curl", "-f", "x"), timeout_s=20)
    assert result.exit_code in (126, 127)
    assert '"curl" does not exist in the image' in result.output
    assert "OCI" not in result.output


@pytest.mark.docker
async def test_a_late_check_is_a_timeout_and_the_next_one_works(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    with pytest.raises(TimeoutError):
        await engine.run_check(request.identity.id, ("sleep", "600"), timeout_s=0.3)
    assert (await engine.run_check(request.identity.id, ("true",), timeout_s=20)).exit_code == 0


@pytest.mark.docker
async def test_many_checks_at_once_do_not_disturb_each_other(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)

    async def check(number: int) -> tuple[int, str]:
        argv = ("sh", "-c", f"echo {number}; exit {number}")
        result = await engine.run_check(request.identity.id, argv, timeout_s=DEADLINE_S)
        return result.exit_code, result.output

    assert await asyncio.gather(*(check(n) for n in range(12))) == [
        (n, f"{n}\n") for n in range(12)
    ]
