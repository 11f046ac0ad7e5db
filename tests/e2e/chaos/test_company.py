"""Bad company: apps that die, apps that cannot be routed, operators who collide, clients who only hold on."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from portway.cli.client import Client
from tests.e2e.chaos.support import Rounds, Site, at_rest, children, kill, length, report
from tests.e2e.machine import PORTWAY, ROOT, Machine, free_port, free_ports, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(length(120, 1800))]


def test_a_release_that_is_healthy_and_then_dies_is_told_of_and_started_ever_less_often(
    site: Site,
):
    """T13: after the deploy is done."""
    end = site.machine.directory / "end"
    site.deploy("v0")
    site.deploy("v1", **length({"DIE_FILE": end}, {"LIFE_S": 20}))
    first = {i["id"] for i in site.instances()}
    end.touch()
    until(lambda: not first & {i["id"] for i in site.instances()}, why="they die")
    until(lambda: any("the next try is in" in e for e in _told(site)), why="it waits longer")
    assert any("it exited with code 3" in e for e in _told(site))
    site.machine.ok("rollback")
    until(lambda: get(site.url) == "v0" and at_rest(site) and len(site.instances()) == 2)
    with Prober(site.url, rate_per_s=50) as prober:
        until(lambda: prober.result.total > 50)
    assert prober.result.failures == []


def test_a_release_whose_instances_die_once_healthy_is_taken_back(site: Site):
    """T13: while it is being deployed, one instance at a time."""
    labels = "portway.deployment.maximum: '125'"
    site.deploy("v0", count=4, labels=labels)
    site.write("v1", count=4, labels=labels, LIFE_S=0.4)
    said = site.machine.refused("deploy", code=1)
    assert "it exited with code 3" in said
    until(lambda: at_rest(site) and len(site.instances()) == 4)
    assert {get(site.url) for _ in range(8)} == {"v0"}


def _told(site: Site) -> list[str]:
    return site.machine.ok("events").splitlines()


def test_one_app_that_cannot_be_routed_holds_up_none_of_the_others(processes: Machine):
    """B3: its listener is somebody else's; all the others change over beside it."""
    street = Street(processes, length(6, 499))
    street.deploy("v0")
    with socket.create_server(("127.0.0.1", free_port())) as foreign:
        number = foreign.getsockname()[1]
        street.bad_one(number)
        said = processes.refused("deploy", "-a", "bad", "--no-wait", code=2)
        assert str(number) in said
    street.bad_one(number)
    processes.ok("deploy", "-a", "bad")
    with _stolen(processes, number):
        until(lambda: get(street.url(street.numbers[-1])), why="HAProxy is back")
        with Rounds([street.url(n) for n in street.numbers]) as rounds:
            until(lambda: rounds.laps >= 1, deadline_s=120)
            street.deploy("v1")
        told = f"Port {number} on 127.0.0.1 cannot be listened on: it is held by"
        until(lambda: told in processes.ok("apps", "info", "-a", "bad"), why=told)
    report(
        f"B3: {len(street.numbers)} apps changed over beside one that cannot be routed: {rounds}"
    )
    assert rounds.failures == []
    assert {get(street.url(n)) for n in street.numbers} == {"v1"}
    until(lambda: get(street.url(number)) == "v1", why="its listener is free again")
    street.delete()


class Street:
    """Many small apps beside each other, each with a listener: one stack of good ones, one of a bad one."""

    _SERVICE = """  app{nth}:
    command: "busybox httpd -f -p 127.0.0.1:$$PORT -h {text}"
    ports: ["{number}:80"]
    stop_grace_period: 1s
"""

    def __init__(self, machine: Machine, count: int) -> None:
        self._machine = machine
        self.numbers = [free_port() for _ in range(count)]
        machine.variables["PORTWAY_HOST_PORTS"] = free_ports(2 * count + 60)

    def deploy(self, text: str) -> None:
        self._write(text, dict(enumerate(self.numbers)))
        began_s = time.monotonic()
        self._machine.ok("deploy", "-a", "good", timeout_s=length(120, 900))
        report(f"B3: {len(self.numbers)} apps deployed in {time.monotonic() - began_s:.1f} s")

    def delete(self) -> None:
        """As long as that takes; the machine's own end is more impatient."""
        self._machine.ok("apps", "delete", "-a", "good", "--yes", timeout_s=length(120, 900))

    def bad_one(self, number: int) -> None:
        self._write("v1", {"bad": number})

    @staticmethod
    def url(number: int) -> str:
        return f"http://127.0.0.1:{number}/"

    def _write(self, text: str, numbers: Mapping[int | str, int]) -> None:
        self._machine.write(f"{text}/index.html", text)
        services = (
            self._SERVICE.format(nth=nth, text=text, number=number)
            for nth, number in numbers.items()
        )
        self._machine.manifest("services:\n" + "".join(services))


@contextmanager
def _stolen(machine: Machine, number: int) -> Iterator[None]:
    """HAProxy dies, and somebody else takes one of its ports before it is back."""
    server, master = machine.server_pid(), machine.json("server", "status")["balancer_pid"]
    os.kill(server, signal.SIGSTOP)
    try:
        for victim in (int(master), *children(int(master))):
            kill(victim)
        # A worker that was just being started ends by itself when it finds its master gone.
        foreign = until(lambda: _taken(number), why=f"port {number} is free")
    finally:
        os.kill(server, signal.SIGCONT)
    with foreign:
        yield


def _taken(number: int) -> socket.socket | None:
    try:
        return socket.create_server(("127.0.0.1", number))
    except OSError:
        return None


def test_of_two_operators_who_deploy_at_once_one_is_told_to_wait(site: Site):
    """C11."""
    site.deploy("v0")
    gate = site.machine.directory / "gate"
    site.write("v1", READY_FILE=gate)
    operators = [
        subprocess.Popen(
            [str(PORTWAY), "deploy"],
            cwd=site.machine.directory,
            env=site.machine.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    until(lambda: any(o.poll() is not None for o in operators), why="one is refused")
    (refused,) = [o for o in operators if o.poll() is not None]
    (winner,) = [o for o in operators if o is not refused]
    gate.touch()
    said = refused.communicate(timeout=60)[0]
    assert refused.returncode == 2
    assert "another deployment of shop is under way" in said
    assert winner.communicate(timeout=60)[0].count("ERROR") == 0
    assert winner.returncode == 0
    assert get(site.url) == "v1"


@pytest.fixture
def crowd_size() -> Iterator[int]:
    """So many connections as this process may have open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = length(500, 10_000)
    if before[1] != resource.RLIM_INFINITY:
        wanted = min(wanted, before[1] - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted + 500, before[0]), before[1]))
    yield wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_clients_that_only_hold_connections_keep_nobody_from_deploying(site: Site, crowd_size: int):
    """B5: idle ones, and ones that send a header a byte at a time; who is cut off comes back."""
    number = free_port()
    site.machine.variables["PORTWAY_LISTEN"] = f"127.0.0.1:{number}"
    site.deploy("v0")
    server = site.machine.server_pid()
    client = Client(site.machine.home / "portway.sock", timeout_s=10)
    with Prober(site.url, rate_per_s=50) as prober, Crowd(number, crowd_size) as crowd:
        until(lambda: crowd.is_complete, why="all of them are connected")
        assert client.ask("GET", "/stacks/shop")["name"] == "shop"
        assert get(f"http://127.0.0.1:{number}/v1/version"), "a newcomer is answered beside them"
        site.deploy("v1")
        assert get(f"http://127.0.0.1:{number}/v1/version")
        files = len(list(Path(f"/proc/{server}/fd").iterdir()))
    report(f"B5: {crowd}; the server has {files} files open; {prober.result}")
    assert prober.result.failures == []
    assert get(site.url) == "v1"
    assert files < 1000, "below what a service may have open by default"


class Crowd(threading.Thread):
    """Clients that hold connections to a port; whoever is cut off comes back, at most 500 of them a second."""

    _PAUSE_S = 0.2

    def __init__(self, number: int, size: int) -> None:
        super().__init__(daemon=True)
        self._number = number
        self._size = size
        self._held: dict[int, socket.socket] = {}
        self._over = threading.Event()
        self._opened = 0
        self._ends = select.epoll()

    @property
    def is_complete(self) -> bool:
        return self._opened >= self._size

    def __enter__(self) -> Crowd:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        for one in self._held.values():
            one.close()
        self._ends.close()

    def __str__(self) -> str:
        return f"{self._size} connections held, {self._opened} opened in all"

    def run(self) -> None:
        while not self._over.wait(self._PAUSE_S):
            for file, _ in self._ends.poll(0, self._size):
                self._held.pop(file).close()
            for one in self._held.values():
                if one.fileno() % 4 == 0:
                    with suppress(OSError):
                        one.send(b"x")
            room = 100 if self.is_complete else self._size
            for _ in range(min(room, self._size - len(self._held))):
                self._open()

    def _open(self) -> None:
        one = socket.socket()
        one.settimeout(5)
        if one.connect_ex(("127.0.0.1", self._number)) != 0:
            one.close()
            return
        one.setblocking(False)
        if one.fileno() % 4 == 0:
            with suppress(OSError):
                one.send(b"GET /v1/version HTTP/1.1\r\nX-Slow: ")
        self._opened += 1
        self._held[one.fileno()] = one
        self._ends.register(one.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
