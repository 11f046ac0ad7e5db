"""Reading and rotating the output files of a process, without any process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portway.engines.base import Stream
from portway.engines.process.logs import (
    CHUNK_SIZE_BYTES,
    LINE_SIZE_MAX_BYTES,
    LogFiles,
    LogKeeper,
    StreamReader,
    merge_streams,
)


@pytest.fixture
def files(tmp_path: Path) -> LogFiles:
    made = LogFiles(directory=tmp_path, stream=Stream.STDOUT)
    made.current.touch()
    return made


def write(files: LogFiles, text: str, *, at_ms: int | None = None) -> None:
    with files.current.open("a") as file:
        file.write(text)
    if at_ms is not None:
        os.utime(files.current, ns=(at_ms * 1_000_000, at_ms * 1_000_000))


def texts(reader: StreamReader, *, final: bool = False) -> list[str]:
    return [line.text for line in reader.lines(final=final)]


def test_a_line_is_given_once_it_is_whole(files: LogFiles) -> None:
    reader = StreamReader(files)
    write(files, "one\ntw")
    assert texts(reader) == ["one"]
    write(files, "o\nthree")
    assert texts(reader) == ["two"]
    assert texts(reader, final=True) == ["three"]
    assert texts(reader, final=True) == []


def test_a_line_has_the_time_of_the_first_note_that_includes_it(files: LogFiles) -> None:
    keeper = LogKeeper(files, size_max_bytes=1000)
    write(files, "a\nb\n")
    keeper.tend(1000)
    keeper.tend(2000)
    write(files, "c\n")
    keeper.tend(3000)
    write(files, "d\n", at_ms=3500)
    times = [(line.text, line.at_ms) for line in StreamReader(files).lines(final=True)]
    assert times == [("a", 1000), ("b", 1000), ("c", 3000), ("d", 3500)]


def test_times_never_run_backwards(files: LogFiles) -> None:
    keeper = LogKeeper(files, size_max_bytes=1000)
    write(files, "a\n")
    keeper.tend(5000)
    write(files, "b\n", at_ms=4000)
    assert [line.at_ms for line in StreamReader(files).lines(final=True)] == [5000, 5000]


def test_a_reader_loses_nothing_when_the_file_is_rotated_under_it(files: LogFiles) -> None:
    keeper = LogKeeper(files, size_max_bytes=10)
    reader = StreamReader(files)
    write(files, "first\nsec")
    assert texts(reader) == ["first"]
    write(files, "ond\nthi")
    keeper.tend(1)
    assert files.current.stat().st_size == 0
    write(files, "rd\nfourth\n")
    assert texts(reader) == ["second", "third", "fourth"]


def test_a_new_reader_begins_with_the_rotated_file(files: LogFiles) -> None:
    write(files, "one\ntwo\n")
    LogKeeper(files, size_max_bytes=3).tend(7)
    write(files, "three\n")
    lines = list(StreamReader(files).lines(final=True))
    assert [line.text for line in lines] == ["one", "two", "three"]
    assert [line.at_ms for line in lines][:2] == [7, 7]


@pytest.mark.parametrize("size_max_bytes", [3, 1000], ids=["rotated", "whole"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 9])
def test_the_last_lines_are_found_across_a_rotation(
    files: LogFiles, count: int, size_max_bytes: int
) -> None:
    write(files, "one\ntwo\n")
    LogKeeper(files, size_max_bytes=size_max_bytes).tend(7)
    write(files, "three\nfour")
    reader = StreamReader(files)
    reader.skip_to_last(count)
    wanted = ["one", "two", "three", "four"]
    assert texts(reader, final=True) == wanted[max(0, 4 - count) :]


def test_the_last_lines_are_found_in_a_file_larger_than_a_chunk(files: LogFiles) -> None:
    lines = [f"{n:05} " + "x" * 90 for n in range(3 * CHUNK_SIZE_BYTES // 97)]
    write(files, "\n".join(lines) + "\n")
    for count in (1, 700, len(lines) - 1, len(lines), len(lines) + 1):
        reader = StreamReader(files)
        reader.skip_to_last(count)
        assert texts(reader) == lines[-count:]


def test_a_line_without_end_is_given_in_pieces(files: LogFiles) -> None:
    write(files, "x" * (2 * LINE_SIZE_MAX_BYTES + 5) + "\n")
    pieces = texts(StreamReader(files))
    assert "".join(pieces) == "x" * (2 * LINE_SIZE_MAX_BYTES + 5)
    assert max(map(len, pieces)) <= LINE_SIZE_MAX_BYTES + CHUNK_SIZE_BYTES


def test_the_streams_are_merged_by_time(tmp_path: Path) -> None:
    out, err = (LogFiles(directory=tmp_path, stream=stream) for stream in Stream)
    keepers = [LogKeeper(each, size_max_bytes=1000) for each in (out, err)]
    for at_ms, files in ((1, out), (2, err), (3, out), (4, err)):
        write(files, f"{at_ms}\n")
        for keeper in keepers:
            if files.current.exists():
                keeper.tend(at_ms)
    merged = list(merge_streams((StreamReader(out), StreamReader(err)), final=True))
    assert [line.text for line in merged] == ["1", "2", "3", "4"]
    assert [line.stream for line in merged] == [Stream.STDOUT, Stream.STDERR] * 2


def test_logs_that_are_not_there_yet_are_empty(tmp_path: Path) -> None:
    files = LogFiles(directory=tmp_path, stream=Stream.STDERR)
    LogKeeper(files, size_max_bytes=1).tend(1)
    reader = StreamReader(files)
    reader.skip_to_last(5)
    assert texts(reader, final=True) == []
