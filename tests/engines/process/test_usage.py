"""What processes use, out of /proc."""

from __future__ import annotations

import os
from pathlib import Path

from portway.engines.base import Usage
from portway.engines.process.usage import by_group, parse, usage_of

# pid (name) state ... utime stime cutime cstime ... rss
LINE = "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 {times} 20 0 1 0 100 4096 {pages} 0"


def line(times: str, pages: int) -> str:
    return LINE.format(times=times, pages=pages)


def test_a_line_is_the_time_of_a_process_and_of_the_children_it_waited_for() -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    tick_us = 1_000_000 // os.sysconf("SC_CLK_TCK")
    assert parse(line("1 2 3 4", 5)) == Usage(cpu_us=10 * tick_us, memory_bytes=5 * page)


def test_an_ended_process_and_half_a_line_are_nothing() -> None:
    assert parse(line("1 2 3 4", 5).replace(" S ", " Z ")) is None
    assert parse("7 (a) S 1") is None


def test_several_processes_are_added_and_those_that_have_ended_left_out(tmp_path: Path) -> None:
    for pid in ("7", "8"):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "stat").write_text(line("1 0 0 0", 1))
    two = usage_of([7, 8, 9], proc=tmp_path)
    one = usage_of([7], proc=tmp_path)
    assert two is not None
    assert one is not None
    assert two == one.plus(one)
    assert usage_of([9], proc=tmp_path) is None


def test_every_process_is_in_the_group_of_its_leader() -> None:
    assert os.getpid() in by_group()[os.getpgrp()]
