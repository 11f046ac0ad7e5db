"""Bad company: apps that die, apps that cannot be routed, operators who collide, clients who only hold on."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from portway.cli.client import Client
from tests.e2e.chaos.support import Site, at_rest, length, report
from tests.e2e.machine import PORTWAY, ROOT, Machine, free_port, get, until

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
    count = length(6, 100)
    numbers = [free_port() for _ in range(count)]
    service = """  app{nth}:
    command: "{python} -m http.server --bind 127.0.0.1 --directory {text} $$PORT"
    ports: ["{number}:80"]
    stop_grace_period: 1s
"""

    def deploy(text: str) -> None:
        processes.write(f"{text}/index.html", text)
        services = (
            service.format(nth=n, python=sys.executable, text=text, number=number)
            for n, number in enumerate(numbers)
        )
        processes.manifest("services:\n" + "".join(services))
        processes.ok("deploy", "-a", "good", timeout_s=length(120, 600))

    deploy("v0")
    with socket.create_server(("127.0.0.1", free_port())) as foreign:
        number = foreign.getsockname()[1]
        processes.manifest(
            "services:\n"
            + service.format(nth="bad", python=sys.executable, text="v0", number=number)
        )
        said = processes.refused("deploy", "-a", "bad", "--no-wait", code=2)
        assert str(number) in said
        deploy("v1")
    report(f"B3: {count} apps changed over beside one that cannot be routed")
    assert {get(f"http://127.0.0.1:{number}/") for number in numbers} == {"v1"}


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
def crowd() -> Iterator[int]:
    """So many connections as this process may have open."""
    wanted = length(400, 10_000)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(wanted + 500, before[1]) if before[1] != resource.RLIM_INFINITY else wanted + 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, before[0]), before[1]))
    yield wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_clients_that_only_hold_connections_keep_nobody_from_deploying(site: Site, crowd: int):
    """B5: idle ones, and ones that send a header a byte at a time."""
    number = free_port()
    site.machine.variables["PORTWAY_LISTEN"] = f"127.0.0.1:{number}"
    site.deploy("v0")
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(crowd)]
        for one in sockets:
            one.settimeout(5)
            if one.connect_ex(("127.0.0.1", number)) == 0 and one.fileno() % 4 == 0:
                one.sendall(b"GET /v1/version HTTP/1.1\r\nX-Slow: ")
        client = Client(site.machine.home / "portway.sock", timeout_s=10)
        assert client.ask("GET", "/stacks/shop")["name"] == "shop"
        site.deploy("v1")
    report(f"B5: {crowd} connections held open")
    assert get(site.url) == "v1"
    until(lambda: get(f"http://127.0.0.1:{number}/v1/version"), why="TCP answers again")
