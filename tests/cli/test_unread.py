from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.cli import views
from tests.cli.conftest import NOW_MS, Run
from tests.cli.fake_server import FakeServer

SINCE_MS = NOW_MS - 120_000
WHY = "Docker does not answer at /run/docker.sock"


def server(**changes: Any) -> dict[str, Any]:
    texts = ("version", "home", "engine", "listen", "public_address", "store", "balancer", "host_ports")  # fmt: skip
    numbers = ("pid", "balancer_pid", "balancer_reloads", "balancer_restarts", "host_ports_leased", "started_at_ms")  # fmt: skip
    return {**dict.fromkeys(texts, ""), **dict.fromkeys(numbers, 0), **changes}


def blind(fake: FakeServer, part: str = "engine") -> str:
    """The server cannot read this part; the line that says so."""
    problem = f"{part}: {WHY}\n  Start it."
    fake.on("GET /server", server(problems=[problem], unread_since_ms={part: SINCE_MS}))
    at = time.strftime("%H:%M:%S", time.localtime(SINCE_MS / 1000))
    return (
        f"WARNING: The {part} has been unreadable since {at} (2 minutes ago); shown is what was known "
        f"last. {WHY}\n"
    )


@pytest.mark.parametrize("words", [("ps",), ("map",), ("apps",)])
def test_who_shows_what_runs_says_that_the_engine_cannot_be_read(
    run: Run, fake: FakeServer, words: tuple[str, ...]
) -> None:
    for route in ("/instances", "/map", "/stacks"):
        fake.on(f"GET {route}", [])
    line = blind(fake)
    outcome = run(*words)
    assert (outcome.code, outcome.err) == (0, line)
    assert outcome.out


def test_a_balancer_that_cannot_be_read_is_told_in_the_same_way(run: Run, fake: FakeServer) -> None:
    fake.on("GET /map", [])
    line = blind(fake, "balancer")
    assert run("map").err == line


def test_json_stays_whole_beside_the_warning(run: Run, fake: FakeServer) -> None:
    fake.on("GET /instances", [views.instance(1)])
    line = blind(fake)
    outcome = run("ps", "--json")
    assert json.loads(outcome.out) == [views.instance(1)]
    assert outcome.err == line


def test_a_map_of_the_past_says_nothing_of_now(run: Run, fake: FakeServer) -> None:
    fake.on("GET /map", [])
    blind(fake)
    assert run("map", "--at", "1m ago").err == ""


def test_nothing_is_said_while_all_is_read_or_where_the_server_does_not_say(
    run: Run, fake: FakeServer
) -> None:
    fake.on("GET /stacks", [])
    assert run("apps").err == ""
    fake.on("GET /server", server(problems=["host ports: a warning"]))
    assert run("apps").err == ""
