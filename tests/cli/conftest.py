"""A home of its own for every test, a fake server on its socket, and a way to run the command line."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from portway.cli.main import main
from tests.cli.fake_server import FakeServer, serving

NOW_MS = 1_800_000_000_000


@dataclass
class Outcome:
    """How one command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home short enough for a unix socket, where no variable of the developer's shell has a say."""
    with tempfile.TemporaryDirectory(prefix="pw") as directory:
        for name in ("PORTWAY_STACK", "PORTWAY_ENGINE", "NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PORTWAY_HOME", directory)
        monkeypatch.setattr("portway.cli.session.now_ms", lambda: NOW_MS)
        yield Path(directory)


@pytest.fixture
def fake(home: Path) -> Iterator[FakeServer]:
    with serving(home) as server:
        yield server


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: empty, called "work"."""
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def run(home: Path, workdir: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process."""

    def run_command(*words: str) -> Outcome:
        capsys.readouterr()
        code = main(list(words))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run_command
