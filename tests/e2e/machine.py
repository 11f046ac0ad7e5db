"""A private portway for one test: its own home, port ranges, HAProxy and containers, driven by its command line."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portway.cli.client import Client, ServerAbsent
from portway.cli.launch import answers, ending
from portway.engines.process.kernel import HOME_MARKER
from portway.store.home_id import remembered_home_id
from tests.e2e import forker

ROOT = Path(__file__).resolve().parents[2]
PORTWAY = Path(sys.executable).with_name("portway")
DEADLINE_S = 60.0


def until(what: Callable[[], Any], *, deadline_s: float = DEADLINE_S, why: str = "") -> Any:
    """Poll until `what()` is true, and return it; AssertionError after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f"{why or what} did not come true within {deadline_s:.0f} s"
        time.sleep(0.02)


@dataclass
class PortWalk:
    """Ports outside the kernel's ephemeral range, gone round: what a finished test had comes again last.

    Workers beside each other have ranges of their own.
    """

    start: int = 21000 + 2600 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 3)
    size: int = 2600
    taken: int = field(default_factory=lambda: os.getpid() % 1000)

    def take(self, count: int) -> int:
        """The first of so many free ones in a row."""
        for _ in range(self.size):
            if self.taken + count > self.size:
                self.taken = 0
            first = self.start + self.taken
            self.taken += count
            if all(_bindable(number) for number in range(first, first + count)):
                return first
        raise AssertionError(f"no {count} free ports in a row")


def _bindable(number: int) -> bool:
    with socket.socket() as test:
        try:
            test.bind(("0.0.0.0", number))
        except OSError:
            return False
    return True


_walk = PortWalk()


def free_port() -> int:
    """A TCP port nobody listens on."""
    return _walk.take(1)


def free_ports(count: int) -> str:
    """A range of so many TCP ports nobody listens on, as portway wants to be told of it."""
    first = _walk.take(count)
    return f"{first}-{first + count - 1}"


@dataclass
class Machine:
    """One portway and the directory its manifests are in."""

    home: Path
    directory: Path
    engine: str = "docker"
    variables: dict[str, str] = field(default_factory=dict)
    marks: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        first = _walk.take(60)
        self.variables = {
            "PORTWAY_HOME": str(self.home),
            "PORTWAY_LISTEN": "",
            "PORTWAY_ENGINE": self.engine,
            "PORTWAY_HOST_PORTS": f"{first}-{first + 49}",
            "PORTWAY_SERVICE_PORTS": f"{first + 50}-{first + 59}",
            "PORTWAY_HOLD_DOWN_S": "1",
            "PORTWAY_PUBLIC_ADDRESS": "127.0.0.1",
            **self.variables,
        }

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PORTWAY_")}
        return {**kept, "NO_COLOR": "1", **self.variables, **(more or {})}

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def manifest(self, text: str) -> Path:
        return self.write("docker-compose.yml", text)

    def run(
        self, *words: str, timeout_s: float = 120, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = self.environment(env)
        return forker.run(words, cwd=self.directory, env=environment, timeout_s=timeout_s)

    def ok(self, *words: str, **options: Any) -> str:
        """Run it, expect success, and return what it printed."""
        done = self.run(*words, **options)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def refused(self, *words: str, code: int, **options: Any) -> str:
        """Run it, expect that exit code and no traceback, and return all it said."""
        done = self.run(*words, **options)
        said = done.stdout + done.stderr
        assert done.returncode == code, f"{words}: {done.returncode}, not {code}\n{said}"
        assert "Traceback" not in said
        return said

    def ask(self, path: str, **query: object) -> Any:
        """GET it from the server: for what is asked again and again, as a command takes its time to start."""
        return Client(self.home / "portway.sock").ask("GET", path, query=query)

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(*words, "--json"))

    def start_server(self) -> None:
        self.ok("server", "start")

    def server_pid(self) -> int:
        return int(self.json("server", "status")["pid"])

    def kill_server(self) -> None:
        """The server ends without a word, and is gone when this returns."""
        server = os.pidfd_open(self.server_pid())
        try:
            signal.pidfd_send_signal(server, signal.SIGKILL)
            assert select.select([server], [], [], DEADLINE_S)[0], "it is still there"
        finally:
            os.close(server)

    def close(self) -> None:
        """Delete every stack, stop the server; nothing may be left."""
        if not self.home.exists():
            return
        try:
            self._end()
            until(lambda: not self.processes(), deadline_s=20, why="no process left")
        finally:
            for pid in self.processes():
                os.kill(pid, 9)
            shutil.rmtree(self.home, ignore_errors=True)

    def clear(self) -> None:
        """Delete every stack; the server stays."""
        client = Client(self.home / "portway.sock")
        for stack in client.ask("GET", "/stacks"):
            client.ask("DELETE", f"/stacks/{stack['name']}", query={"drain": 0})
        until(lambda: client.ask("GET", "/stacks") == [], why="every stack is deleted")

    def _end(self) -> None:
        client = Client(self.home / "portway.sock")
        if not answers(client) and any(self.home.iterdir()):
            self.run("server", "start")
        with suppress(ServerAbsent):
            self.clear()
            with ending(client):
                client.ask("POST", "/server/stop", body={})

    def processes(self) -> list[int]:
        """Every process whose command line or environment names this home or, as an app's own, its id."""
        found: list[int] = []
        self.marks.add(str(self.home).encode())
        if home_id := remembered_home_id(self.home):
            self.marks.add(f"{HOME_MARKER}={home_id}".encode())
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if any(mark in said for mark in self.marks):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


def get(url: str, *, timeout_s: float = 5.0) -> str:
    """The body behind a URL, or "" while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.URLError):
        return ""


def without_capabilities(names: str, *words: str) -> list[str]:
    """The command line as root of less power."""
    dropped = ",".join(f"-{name}" for name in names.split())
    return ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}", *words]


SHOP = """services:
  web:
    {what}
    command: {command}
    stop_signal: SIGKILL
    ports:
      - {ports}
{more}"""
SERVES = "mkdir -p /www; echo {text} > /www/index.html; exec httpd -f -p 80 -h /www"


@dataclass
class Shop:
    """A stack of one app that serves "good", and the ways its manifest is made wrong."""

    machine: Machine
    image: str
    listener: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener}/"

    def text(
        self,
        *,
        what: str = "",
        shell: str = SERVES.format(text="good"),
        ports: str = "",
        more: str = "",
    ) -> str:
        """Its manifest; ports are on line 7, column 9."""
        return SHOP.format(
            what=what or f"image: {self.image}",
            command=json.dumps(["sh", "-c", shell]),
            ports=ports or f"{self.listener}:80",
            more="".join(f"    {line}\n" for line in more.splitlines()),
        )

    def write(self, **changes: str) -> None:
        self.machine.manifest(self.text(**changes))

    def deploy(self, *, code: int, **changes: str) -> str:
        """Deploy it changed; it must end with that exit code. All it said."""
        self.write(**changes)
        return self.machine.refused("deploy", code=code)

    def survey(self) -> dict[str, Any]:
        """Which release is active and which of its instances serve."""
        client = Client(self.machine.home / "portway.sock")
        instances = client.ask("GET", "/instances", query={"stack": "shop"})
        serving = [i["id"] for i in instances if i["phase"] == "running"]
        return {"release": client.ask("GET", "/stacks/shop")["release"], "serving": serving}

    def body(self) -> str:
        return get(self.url)


class Stall(Shop):
    """A shop of one process."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, "", free_port())
        self.gate = machine.directory / "gate"

    def write(self, *, text: str = "good", begin: str = "", **changes: str) -> None:
        """Which serves this text, after a command that it begins with."""
        page = f"mkdir -p {text}; echo {text} > {text}/index.html"
        shell = f"{page}; {begin} exec busybox httpd -f -p 127.0.0.1:$$PORT -h {text}"
        super().write(what="stop_grace_period: 1s", shell=shell, **changes)

    def write_slow(self, text: str) -> None:
        """It does not serve before there is a gate."""
        self.write(text=text, begin="until [ -e gate ]; do sleep 0.1; done;")
