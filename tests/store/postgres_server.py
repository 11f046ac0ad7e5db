"""A real PostgreSQL of our own for a test session: made in a temporary directory, always stopped and deleted."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

PASSWORD = "canary-s3cret"  # looked for in every message: it must be in none
USER = "portway"
_DEBIAN = Path("/usr/lib/postgresql")
_databases = count(1)


def find_programs() -> Path | None:
    """The directory of initdb and postgres, None where PostgreSQL is not installed."""
    newest = sorted(_DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = shutil.which("initdb")
    for directory in [*newest, *([Path(found).parent] if found else [])]:
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    return None


def _account() -> str:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class PostgresServer:
    """A running server; `stop` and `start` make it come and go on the same port."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self.programs = programs
        self.directory = directory
        self.data = directory / "data"
        self.process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port_number = probe.getsockname()[1]
        self._who: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam(_account())
            self._who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(directory, account.pw_uid, account.pw_gid)

    def create(self) -> None:
        secret = self.directory / "password"
        secret.write_text(PASSWORD)
        subprocess.run(
            [
                self.programs / "initdb",
                "--pgdata",
                self.data,
                f"--username={USER}",
                "--auth=scram-sha-256",
                f"--pwfile={secret}",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            cwd=self.directory,
            timeout=60,
            **self._who,
        )

    def start(self) -> None:
        assert self.process is None
        log = (self.directory / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [
                    self.programs / "postgres",
                    *("-D", self.data, "-k", self.directory, "-p", str(self.port_number)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),
                    *("-c", "shared_buffers=16MB", "-c", "max_connections=30"),
                ],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                **self._who,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError((self.directory / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # fast: open sessions are ended
            self.process.wait(30)
            self.process = None

    def run(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Carry out one statement as an administrator would."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str, *, scheme: str = "postgresql") -> str:
        return f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{self.port_number}/{database}"

    def new_database(self) -> str:
        name = f"portway{next(_databases)}"
        self.run(f"CREATE DATABASE {name}")
        return name


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed here: apt-get install postgresql")
    directory = Path(tempfile.mkdtemp(prefix="portway-postgres-"))
    server = PostgresServer(programs, directory)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
