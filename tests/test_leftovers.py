"""What is left behind is found and named; what others have on the same machine is not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from portway.store.sql import open_store
from tests.e2e.machine import until
from tests.leftovers import MARK, TestRun

ROOT = Path(__file__).parents[1]
FORGETFUL = """
import subprocess, tests.leftovers
tests.leftovers.PATIENCE_S = 0

def test_forgets():
    subprocess.Popen(["sleep", "60"])
"""
SKIPPING = """
import pytest

@pytest.mark.docker
def test_of_docker():
    pytest.skip("it rains")

def test_of_nothing():
    pytest.skip("it rains")
"""


@pytest.fixture
def run(tmp_path: Path) -> TestRun:
    (tmp_path / "homes").touch()
    return TestRun(tmp_path)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {MARK: str(tmp_path), "PYTEST_CURRENT_TEST": "tests/test_x.py::test_y (call)"}
    process = subprocess.Popen(["sleep", "60"], env=os.environ | environment)
    # Between fork and exec a process has no command line.
    until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes(), why="it runs")
    yield process
    process.kill()
    process.wait()


def outcome_of(directory: Path, text: str, *words: str, **variables: str) -> tuple[int, str]:
    path = directory / "test_it.py"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "tests.conftest"]
        + ["-p", "no:cacheprovider", "-q", *words, str(path)],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(directory)} | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_process_is_named_with_the_test_that_started_it(
    run: TestRun, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tests.leftovers.PATIENCE_S", 0)
    assert run.end() == [f"process {sleeper.pid}: sleep 60  (of tests/test_x.py::test_y)"]
    assert run.directory.exists()


def test_what_ends_in_a_moment_is_waited_for(run: TestRun, sleeper: subprocess.Popen[bytes]):
    sleeper.terminate()
    assert run.end() == []
    assert not run.directory.exists()


def test_a_forgotten_file_is_named(run: TestRun, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.leftovers.PATIENCE_S", 0)
    (run.directory / "pwforgotten").mkdir()
    assert run.end() == [f"file {run.directory}/pwforgotten"]


def test_the_home_of_a_server_is_noted_from_its_database(
    run: TestRun, monkeypatch: pytest.MonkeyPatch
):
    store = open_store(run.directory / "pw1", events_kept=10)
    noted: list[str] = []
    monkeypatch.setattr(TestRun, "note_home", lambda _, home_id: noted.append(home_id))

    async def home_id() -> str:
        await store.open()
        try:
            run.note_databases([run.directory])
            return (await store.load()).home_id
        finally:
            await store.close()

    assert noted == [asyncio.run(home_id())]


@pytest.mark.docker
def test_dockers_objects_of_our_homes_are_named_and_no_others(
    run: TestRun, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tests.leftovers.PATIENCE_S", 0)
    ours, theirs = token_hex(4), token_hex(4)
    run.note_home(ours)
    names = [f"left-{home}" for home in (ours, theirs)]
    try:
        for home, name in zip((ours, theirs), names, strict=True):
            label = f"--label=portway.home={home}"
            subprocess.run(["docker", "volume", "create", label, name], check=True)
        (left,) = run.end()
    finally:
        subprocess.run(["docker", "volume", "rm", "--force", *names], check=True)
    assert left.startswith(f"volume left-{ours} (of tests/test_leftovers.py::")


def test_a_run_that_leaves_something_has_failed(tmp_path: Path):
    code, said = outcome_of(tmp_path, FORGETFUL)
    assert code == 1, said
    assert "1 passed" in said
    assert "left behind by this run" in said
    pid = int(said.split("process ")[1].split(":")[0])
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x0060\x00"
    os.kill(pid, 9)


def test_a_skipped_test_of_a_service_fails_where_everything_was_set_up(tmp_path: Path):
    # A daemon elsewhere is believed to answer, so that this needs none.
    somewhere = {"DOCKER_HOST": "tcp://192.0.2.1:2375"}
    assert outcome_of(tmp_path, SKIPPING, **somewhere)[0] == 0
    code, said = outcome_of(tmp_path, SKIPPING, "--everything", **somewhere)
    assert code == 1, said
    assert "1 failed, 1 skipped" in said
    assert "A test of docker may not be skipped here. Skipped: it rains" in said


def test_without_a_service_its_tests_are_skipped_with_a_sentence(tmp_path: Path):
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}
    code, said = outcome_of(tmp_path, SKIPPING, **nowhere)
    assert code == 0, said
    assert "No Docker daemon answers; `make setup` sets one up." in said
    code, said = outcome_of(tmp_path, SKIPPING, "--everything", **nowhere)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: No Docker daemon answers" in said
