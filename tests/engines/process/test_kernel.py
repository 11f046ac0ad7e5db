"""Processes as the kernel shows them."""

from __future__ import annotations

import os
import signal

import pytest

from portway.engines.process.kernel import (
    ProcessStamp,
    alive,
    observe_process,
    open_pidfd,
    parse_signal,
    parse_stat,
)


def test_a_program_name_with_parentheses_and_spaces_does_not_confuse() -> None:
    fields = "S 1 7 8 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 4711 0"
    status = parse_stat(f"42 (a) b (c) {fields}\n")
    assert status is not None
    assert status.stamp == ProcessStamp(pid=42, started_ticks=4711)
    assert (status.group, status.session, status.dead) == (7, 8, False)


@pytest.mark.parametrize("text", ["", "42", "42 (sh", "42 (sh) S 1 2"])
def test_half_a_line_is_no_process(text: str) -> None:
    assert parse_stat(text) is None


def test_a_process_is_the_same_only_with_the_same_start() -> None:
    mine = observe_process(os.getpid())
    assert mine is not None
    assert alive(mine.stamp)
    earlier = ProcessStamp(pid=os.getpid(), started_ticks=mine.stamp.started_ticks - 1)
    assert not alive(earlier)
    assert open_pidfd(earlier) is None


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("SIGTERM", signal.SIGTERM),
        ("int", signal.SIGINT),
        ("9", signal.SIGKILL),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("SIGRTMIN", signal.SIGRTMIN),
        ("SIGNONSENSE", None),
        ("", None),
        ("0", None),
        ("999", None),
        ("RTMIN+99", None),
        ("_DFL", None),
    ],
)
def test_signals_are_known_by_every_usual_name(name: str, number: int | None) -> None:
    assert parse_signal(name) == number
