"""What a test run made on this machine: marked while it runs, and looked for when it ends. No tests.

Other portways and other test runs may work on the same machine, so everything is recognised by a mark of this run:
processes by a variable they inherit, temporary files by their directory, Docker's objects and control groups by the
home they belong to.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import cached_property, wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote

MARK = "TEST_RUN_OF_PORTWAY"
CGROUPS = Path("/sys/fs/cgroup")
PATIENCE_S = 10.0  # what was told to end may still be ending
_HOMES = "homes"
_GROUPS = "groups"
_ENGINES = {
    "portway.engines.docker.engine": "DockerEngine",
    "portway.engines.process.engine": "ProcessEngine",
}


class TestRun:
    """One run of the tests, shared by its workers. `begin` in the first process of it, `join` in the others."""

    __test__ = False

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._seen: set[Path] = set()

    @classmethod
    def begin(cls) -> TestRun:
        """Mark what is started from now on, and give it a temporary directory of its own."""
        outside = tempfile.gettempdir()
        directory = Path(tempfile.mkdtemp(prefix="pt-", dir=outside)).resolve()
        directory.chmod(0o711)  # PostgreSQL runs as another user
        (directory / _HOMES).touch()
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", outside)  # pytest keeps its own for a while
        os.environ[MARK] = os.environ["TMPDIR"] = str(directory)
        tempfile.tempdir = None
        return cls(directory)

    @classmethod
    def join(cls) -> TestRun:
        """The run that this process is a worker of."""
        return cls(Path(os.environ[MARK]))

    def note_groups(self, groups: dict[str, str]) -> None:
        """Each test and the group it runs in, as every worker finds them."""
        mine = self.directory / f"{_GROUPS}.{os.getpid()}"
        mine.write_text(json.dumps(groups))
        mine.rename(self.directory / _GROUPS)

    @cached_property
    def groups(self) -> dict[str, str]:
        """What the workers found."""
        return json.loads((self.directory / _GROUPS).read_text())

    def watch_engines(self) -> None:
        """Note the home of every engine that a test makes in this process."""
        for module, name in _ENGINES.items():
            if module in sys.modules:
                engine: Any = getattr(sys.modules[module], name)
                engine.__init__ = self._noting(engine.__init__)

    def _noting(self, make: Callable[..., None]) -> Callable[..., None]:
        @wraps(make)
        def noted(engine: Any, *args: Any, **kwargs: Any) -> None:
            make(engine, *args, **kwargs)
            self.note_home(engine._home_id)

        return noted

    def note_databases(self, places: Iterable[Path]) -> None:
        """Note the homes that servers have made in those directories or one level below."""
        for place in places:
            for path in (*place.glob("portway.db"), *place.glob("*/portway.db")):
                if path not in self._seen and (home_id := _home_id(path)):
                    self._seen.add(path)
                    self.note_home(home_id)

    def note_home(self, home_id: str) -> None:
        """Remember that this run made that home, and in which test."""
        with (self.directory / _HOMES).open("a") as file:
            file.write(json.dumps([home_id, _current_test()]) + "\n")

    def end(self) -> list[str]:
        """What is left after some patience, one sentence each; the run's directory goes when it is nothing."""
        ends = time.monotonic() + PATIENCE_S
        while (left := sorted(self._left())) and time.monotonic() < ends:
            time.sleep(0.2)
        if not left:
            shutil.rmtree(self.directory, ignore_errors=True)
        return left

    def _left(self) -> Iterator[str]:
        lines = (self.directory / _HOMES).read_text().splitlines()
        homes: dict[str, str] = dict(map(json.loads, lines))
        yield from _processes(str(self.directory))
        yield from _control_groups(homes)
        yield from _docker_objects(homes)
        for path in self.directory.iterdir():
            if path.name not in (_HOMES, _GROUPS):
                yield f"file {path}"


def _current_test() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]


def _home_id(database: Path) -> str:
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as d,
    ):
        row = d.execute("SELECT value FROM meta WHERE name = 'home_id'").fetchone()
        return row[0] if row else ""
    return ""


def _processes(mark: str) -> Iterator[str]:
    """Every process with the mark in its environment or on its command line; zombies have neither."""
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            variables = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            if not any(mark in text for text in (*words, *variables)):
                continue
            given = dict(text.partition("=")[::2] for text in variables)
            test = given.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
            yield _told(f"process {entry.name}: {' '.join(words)[:200]}", test)


def _control_groups(homes: dict[str, str]) -> Iterator[str]:
    for top in (CGROUPS, *CGROUPS.glob("*")):
        for home_id, test in homes.items():
            path = top / "portway" / quote(home_id, safe="")
            if path.is_dir():
                yield _told(f"control group {path}", test)


def _docker_objects(homes: dict[str, str]) -> Iterator[str]:
    if not homes or not docker_answers() or not shutil.which("docker"):
        return
    label = ("--filter", "label=portway.home", "--format", '{{.Label "portway.home"}} ')
    commands = {
        "container": ("ps", "--all", *label[:-1], label[-1] + "{{.Names}}"),
        "network": ("network", "ls", *label[:-1], label[-1] + "{{.Name}}"),
        "volume": ("volume", "ls", *label[:-1], label[-1] + "{{.Name}}"),
    }
    for kind, words in commands.items():
        for line in _docker(*words).splitlines():
            home_id, _, name = line.partition(" ")
            if home_id in homes:
                yield _told(f"{kind} {name}", homes[home_id])


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def docker_answers() -> bool:
    """Whether a Docker daemon answers where portway would look for it."""
    where = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not where.startswith("unix://"):
        return True
    with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(where.removeprefix("unix://"))
        client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b" 200 " in client.recv(64)
    return False


def _told(what: str, test: str) -> str:
    return f"{what} (of {test})" if test else what
