"""`--at` and `--port`: the past on the command line."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.cli import views
from tests.cli.conftest import NOW_MS, Run
from tests.cli.fake_server import FakeServer, Refusal

THEN_MS = NOW_MS - 600_000


LEASE: dict[str, Any] = {
    "kind": "lease", "number": 31004, "app_id": "httpd/web", "port_name": "http", "address": "127.0.0.1",
    "instance_id": "httpd/web.1.7", "node": "local", "container_port": 80,
}  # fmt: skip
ENDPOINT: dict[str, Any] = {
    "kind": "endpoint", "number": 8000, "app_id": "httpd/web", "instance_id": "httpd/web.1.7",
    "target_address": "172.17.0.2", "target_port": 80, "state": "ready",
}  # fmt: skip


def change(at_ms: int, holding: dict[str, Any], *, taken: bool) -> dict[str, Any]:
    return {"at_ms": at_ms, "taken": taken, "holding": holding, "sequence": 1}


def history(*changes: dict[str, Any], held: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"number": 31004, "at_ms": THEN_MS, "held": held, "changes": changes}


def without_times(text: str) -> list[str]:
    return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d( [A-Z]+)?", "T", line) for line in text.splitlines()]  # fmt: skip


def test_who_had_a_port_is_answered_in_a_sentence(run: Run, fake: FakeServer) -> None:
    taken, ended = (
        change(THEN_MS - 1000, LEASE, taken=True),
        change(THEN_MS + 9000, LEASE, taken=False),
    )
    fake.on("GET /ports", history(taken, ended, held=(LEASE,)))
    assert without_times(run("events", "--port", "31004", "--at", "10m ago").out) == [
        "At T :31004 was the host port of httpd/web.1.7 (127.0.0.1:31004 -> 80/tcp on local), from T until T."
    ]
    (asked,) = fake.requests("GET /ports")
    assert asked.query == {"number": ["31004"], "limit": ["1000"], "at": [str(THEN_MS)]}


def test_where_nobody_had_it_those_before_and_after_are_named(run: Run, fake: FakeServer) -> None:
    ended = change(THEN_MS - 1000, LEASE, taken=False)
    again = change(THEN_MS + 1000, {**LEASE, "instance_id": "httpd/web.1.9"}, taken=True)
    fake.on("GET /ports", history(ended, again))
    lines = without_times(run("events", "--port", "31004", "--at", "10m ago").out)
    assert lines[0] == "At T nobody had :31004."
    assert lines[1].startswith("Before, until T: the host port of httpd/web.1.7")
    assert lines[2].startswith("After, from T: the host port of httpd/web.1.9")


def test_a_port_has_its_history(run: Run, fake: FakeServer) -> None:
    listener = {"kind": "listener", "number": 8000, "app_id": "httpd/web"}
    fake.on(
        "GET /ports",
        history(
            change(1, listener, taken=True),
            change(2, ENDPOINT, taken=True),
            change(3, ENDPOINT, taken=False),
        ),
    )
    lines = without_times(run("events", "--port", "8000").out)
    assert [line.split("  ", 1)[1].strip() for line in lines[:3]] == [
        "taken by                  the listener of httpd/web",
        "gets traffic              httpd/web.1.7 at 172.17.0.2:80",
        "no longer gets traffic    httpd/web.1.7 at 172.17.0.2:80",
    ]
    assert lines[3] == "Nobody has :31004 now."


def test_a_port_nobody_ever_had_is_told_as_that(run: Run, fake: FakeServer) -> None:
    fake.on("GET /ports", history())
    assert "knows of nobody who had :31004" in run("events", "--port", "31004").out
    assert "knows of nobody" in run("events", "--port", "31004", "--at", "10m ago").out


def test_events_around_a_time_say_where_it_is_between_them(run: Run, fake: FakeServer) -> None:
    kinds = {"a": THEN_MS - 700_000, "b": THEN_MS - 1, "c": THEN_MS + 1}
    fake.on(
        "GET /events/around",
        [{"at_ms": at_ms, "kind": kind, "message": "m"} for kind, at_ms in kinds.items()],
    )
    lines = without_times(run("events", "--at", "10m ago").out)
    assert [line.split()[1] for line in (lines[0], lines[2])] == ["b", "c"]
    assert lines[1] == "-- T (10 minutes ago) --"
    assert len(run("events", "--at", "10m ago", "--window", "1h", "--json").out.splitlines()) == 3
    quiet = run("events", "--at", "10m ago", "--window", "0s")
    assert quiet.code == 2
    assert "Write --at TIME too" in run("events", "--window", "2m").err
    fake.on("GET /events/around", [])
    assert "Nothing happened within 10m of it." in run("events", "--at", "10m ago").out


def test_the_map_of_a_moment_says_which(run: Run, fake: FakeServer) -> None:
    fake.on("GET /map", [views.route()])
    lines = without_times(run("map", "-a", "httpd", "--at", "10m ago").out)
    assert lines[0] == "At T (10 minutes ago):"
    assert "web" in lines[1]
    (asked,) = fake.requests("GET /map")
    assert asked.query == {"stack": ["httpd"], "at": [str(THEN_MS)]}


@pytest.mark.parametrize("command", ["map", "events"])
def test_what_is_no_time_is_refused_before_the_server_is_asked(
    run: Run, fake: FakeServer, command: str
) -> None:
    refused = run(command, "--at", "soon")
    assert refused.code == 2
    assert '"soon" is not a time that can be read.' in refused.err
    assert fake.asked == []


def test_following_and_asking_for_the_past_exclude_each_other(run: Run) -> None:
    assert "Leave one of them out." in run("events", "-f", "--at", "10m ago").err


def test_a_journal_that_does_not_go_back_so_far_says_so(run: Run, fake: FakeServer) -> None:
    fake.on("GET /map", Refusal(404, {"message": "The journal begins at X.", "hint": ""}))
    assert "The journal begins at X." in run("map", "--at", "10m ago").err
