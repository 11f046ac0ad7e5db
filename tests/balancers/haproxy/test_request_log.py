"""The pipe of requests: bounded, and deaf to garbage."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from portway.balancers.haproxy import request_log
from portway.balancers.haproxy.render import LOG_PIPE
from portway.balancers.haproxy.request_log import LINES_PER_SECOND_MAX, RequestLog
from portway.core.request import ServedRequest
from tests.balancers.haproxy.test_request_lines import HTTP, INSTANCES, OWNERS

LINE = HTTP.encode() + b"\n"


class Taker:
    def __init__(self) -> None:
        self.requests: list[ServedRequest] = []
        self.skipped = 0

    def __call__(self, requests: Sequence[ServedRequest], skipped: int) -> None:
        self.requests += requests
        self.skipped += skipped


def made(directory: Path, taker: Taker, now_s: list[float] | None = None) -> RequestLog:
    log = RequestLog(directory, clock_s=lambda: (now_s or [1.0])[0])
    log.take_with(taker)
    log.know(OWNERS, INSTANCES)
    return log


def test_a_line_that_comes_in_pieces_is_one_line(tmp_path: Path) -> None:
    taker = Taker()
    log = made(tmp_path, taker)
    log.feed(LINE[:40])
    assert not taker.requests
    log.feed(LINE[40:] + LINE)
    assert [r.instance_id for r in taker.requests] == ["shop/web.1.7"] * 2


def test_more_than_it_looks_at_in_a_second_is_counted(tmp_path: Path) -> None:
    taker, now_s = Taker(), [1.0]
    log = made(tmp_path, taker, now_s)
    log.feed(LINE * (LINES_PER_SECOND_MAX + 7))
    assert (len(taker.requests), taker.skipped) == (LINES_PER_SECOND_MAX, 7)
    now_s[0] = 2.0
    log.feed(LINE)
    assert len(taker.requests) == LINES_PER_SECOND_MAX + 1


def test_a_line_without_end_is_let_go(tmp_path: Path) -> None:
    taker = Taker()
    log = made(tmp_path, taker)
    for _ in range(3):
        log.feed(b"x" * request_log.READ_MAX_BYTES)
    log.feed(b"\n" + LINE)
    assert len(taker.requests) == 1


def test_a_server_that_is_gone_is_still_known_for_its_last_request(tmp_path: Path) -> None:
    taker = Taker()
    log = made(tmp_path, taker)
    log.know(OWNERS, {})
    log.feed(LINE)
    assert taker.requests[0].instance_id == "shop/web.1.7"


def test_only_its_owner_may_write_to_the_pipe(tmp_path: Path) -> None:
    log = RequestLog(tmp_path)
    assert log.make()
    assert (tmp_path / LOG_PIPE).stat().st_mode & 0o777 == 0o600
    assert log.make(), "it may be there already"


def test_a_file_in_its_place_is_replaced(tmp_path: Path) -> None:
    (tmp_path / LOG_PIPE).write_text("not a pipe")
    assert RequestLog(tmp_path).make()
    assert (tmp_path / LOG_PIPE).is_fifo()


def test_a_home_that_cannot_hold_a_pipe_has_no_log(tmp_path: Path) -> None:
    assert not RequestLog(tmp_path / "absent").make()


def test_a_process_without_the_pipe_is_told_apart(tmp_path: Path) -> None:
    log = RequestLog(tmp_path)
    log.make()
    assert not log.is_written_by(os.getpid())


async def test_it_reads_what_is_written_to_the_pipe(tmp_path: Path) -> None:
    taker = Taker()
    log = made(tmp_path, taker)
    log.make()
    log.open()
    try:
        writer = os.open(tmp_path / LOG_PIPE, os.O_WRONLY | os.O_NONBLOCK)
        os.write(writer, LINE)
        os.close(writer)
        async with asyncio.timeout(10):
            while not taker.requests:
                await asyncio.sleep(0)
    finally:
        log.close()
