"""The access log: a line of JSON a request, for those who ask, bounded, and readable back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from portway.controller.telemetry import access_log
from portway.controller.telemetry.access_log import FILES_MAX, AccessLog, is_on
from portway.core.app import App
from portway.core.request import ServedRequest
from portway.core.state import AppState, Revision
from portway.store.base import Batch

REQUEST = ServedRequest(
    owner="shop/web",
    at_ms=1_700_000_000_050,
    instance_id="shop/web.1.7",
    client="10.1.2.3",
    request_id="id-1",
    method="GET",
    path="/a b",
    status=200,
    total_ms=12.5,
)


def state(app_id: str = "shop/web", label: str | None = "true") -> AppState:
    labels = {} if label is None else {access_log.LABEL: label}
    app = App(id=app_id, labels=labels)
    return AppState(app_id=app_id, target=Revision(id="R", release="R", app=app))


def opened(directory: Path, *states: AppState, everybody: bool = False) -> AccessLog:
    log = AccessLog(directory, everybody=everybody)
    log.note(Batch(apps=states or (state(),)))
    return log


async def lines(log: AccessLog, owner: str = "shop/web", tail: int | None = None) -> list[str]:
    return [line.path async for line in log.read(owner, tail=tail)]


def test_a_request_is_one_line_of_json(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.write([REQUEST])
    (line,) = log.path("shop/web").read_text().splitlines()
    written = json.loads(line)
    assert written["time"] == "2023-11-14T22:13:20.050Z"
    assert (written["stack"], written["app"], written["instance"]) == ("shop", "web", "web.1.7")
    assert (written["request_id"], written["path"], written["status"]) == ("id-1", "/a b", 200)


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.write([REQUEST])
    assert log.path("shop/web").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("label", "everybody", "logged"),
    [
        ("true", False, True),
        ("false", False, False),
        (None, False, False),
        (None, True, True),
        ("false", True, False),
    ],
)
def test_who_asks_is_logged(
    tmp_path: Path, label: str | None, everybody: bool, logged: bool
) -> None:
    log = opened(tmp_path, state(label=label), everybody=everybody)
    log.write([REQUEST])
    assert log.path("shop/web").exists() == logged
    assert log.owners == ({"shop/web"} if logged else frozenset())


def test_an_app_that_is_gone_or_changed_its_mind_is_logged_no_more(tmp_path: Path) -> None:
    log = opened(tmp_path, state(), state("shop/api"))
    log.note(Batch(apps=(state(label=None),), deleted_apps=("shop/api",)))
    assert log.owners == frozenset()


def test_no_text_of_a_client_makes_a_second_line(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.write([replace(REQUEST, path='/\n{"status":200}\r\0"\u2028')])
    assert len(log.path("shop/web").read_bytes().split(b"\n")) == 2


async def test_files_are_bounded_in_size_and_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "FILE_MAX_BYTES", 1)
    log = opened(tmp_path)
    for n in range(FILES_MAX + 4):
        log.write([replace(REQUEST, path=f"/{n}")])
    assert len(list((tmp_path / "shop").iterdir())) == FILES_MAX - 1
    assert await lines(log) == [f"/{n}" for n in range(5, 9)], "oldest first, over all files"


async def test_only_the_last_lines_where_so_asked(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.write([replace(REQUEST, path=f"/{n}") for n in range(5)])
    assert await lines(log, tail=2) == ["/3", "/4"]
    assert await lines(log, tail=0) == []


async def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.write([REQUEST])
    with log.path("shop/web").open("ab") as file:
        file.write(b'{"time": \n\xff\n')
    log.write([REQUEST])
    assert await lines(log) == ["/a b", "/a b"]


async def test_an_app_without_a_file_has_no_lines(tmp_path: Path) -> None:
    assert await lines(opened(tmp_path)) == []


def test_who_follows_gets_what_is_written_from_then_on(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.write([REQUEST])
    with log.following() as queue:
        log.write([replace(REQUEST, path="/new")])
        assert queue.get_nowait().path == "/new"
    log.write([REQUEST])
    assert queue.empty()


def test_a_follower_who_reads_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "QUEUE_MAX", 3)
    log = opened(tmp_path)
    with log.following() as queue:
        log.write([REQUEST] * 5)
        log.write([REQUEST] * 5)
        assert queue.qsize() == 3


def test_a_disk_that_takes_nothing_is_a_problem_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("in the way")
    log = opened(tmp_path)
    log.write([REQUEST])
    assert "cannot be written" in log.problem


@pytest.mark.parametrize(
    ("value", "on"), [("true", True), (" Yes ", True), ("false", False), ("", False)]
)
def test_a_label_says_yes_or_no(value: str, on: bool) -> None:
    assert is_on(value) == on
