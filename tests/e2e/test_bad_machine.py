"""What a machine that lacks something gets: a sentence that says what to do, and a release that goes on serving.

With plain processes, as nothing of it is Docker's.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import PORTWAY, Machine, Stall, until, without_capabilities
from tests.features import needs_privileged_ports

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(120)]

FAILED, WRONG = 1, 2


def test_a_second_deployment_is_refused_with_the_release_of_the_first(processes: Machine):
    shop = Stall(processes)
    shop.write()
    processes.ok("deploy")
    shop.write_slow("slow")
    processes.ok("deploy", "--no-wait")
    release = until(
        lambda: [r["id"] for r in processes.ask("/stacks/shop/releases") if not r["active"]]
    )[0]
    until(lambda: processes.ask("/stacks/shop")["status"] == "deploying")
    shop.write(text="second")
    said = processes.refused("deploy", code=WRONG)
    assert f"another deployment of shop is under way: release {release}" in said
    assert "`portway cancel -a shop`" in said
    said = processes.refused("scale", "web=2", code=WRONG)
    assert f"another deployment of shop is under way: release {release}" in said
    assert shop.body() == "good\n"
    shop.gate.touch()
    until(lambda: shop.body() == "slow\n", why="the first is done")
    until(lambda: processes.ask("/stacks/shop")["status"] == "running")
    assert shop.survey()["release"] == release


def test_without_docker_the_server_says_how_to_get_it(nowhere: Machine):
    Stall(nowhere).write()
    said = nowhere.refused("deploy", code=FAILED)
    assert "Docker does not answer at unix:///nonexistent" in said
    assert "apt-get install docker.io" in said
    assert "--engine process" in said


@pytest.fixture
def nowhere(machine: Machine) -> Machine:
    """A portway whose Docker is not there."""
    machine.variables["PORTWAY_DOCKER_HOST"] = "unix:///nonexistent"
    return machine


def test_without_haproxy_the_server_says_how_to_get_it(processes: Machine):
    Stall(processes).write()
    said = processes.refused("deploy", code=FAILED, env={"PORTWAY_HAPROXY": "/nonexistent"})
    assert "HAProxy is not installed" in said
    assert "apt-get install haproxy" in said


@needs_privileged_ports
@pytest.mark.root
def test_a_listener_this_user_may_not_bind_is_refused_with_the_permission_it_needs(
    processes: Machine,
):
    shop = Stall(processes)
    subprocess.run(
        without_capabilities("net_bind_service", str(PORTWAY), "server", "start"),
        env=processes.environment(),
        check=True,
        capture_output=True,
    )
    shop.write()
    processes.ok("deploy")
    number = _privileged_port()
    said = shop.deploy(code=WRONG, ports=f"{number}:80")
    assert f"web wants to listen on {number}, but there is no permission to bind {number}" in said
    assert f"net.ipv4.ip_unprivileged_port_start={number}" in said
    assert shop.body() == "good\n"


def _privileged_port() -> int:
    for number in (80, 81, 82, 83):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", number)):
                return number
    raise AssertionError("somebody has all of them")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Machine]:
    """A portway whose home is a file system of its own, of 4 MB."""
    home = Path(tempfile.mkdtemp(prefix="pw"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(home)], check=True)
    made = Machine(home=home, directory=tmp_path / "shop", engine="process")
    try:
        yield made
        (home / "filler").unlink(missing_ok=True)
        made.close()
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)
        home.rmdir()


def _fill(home: Path) -> None:
    with (home / "filler").open("ab", buffering=0) as filler:
        for size in (65536, 4096, 1):
            try:
                while True:
                    filler.write(b"\0" * size)
            except OSError:
                continue


@pytest.mark.root
def test_a_full_disk_stops_changes_and_nothing_else(tiny_disk: Machine):
    shop = Stall(tiny_disk)
    shop.write()
    tiny_disk.ok("deploy")
    before, server = shop.survey(), tiny_disk.server_pid()
    _fill(tiny_disk.home)
    shop.write(text="new")
    for words in (["deploy"], ["scale", "web=2"], ["env", "set", "A=1"]):
        said = tiny_disk.refused(*words, code=FAILED)
        assert "There is no space left to save to" in said
        assert "What runs goes on and nothing saved is lost" in said
    assert shop.survey() == before
    assert shop.body() == "good\n"
    (tiny_disk.home / "filler").unlink()
    tiny_disk.ok("deploy")
    assert shop.body() == "new\n"
    assert tiny_disk.server_pid() == server, "it was never gone"


@pytest.mark.root
def test_a_disk_that_fills_in_mid_deploy_holds_it_up_and_is_told(tiny_disk: Machine):
    shop = Stall(tiny_disk)
    shop.write()
    tiny_disk.ok("deploy")
    server = tiny_disk.server_pid()
    shop.write_slow("new")
    tiny_disk.ok("deploy", "--no-wait")
    _fill(tiny_disk.home)
    shop.gate.touch()
    told = until(
        lambda: [
            app["blocked"]
            for app in tiny_disk.json("apps", "info")["apps"]
            if "There is no space left" in app["blocked"]
        ]
    )
    assert "Free some disk space" in told[0]
    assert shop.body() == "good\n"
    (tiny_disk.home / "filler").unlink()
    until(lambda: shop.body() == "new\n", why="the deployment goes on")
    assert tiny_disk.server_pid() == server, "it was never gone"
