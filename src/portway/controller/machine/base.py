"""Finding and Ground: what a check says, and everything it may look at. Records; the checks are beside it."""

from __future__ import annotations

import http.client
import json
import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from portway.config import Config
from portway.controller.ports.host_ports import DOCKER_SOCKET, PROC

_RUN_TIMEOUT_S = 5.0
_DOCKER_TIMEOUT_S = 3.0
_SBIN = "/usr/sbin:/sbin"
NOT_THERE = 127


class Severity(StrEnum):
    """OK; NOTE: good to know; WARNING: will hurt one day; ERROR: portway cannot do its work so."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found, as a sentence without its full stop, and what to do about it."""

    check: str
    severity: Severity
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a program ended and what it printed; `code` 127 = it is not there."""

    code: int
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a file system has left."""

    free_bytes: int
    total_bytes: int
    free_inodes: int
    total_inodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The running server as it describes itself; `version` "" when none runs."""

    version: str = ""
    pid: int = 0
    started_at_ms: int = 0
    problems: tuple[str, ...] = ()


Run = Callable[[Sequence[str]], Said]
AskDocker = Callable[[str], "dict[str, Any] | str"]


def run_program(words: Sequence[str]) -> Said:
    """Run a program that only reads, for a few seconds at most."""
    path = shutil.which(words[0], path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    if path is None:
        return Said(code=NOT_THERE)
    try:
        done = subprocess.run(
            [path, *words[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_RUN_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Said(code=1)
    return Said(code=done.returncode, output=done.stdout + done.stderr)


def room_of(path: Path) -> Room:
    """What the file system of a path has left; of the nearest directory that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    stat = os.statvfs(path)
    return Room(
        free_bytes=stat.f_bavail * stat.f_frsize,
        total_bytes=stat.f_blocks * stat.f_frsize,
        free_inodes=stat.f_favail,
        total_inodes=stat.f_files,
    )


class _DockerConnection(http.client.HTTPConnection):
    """HTTP to a Docker daemon, on a unix socket or a TCP address."""

    def __init__(self, docker_host: str) -> None:
        scheme, _, rest = docker_host.partition("://")
        self._path = rest if scheme == "unix" else ""
        host = "docker" if self._path else rest
        super().__init__(host, timeout=_DOCKER_TIMEOUT_S)

    def connect(self) -> None:
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_DOCKER_TIMEOUT_S)
        self.sock.connect(self._path)


def ask_docker(docker_host: str, path: str) -> dict[str, Any] | str:
    """What the daemon answers to a GET; a phrase that says why it does not."""
    try:
        with closing(_DockerConnection(docker_host)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return cast("dict[str, Any]", json.loads(answer.read()))
    except FileNotFoundError:
        return f"there is no {docker_host}"
    except PermissionError:
        return f"this user may not use {docker_host}"
    except ConnectionRefusedError:
        return f"nothing listens on {docker_host}"
    except TimeoutError:
        return f"it does not answer within {_DOCKER_TIMEOUT_S:g} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{docker_host} cannot be asked ({type(error).__name__})"


def docker_host_of(config: Config, environ: Mapping[str, str]) -> str:
    """Where the daemon is: the setting, DOCKER_HOST, its usual socket."""
    return config.docker_host or environ.get("DOCKER_HOST", "") or f"unix://{DOCKER_SOCKET}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The machine as the checks see it; every part can be another in a test. `file_limit` is the hard one."""

    config: Config
    server: ServerFacts = field(default_factory=ServerFacts)
    client_version: str = ""
    proc: Path = PROC
    cgroups: Path = Path("/sys/fs/cgroup")
    etc: Path = Path("/etc")
    run: Run = run_program
    ask_docker: AskDocker = lambda _path: "it was not asked"  # noqa: E731
    room: Callable[[Path], Room] = room_of
    now_s: Callable[[], float] = time.time
    file_limit: int = 1024
    user_id: int = 0

    def read(self, name: str) -> str:
        """A file under /proc, stripped; "" when it cannot be read."""
        try:
            return (self.proc / name).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ""


def real_ground(config: Config, server: ServerFacts, client_version: str) -> Ground:
    """This machine."""
    docker_host = docker_host_of(config, os.environ)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Ground(
        config=config,
        server=server,
        client_version=client_version,
        ask_docker=lambda path: ask_docker(docker_host, path),
        file_limit=2**31 if hard == resource.RLIM_INFINITY else hard,
        user_id=os.geteuid(),
    )


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check=check, severity=Severity.OK, text=text)


def note(check: str, text: str, fix: str = "") -> Finding:
    """Good to know."""
    return Finding(check=check, severity=Severity.NOTE, text=text, fix=fix)


def warning(check: str, text: str, fix: str = "") -> Finding:
    """It will hurt one day."""
    return Finding(check=check, severity=Severity.WARNING, text=text, fix=fix)


def error(check: str, text: str, fix: str = "") -> Finding:
    """portway cannot do its work so."""
    return Finding(check=check, severity=Severity.ERROR, text=text, fix=fix)
