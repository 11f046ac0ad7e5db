"""Docker's log formats -> lines."""

from __future__ import annotations

import asyncio
import struct

import pytest

from portway.core.app import ContainerOptions
from portway.engines.base import LogLine, Stream
from portway.engines.docker.client import DockerClient
from portway.engines.docker.engine import DockerEngine
from portway.engines.docker.logs import Frames, Lines, TerminalPieces
from portway.engines.docker.names import container_name
from tests.engines.docker.support import (
    DEADLINE_S,
    Requests,
    docker_json,
    ended,
    lines_of,
    seen,
)

STAMP = b"2026-11-21T06:42:28.123456789Z "
AT_MS = 1795243348123


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", kind, len(payload)) + payload


def read(pieces: Frames | TerminalPieces, chunks: list[bytes]) -> list[LogLine]:
    lines = Lines()
    found = [
        line
        for chunk in chunks
        for stream, payload in pieces.feed(chunk)
        for line in lines.add(stream, payload)
    ]
    if isinstance(pieces, TerminalPieces):
        for stream, payload in pieces.rest():
            found += lines.add(stream, payload)
    return [*found, *lines.rest()]


def test_frames_are_read_whatever_the_chunks_they_come_in() -> None:
    data = frame(1, STAMP + b"out\n") + frame(2, STAMP + b"err\n") + frame(1, STAMP + b"\n")
    whole = read(Frames(), [data])
    assert whole == [
        LogLine(at_ms=AT_MS, stream=Stream.STDOUT, text="out"),
        LogLine(at_ms=AT_MS, stream=Stream.STDERR, text="err"),
        LogLine(at_ms=AT_MS, stream=Stream.STDOUT, text=""),
    ]
    for size in range(1, len(data)):
        chunks = [data[start : start + size] for start in range(0, len(data), size)]
        assert read(Frames(), chunks) == whole


def test_a_line_whose_time_cannot_be_read_is_a_line_all_the_same() -> None:
    assert read(Frames(), [frame(1, b"\xff hello\n")]) == [
        LogLine(at_ms=0, stream=Stream.STDOUT, text="hello")
    ]


def test_a_long_line_stored_in_pieces_is_one_line() -> None:
    pieces = [b"a" * 16384, b"b" * 16384, b"c\n"]
    data = b"".join(frame(1, STAMP + piece) for piece in pieces)
    (line,) = read(Frames(), [data])
    assert line.text == "a" * 16384 + "b" * 16384 + "c"


def test_pieces_of_both_streams_do_not_mix() -> None:
    data = [frame(1, STAMP + b"o" * 16384), frame(2, STAMP + b"err\n"), frame(1, STAMP + b"!\n")]
    assert [line.text for line in read(Frames(), data)] == ["err", "o" * 16384 + "!"]


def test_a_line_without_end_is_cut_rather_than_kept() -> None:
    data = [frame(1, STAMP + b"x" * 16384) for _ in range(100)]
    lines = read(Frames(), data)
    assert len(lines) == 2
    assert sum(len(line.text) for line in lines) == 100 * 16384


def test_output_that_ends_without_a_newline_is_a_line() -> None:
    assert [line.text for line in read(Frames(), [frame(1, STAMP + b"tail")])] == ["tail"]


def test_undecodable_bytes_are_replaced() -> None:
    assert [line.text for line in read(Frames(), [frame(1, STAMP + b"\xff!\n")])] == ["\ufffd!"]


def test_a_terminals_lines_lose_their_carriage_return_and_keep_their_time() -> None:
    data = STAMP + b"one\r\n" + STAMP + b"two\r\n" + STAMP + b"tail"
    whole = read(TerminalPieces(), [data])
    assert [line.text for line in whole] == ["one", "two", "tail"]
    assert {line.at_ms for line in whole} == {AT_MS}
    assert read(TerminalPieces(), [data[i : i + 1] for i in range(len(data))]) == whole


def test_a_terminals_long_line_loses_the_times_inside_it() -> None:
    data = STAMP + b"a" * 16384 + STAMP + b"b" * 16384 + STAMP + b"c\r\n" + STAMP + b"next\r\n"
    whole = read(TerminalPieces(), [data])
    assert [line.text for line in whole] == ["a" * 16384 + "b" * 16384 + "c", "next"]
    assert read(TerminalPieces(), [data[i : i + 999] for i in range(0, len(data), 999)]) == whole


@pytest.mark.docker
async def test_logs_keep_streams_apart_and_long_lines_whole(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.shell(
        "head -c 40000 /dev/zero | tr '\\0' x; echo; sleep 0.1; echo err >&2; sleep 0.1; printf tail"
    )
    await engine.start(request)
    await ended(engine, request)
    lines = await lines_of(engine, request)
    assert [(line.stream, line.text) for line in lines] == [
        (Stream.STDOUT, "x" * 40000),
        (Stream.STDERR, "err"),
        (Stream.STDOUT, "tail"),
    ]
    started_at_ms = (await seen(engine, request)).started_at_ms
    assert started_at_ms is not None
    assert all(started_at_ms - 1000 <= line.at_ms <= started_at_ms + 60_000 for line in lines)
    assert [line.text for line in await lines_of(engine, request, tail=1)] == ["tail"]


@pytest.mark.docker
async def test_a_terminals_output_is_read_line_by_line(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.shell(
        "echo one; head -c 40000 /dev/zero | tr '\\0' x; echo; echo two >&2; printf tail",
        container=ContainerOptions(tty=True),
    )
    await engine.start(request)
    await ended(engine, request)
    lines = await lines_of(engine, request)
    assert [line.text for line in lines] == ["one", "x" * 40000, "two", "tail"]
    assert {line.stream for line in lines} == {Stream.STDOUT}
    assert all(line.at_ms for line in lines)


@pytest.mark.docker
@pytest.mark.parametrize("tty", [False, True])
async def test_following_shows_lines_as_they_come_and_ends_with_the_instance(
    engine: DockerEngine, requests: Requests, tty: bool
) -> None:
    request = requests.shell(
        "echo up; trap 'echo down; exit 0' TERM; while :; do sleep 0.1; done",
        container=ContainerOptions(tty=tty),
    )
    await engine.start(request)
    texts: list[str] = []
    async with asyncio.timeout(DEADLINE_S):
        async for line in engine.logs(request.identity.id, follow=True):
            texts.append(line.text)
            if line.text == "up":
                await engine.stop(request.identity.id, signal="SIGTERM", grace_s=20)
    assert texts == ["up", "down"]


@pytest.mark.docker
async def test_following_a_silent_instance_ends_with_it_too(
    engine: DockerEngine, requests: Requests
) -> None:
    engine._client._silence_s = 0.05
    request = requests.shell("sleep 0.7")
    await engine.start(request)
    async with asyncio.timeout(DEADLINE_S):
        assert await lines_of(engine, request, follow=True) == []
    assert (await ended(engine, request)).exit_code == 0


@pytest.mark.docker
async def test_logs_are_rotated_where_docker_would_let_them_grow(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    request = requests.shell("echo x")
    await engine.start(request)
    name = container_name(home, request.identity.id)
    config = (await docker_json(client, f"containers/{name}/json"))["HostConfig"]["LogConfig"]
    default = (await client.info()).logging_driver
    assert config["Type"] == default
    assert config["Config"].get("max-size") == ("10m" if default == "json-file" else None)
