from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest

from portway.cli import launch
from portway.cli.launch import last_error
from tests.cli import views
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer


def test_the_last_error_and_its_hint_are_what_a_dead_server_said() -> None:
    log = ['{"event": "x"}', "ERROR: old", "ERROR: No Docker daemon answers.", "  Start it."]
    assert last_error(log) == ["No Docker daemon answers.", "  Start it."]


def test_without_an_error_line_the_last_lines_are_shown() -> None:
    assert last_error([str(n) for n in range(20)]) == [str(n) for n in range(8, 20)]


def test_a_server_that_dies_at_once_is_told_with_its_own_words(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTWAY_STORE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("PORTWAY_ENGINE", "memory")
    outcome = run("server", "start")
    assert outcome.code == 1
    assert outcome.err.startswith("ERROR: The portway server could not be started.\n  ")
    assert f"Its log is {home}/server.log." in outcome.err
    assert "Traceback" not in outcome.err


def test_a_server_is_started_in_the_background_looked_at_and_stopped(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTWAY_ENGINE", "memory")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    started = run("server", "start", "--listen", address)
    assert started.code == 0, started.err
    pid = int(started.out.split("process ")[1].split(",")[0])
    try:
        assert address in run("server", "status").out
        assert "already running" in run("server", "start").out
        assert run("server", "stop").out == "The server is stopped. What it ran goes on running.\n"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert run("server", "status").code == 1


def test_stopping_where_none_runs_is_done_already(run: Run) -> None:
    outcome = run("server", "stop")
    assert (outcome.code, outcome.out) == (0, "No server is running.\n")


def test_the_status_shows_every_setting(run: Run, fake: FakeServer) -> None:
    fake.on("GET /server", views.server(problems=["the balancer does not answer"]))
    assert run("server", "status").out == (
        "Version         0.1.0\n"
        "Process         4242, started 2 hours ago\n"
        "Home            /var/lib/portway\n"
        "Listen          127.0.0.1:8080\n"
        "Engine          docker\n"
        "Store           SQLite\n"
        "Balancer        HAProxy 2.6.12 (process 4250, 1 reload, 0 restarts)\n"
        "Public address  (all)\n"
        "Host ports      31000-32000, 2 leased\n"
        "Problems        the balancer does not answer\n"
    )


def test_a_wrong_setting_is_refused_before_anything_starts(run: Run, home: Path) -> None:
    outcome = run("server", "start", "--engine", "dokcer")
    assert outcome.code == 2
    assert 'Did you mean "docker"?' in outcome.err
    assert not (home / "server.log").exists()


def test_a_deploy_starts_a_server_and_says_so(
    run: Run, home: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTWAY_ENGINE", "memory")
    monkeypatch.setenv("PORTWAY_LISTEN", "none")
    (workdir / "docker-compose.yml").write_text(
        "services:\n  web:\n    image: httpd\n    ports: ['18000:80']\n"
    )
    outcome = run("deploy")
    pid = int(outcome.out.split("process ")[1].split(",")[0])
    try:
        assert outcome.code == 0, outcome.err
        assert outcome.out.startswith("Started the portway server in the background (process ")
        assert "work is running: release R" in outcome.out
        assert "/  ->  web   127.0.0.1:" in outcome.out.splitlines()[-1]
        assert run("server", "stop").code == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_home_is_made_for_its_owner_only(tmp_path: Path) -> None:
    launch._make_home(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
