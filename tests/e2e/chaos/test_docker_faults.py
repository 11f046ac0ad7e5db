"""The Docker daemon goes silent, hangs, lies or restarts: what runs is served, and everything converges after."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from portway.cli.client import Client
from tests.e2e.chaos.docker_wire import BROKEN, EMPTY, Wire
from tests.e2e.chaos.support import Containers, Site, Stopwatch, at_rest, length, report
from tests.e2e.conftest import _short_home
from tests.e2e.machine import ROOT, Machine, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(length(240, 1200))]


@pytest.fixture(scope="module")
def wired(
    tmp_path_factory: pytest.TempPathFactory, image: str
) -> Iterator[tuple[Wire, Containers]]:
    """One portway for these faults, behind a wire."""
    machine = Machine(home=_short_home(), directory=tmp_path_factory.mktemp("wired") / "shop")
    wire = Wire(machine.home / "docker.sock")
    machine.variables["PORTWAY_DOCKER_HOST"] = wire.docker_host
    try:
        yield wire, Containers(machine, image)
    finally:
        machine.close()
        wire.close()


@pytest.fixture
def wire(wired: tuple[Wire, Containers]) -> Iterator[Wire]:
    """It tells the truth again when a test is over."""
    made, _ = wired
    yield made
    made.lies.clear()
    made.hear()
    made.go_on()


@pytest.fixture
def shop(wired: tuple[Wire, Containers], wire: Wire) -> Iterator[Containers]:
    """Two containers, deployed anew for each test: an app that died too often is looked at differently."""
    _, made = wired
    made.deploy("v0")
    yield made
    wire.go_on()
    made.machine.clear()


def test_what_an_event_stream_swallows_is_found_by_looking(wire: Wire, shop: Containers):
    """C8: the stream stays open and says nothing, as one that a firewall has forgotten."""
    wire.swallow_events()
    victim = shop.instances()[0]
    watch = Stopwatch()
    shop.docker("kill", victim["details"]["container"])
    until(lambda: victim["id"] not in {i["id"] for i in shop.instances()})
    watch.lap("C8: a death nobody told of was noticed", within_s=30)
    until(lambda: at_rest(shop) and len(shop.instances()) == 2)


def test_listings_that_lie_remove_nothing(wire: Wire, shop: Containers):
    """C10: all gone in one look is a look that failed, and a look that failed says nothing."""
    before = shop.everything()
    with Prober(shop.url, rate_per_s=50) as prober:
        wire.lies += [EMPTY, BROKEN]
        until(lambda: not wire.lies, why="both are asked for")
        looked = wire.listings
        until(lambda: wire.listings > looked, why="it looks again")
    assert prober.result.failures == []
    until(lambda: at_rest(shop))
    assert sorted(shop.everything()) == sorted(before)
    assert len(shop.instances()) == 2


def test_containers_that_are_really_gone_are_replaced(shop: Containers):
    """C10: seen twice, it is believed."""
    before = {i["id"] for i in shop.instances()}
    shop.docker("rm", "-f", *shop.everything())
    until(lambda: get(shop.url) == "v0" and at_rest(shop) and len(shop.instances()) == 2)
    assert not before & {i["id"] for i in shop.instances()}


def test_while_docker_hangs_everything_is_served_the_api_answers_and_then_it_converges(
    wire: Wire, shop: Containers, processes: Machine
):
    """C9."""
    client = Client(shop.machine.home / "portway.sock", timeout_s=20)
    neighbour = Site(processes)
    neighbour.deploy("v0")
    with Prober(shop.url) as prober, Prober(neighbour.url, rate_per_s=50) as beside:
        wire.hang_at(b"/containers/create")
        shop.write("v1")
        shop.machine.ok("deploy", "--no-wait")
        until(lambda: wire.hangs, why="Docker is asked for a container and hangs")
        for _ in range(length(3, 60)):
            threading.Event().wait(1)
            assert client.ask("GET", "/stacks/shop")["name"] == "shop"
            assert len(client.ask("GET", "/instances")) >= 2
        neighbour.deploy("v1")
        assert get(shop.url) == "v0"
        watch = Stopwatch()
        wire.go_on()
        until(lambda: get(shop.url) == "v1" and at_rest(shop) and len(shop.instances()) == 2)
        watch.lap("C9: Docker answers again, the deploy it hung in is done", within_s=30)
    report(f"C9: Docker hung for {length(3, 60)} s: {prober.result}; processes: {beside.result}")
    assert prober.result.failures == beside.result.failures == []
    until(lambda: len(shop.everything()) == 2, why="nothing is left of what hung")


class Dockerd:
    """A daemon of this test's own, which no other is disturbed by: a bridge of its own, no firewall rule.

    Without a bridge (`--bridge=none`) it would delete the docker0 of the daemon beside it; and so it does when it is started
    again with `--default-address-pool`, without which it takes what the machine has no route to.
    """

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="pd"))
        self._bridge = Bridge(f"pd{os.getpid()}")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def docker_host(self) -> str:
        return f"unix://{self.place}/s"

    def start(self, *flags: str) -> None:
        words = ["dockerd", "--data-root", "data", "--exec-root", "exec", "--pidfile", "pid"]
        words += ["-H", self.docker_host, "--bridge", self._bridge.name, "--iptables=false"]
        words += ["--containerd-namespace", "pd", "--containerd-plugins-namespace", "pdp"]
        words += flags
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [w if "/" in w or w not in _PLACES else str(self.place / w) for w in words],
                cwd=self.place, stdout=log, stderr=log,
            )  # fmt: skip
        until(
            lambda: self.docker("version", "--format", "{{.Server.Version}}").strip(),
            why=f"dockerd answers (see {self.place}/log)",
        )

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=60)
        # A daemon that starts while the containerd of the one before is still ending waits for it in vain.
        until(lambda: not self._containerd(), why="its containerd has ended")
        (self.place / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def _containerd(self) -> bool:
        try:
            process_id = int((self.place / "exec/containerd/containerd.pid").read_text())
            return b"containerd" in Path(f"/proc/{process_id}/cmdline").read_bytes()
        except (OSError, ValueError):
            return False

    def docker(self, *words: str, given: bytes | None = None) -> str:
        done = subprocess.run(
            ["docker", "-H", self.docker_host, *words],
            input=given, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout.decode()

    def remove(self) -> None:
        for container in self.docker("ps", "-aq").split():
            self.docker("rm", "-f", container)
        for network in self.docker("network", "ls", "-q", "--filter", "driver=bridge").split():
            self.docker("network", "rm", network)
        self.end(signal.SIGTERM)
        self._bridge.remove()
        for mount in Path("/proc/mounts").read_text().splitlines():
            if (where := mount.split()[1]).startswith(f"{self.place}/"):
                subprocess.run(["umount", "-l", where], check=False)
        shutil.rmtree(self.place)


_PLACES = ("data", "exec", "pid")


class Bridge:
    """A network bridge, made and removed by the kernel's own calls: not every machine has `ip`."""

    _ADD, _REMOVE, _SET_FLAGS = 0x89A0, 0x89A1, 0x8914  # SIOCBRADDBR, SIOCBRDELBR, SIOCSIFFLAGS

    def __init__(self, name: str) -> None:
        self.name = name
        self._call(self._ADD, name.encode() + b"\0")

    def remove(self) -> None:
        self._call(self._SET_FLAGS, struct.pack("16sh14x", self.name.encode(), 0))  # down
        self._call(self._REMOVE, self.name.encode() + b"\0")

    def _call(self, number: int, argument: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, number, argument)


@pytest.fixture
def dockerd(machine: Machine, image: str) -> Iterator[Dockerd]:
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        pytest.skip("this machine has no dockerd that this user may start")
    made = Dockerd()
    try:
        made.start("--live-restore")
        saved = subprocess.run(["docker", "save", image], check=True, capture_output=True)
        made.docker("load", given=saved.stdout)
        machine.variables |= {"PORTWAY_DOCKER_HOST": made.docker_host}
        yield made
        machine.close()
    finally:
        made.remove()


@pytest.mark.root
def test_a_docker_daemon_may_restart_with_and_without_its_containers(
    machine: Machine, dockerd: Dockerd, image: str
):
    """C3: kept by live-restore they serve on; taken along by the daemon they are replaced."""
    shop = Containers(machine, image, docker_host=dockerd.docker_host)
    shop.deploy("v0")
    before = sorted(i["id"] for i in shop.instances())
    with Prober(shop.url) as prober:
        dockerd.end(signal.SIGKILL)
        until(lambda: "Docker" in str(machine.ask("/server")["problems"]))
        assert sorted(i["id"] for i in shop.instances()) == before, "nothing is given up"
        dockerd.start("--live-restore")
        shop.deploy("v1")
    report(f"C3: killed and restarted with live-restore: {prober.result}")
    assert prober.result.failures == []
    assert not set(before) & {i["id"] for i in shop.instances()}
    for way in length((), (signal.SIGTERM, signal.SIGKILL)):
        dockerd.end(way)
        dockerd.start()
        watch = Stopwatch()
        until(lambda: get(shop.url) == "v1")
        watch.lap(f"C3: {way.name} without live-restore, served again", within_s=30)
        until(lambda: at_rest(shop) and len(shop.instances()) == len(shop.everything()) == 2)
    shop.deploy("v2")
    assert get(shop.url) == "v2"
