"""What the tests of real faults share: how long they take, the app as a stack, a WebSocket, figures. Holds no test."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from portway.cli.client import Client
from portway.core.errors import PortwayError
from tests.e2e.machine import Machine, free_port, until

FULL = os.environ.get("PORTWAY_CHAOS") == "full"
T = TypeVar("T")
DOCKER = pytest.param("docker", marks=pytest.mark.docker)
APP = Path(__file__).with_name("app.py")


def length(short: T, full: T) -> T:
    """How much of it: short in `make test`, full in `make chaos`."""
    return full if FULL else short


def report(what: str) -> None:
    """A figure, shown by `make chaos`."""
    print(f"\n  chaos: {what}", flush=True)


class Stopwatch:
    """How long something took; held against a limit only where nothing else wants the machine."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    def lap(self, what: str, *, within_s: float) -> None:
        took_s = time.monotonic() - self._began_s
        report(f"{what}: {took_s:.2f} s (at most {within_s:g} s)")
        assert not FULL or took_s <= within_s


class Site:
    """A stack of one app, `count` times app.py."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.listener = free_port()
        self.url = f"http://127.0.0.1:{self.listener}/"
        self.ledger = machine.directory / "ledger"
        self.ledger.touch()
        shutil.copy(APP, machine.directory / "app.py")

    def write(
        self, text: str, *, count: int = 2, grace: str = "5s", labels: str = "", **variables: object
    ) -> None:
        given = {"TEXT": text, "LEDGER": str(self.ledger), **variables}
        environment = "".join(f"      {k}: '{v}'\n" for k, v in given.items())
        self.machine.manifest(f"""services:
  web:
    command: {sys.executable} app.py
    ports: ["{self.listener}:80"]
    environment:
{environment}    deploy: {{replicas: {count}}}
    stop_grace_period: {grace}
    labels: {{portway.health.path: /up{labels and ", " + labels}}}
""")

    def deploy(self, text: str, **more: Any) -> None:
        self.write(text, **more)
        self.machine.ok("deploy")

    def begin(self, text: str, **more: Any) -> None:
        """Deploy without waiting for the end."""
        self.write(text, **more)
        self.machine.ok("deploy", "--no-wait")

    def noted(self) -> list[str]:
        return self.ledger.read_text().splitlines()

    def ask(self, method: str, path: str, **more: Any) -> Any:
        return Client(self.machine.home / "portway.sock").ask(method, path, **more)

    def instances(self) -> list[dict[str, Any]]:
        return self.ask("GET", "/instances", query={"stack": "shop"})

    def pids(self) -> list[int]:
        """Of every process that runs app.py in this directory, whoever started it."""
        return processes_in(self.machine.directory, "app.py")

    def everything(self) -> list[int]:
        return self.pids()

    def settled(self) -> dict[str, Any]:
        """The stack, once nothing is being deployed any more."""
        return until(lambda: at_rest(self), why="the deployment has ended")


def at_rest(site: Site | Containers) -> dict[str, Any] | None:
    """The stack when it runs or has nothing to run, and no instance is on its way."""
    try:
        stack = site.ask("GET", "/stacks/shop")
        phases = {i["phase"] for i in site.instances()}
    except PortwayError:
        return None
    return stack if stack["status"] == "running" and phases <= {"running"} else None


def processes_in(directory: Path, program: str) -> list[int]:
    """Processes that work in that directory and have the program on their command line."""
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if program.encode() in words[1:2] and (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def children(parent: int) -> list[int]:
    """The processes it has started and not yet buried."""
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(word) for word in text.split()]


def kill(process_id: int) -> None:
    """SIGKILL, and gone with all its threads and what they had open when this returns."""
    descriptor = os.pidfd_open(process_id)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert select.select([descriptor], [], [], 20)[0], f"process {process_id} is still there"
    finally:
        os.close(descriptor)


class Later(threading.Thread):
    """A GET that is under way while other things happen; `answer` is its body or its failure."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.answer = "no answer"
        self.start()

    def run(self) -> None:
        try:
            with urllib.request.urlopen(self._url, timeout=120) as response:
                self.answer = response.read().decode()
        except OSError as error:
            self.answer = repr(error)

    def wait(self) -> str:
        self.join(timeout=120)
        return self.answer


class Rounds(threading.Thread):
    """Asks one URL after another, again and again while the block lasts; what goes wrong is a sentence."""

    def __init__(self, urls: Sequence[str]) -> None:
        super().__init__(daemon=True)
        self._urls = urls
        self._over = threading.Event()
        self.asked = 0
        self.failures: list[str] = []

    @property
    def laps(self) -> int:
        return self.asked // len(self._urls)

    def __enter__(self) -> Rounds:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def __str__(self) -> str:
        return f"{len(self.failures)} of {self.asked} requests failed"

    def run(self) -> None:
        while not self._over.wait(0.005):
            url = self._urls[self.asked % len(self._urls)]
            try:
                with urllib.request.urlopen(url, timeout=10) as response:
                    response.read()
            except OSError as error:
                self.failures.append(f"{url}: {error}")
            self.asked += 1


class WebSocket:
    """As much of RFC 6455 as an echo takes."""

    def __init__(self, url: str) -> None:
        host, _, number = url.split("/")[2].partition(":")
        self._socket = socket.create_connection((host, int(number)), timeout=30)
        self._socket.sendall(
            b"GET /ws HTTP/1.1\r\nHost: %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
            % host.encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._read(1)
        assert head.startswith(b"HTTP/1.1 101 "), head

    def echo(self, text: str) -> str:
        """Send a message and read one."""
        data = text.encode()
        # Masked with zeros, which leave it as it is.
        self._socket.sendall(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)
        first, size = self._read(2)
        assert first == 0x81, f"opcode {first & 15}"
        return self._read(size).decode()

    def is_cut(self) -> bool:
        """Whether the other side ends the connection within the time a read may take."""
        try:
            while self._socket.recv(4096):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self) -> None:
        self._socket.close()

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("cut")
            data += piece
        return data


class Containers:
    """A stack of one app in Docker that serves its text, twice."""

    def __init__(self, machine: Machine, image: str, *, docker_host: str = "") -> None:
        self.machine = machine
        self.listener = free_port()
        self.url = f"http://127.0.0.1:{self.listener}/"
        self._image = image
        self._host = ["-H", docker_host] if docker_host else []

    def write(self, text: str) -> None:
        shell = f"mkdir -p /www; echo -n {text} > /www/index.html; exec httpd -f -p 80 -h /www"
        self.machine.manifest(f"""services:
  web:
    image: {self._image}
    command: {json.dumps(["sh", "-c", shell])}
    ports: ["{self.listener}:80"]
    stop_signal: SIGKILL
    deploy: {{replicas: 2}}
""")

    def deploy(self, text: str) -> None:
        self.write(text)
        self.machine.ok("deploy", "--until-gone")

    def ask(self, method: str, path: str, **more: Any) -> Any:
        return Client(self.machine.home / "portway.sock").ask(method, path, **more)

    def instances(self) -> list[dict[str, Any]]:
        return self.ask("GET", "/instances", query={"stack": "shop"})

    def everything(self) -> list[str]:
        """The containers of this home, those that ended too."""
        return self.docker("ps", "-aq", "--filter", f"label={self.label()}").split()

    def docker(self, *words: str) -> str:
        command = ["docker", *self._host, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def label(self) -> str:
        database = f"file:{self.machine.home}/portway.db?mode=ro"
        with closing(sqlite3.connect(database, uri=True)) as store:
            row = store.execute("SELECT value FROM meta WHERE name = 'home_id'").fetchone()
        return f"portway.home={row[0]}"


Stack = Site | Containers
