"""The controller, HAProxy or the whole machine ends without a word, and everything is found again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from portway.core.errors import PortwayError
from tests.e2e.chaos.support import (
    DOCKER,
    Containers,
    Site,
    Stack,
    Stopwatch,
    WebSocket,
    at_rest,
    children,
    kill,
    length,
    report,
)
from tests.e2e.machine import ROOT, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(length(240, 3600))]

DOOMED = Path(__file__).with_name("doomed_server.py")
SKEWED = Path(__file__).with_name("skewed_server.py")


def test_killed_at_any_step_of_a_deploy_it_ends_done_or_never_begun_with_nothing_lost(
    stack: Stack,
):
    """C1: each server takes over from the one that was killed, and is killed one step later."""
    stack.deploy("v0")
    kill(stack.machine.server_pid())
    killed, served = 0, "v0"
    with Prober(stack.url, rate_per_s=length(50, 100)) as prober:
        for step in length((5, 11), tuple(range(1, 200))):
            doom = _deploy_on_a_doomed_server(stack, step, f"v{step}")
            killed += doom
            served = _whole(stack, served, f"v{step}")
            kill(stack.machine.server_pid())
            if not doom:
                break
    stack.machine.start_server()
    report(f"C1 {stack.machine.engine}: killed at {killed} steps, {prober.result}")
    assert prober.result.failures == []
    assert killed >= length(1, 20)


def _deploy_on_a_doomed_server(stack: Stack, step: int, text: str) -> bool:
    """Whether it was killed on the way; a server is there again when this returns."""
    armed = stack.machine.directory / "armed"
    with (stack.machine.directory / "doomed.log").open("w") as log:
        doomed = subprocess.Popen(
            [sys.executable, str(DOOMED), str(step)],
            env=stack.machine.environment({"DOOM": str(armed)}),
            stderr=log,
        )
    until(lambda: _answers(stack) or doomed.poll() is not None, deadline_s=120)
    assert doomed.poll() is None, Path(log.name).read_text()
    until(lambda: at_rest(stack), why="what the one before it began is finished")
    stack.write(text)
    armed.touch()
    said = stack.machine.run("deploy", "--no-wait")
    assert "Traceback" not in said.stderr
    until(
        lambda: doomed.poll() is not None or (get(stack.url) == text and _is_clean(stack)),
        why="it is killed, or the deployment is over",
    )
    armed.unlink()
    was_killed = doomed.poll() is not None
    if not was_killed:
        doomed.kill()
    doomed.wait()
    stack.machine.start_server()
    return was_killed


def _answers(stack: Stack) -> bool:
    try:
        return bool(stack.ask("GET", "/server"))
    except PortwayError:
        return False


def _is_clean(stack: Stack) -> bool:
    """Two instances, as many things that run, as many leases: nothing doubled, orphaned or lost."""
    if not at_rest(stack):
        return False
    try:
        leased = stack.ask("GET", "/server")["host_ports_leased"]
        return len(stack.instances()) == len(stack.everything()) == leased == 2
    except PortwayError:
        return False  # it is killed while it answers


def _whole(stack: Stack, before: str, after: str) -> str:
    """What serves once all is at rest: all of the old release or all of the new one."""
    until(lambda: _is_clean(stack), why="two instances, nothing doubled, orphaned or lost")
    instances = stack.instances()
    assert len({i["release"] for i in instances}) == 1
    ports = [p["host_port"] for i in instances for p in i["ports"]]
    assert len(set(ports)) == 2
    texts = {get(stack.url) for _ in range(4)}
    assert texts in ({before}, {after})
    return texts.pop()


def test_what_runs_is_served_while_there_is_no_controller(site: Site):
    """C2."""
    site.deploy("v0")
    before = site.pids()
    with closing(WebSocket(site.url)) as talk, Prober(site.url) as prober:
        kill(site.machine.server_pid())
        threading.Event().wait(length(2, 600))
        assert talk.echo("still there") == "v0 still there"
        site.machine.start_server()
        assert set(site.pids()) == set(before), "taken over, not started again"
        talk.close()
        site.deploy("v1")
    report(f"C2: {length(2, 600)} s without a controller: {prober.result}")
    assert prober.result.failures == []
    assert b"v1" in prober.result.bodies


def test_a_clock_that_jumps_by_an_hour_changes_nothing_that_runs(site: Site):
    """C7: from one server to the next; within its life a server goes by a clock that cannot be set."""
    site.deploy("v0")
    kill(site.machine.server_pid())
    jumps = length((-3600,), (3600, -3600, 0))
    with Prober(site.url, rate_per_s=50) as prober:
        for nth, skew_s in enumerate(jumps):
            before = site.pids()
            words = [sys.executable, str(SKEWED), str(skew_s)]
            skewed = subprocess.Popen(words, env=site.machine.environment())
            until(lambda: _answers(site) and at_rest(site), deadline_s=120)
            assert set(site.pids()) == set(before), "nothing is started again"
            site.deploy(f"v{nth + 1}")
            until(lambda: len(site.pids()) == len(site.instances()) == 2)
            kill(skewed.pid)
            skewed.wait()
    report(f"C7: {len(jumps)} jumps by an hour or two: {prober.result}")
    assert prober.result.failures == []
    assert get(site.url) == f"v{len(jumps)}"


@pytest.mark.parametrize("who", length(["workers"], ["master", "workers"]))
def test_a_killed_haproxy_is_back_with_the_same_routes(site: Site, who: str):
    """C5."""
    site.deploy("v0")
    master = int(site.machine.json("server", "status")["balancer_pid"])
    watch = Stopwatch()
    victims = [master] if who == "master" else children(master)
    for victim in victims:
        kill(victim)
    until(lambda: get(site.url, timeout_s=1) == "v0")
    watch.lap(f"C5: HAProxy's {who} killed, served again", within_s=1)
    until(lambda: [e["state"] for e in site.machine.ask("/map")[0]["endpoints"]] == ["ready"] * 2)
    assert site.machine.json("server", "status")["balancer_pid"] != master


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with portway, and gets a number that was one of ours."""
    with subprocess.Popen(["sleep", "600"]) as sleeper:
        yield sleeper
        sleeper.kill()


@pytest.mark.parametrize("stack", length(["process"], [DOCKER, "process"]), indirect=True)
def test_after_a_reboot_everything_is_served_again_and_no_stranger_is_touched(
    stack: Stack, stranger: subprocess.Popen[bytes]
):
    """C4: every process gone at once, the home kept with its stale sockets, process numbers given to others."""
    stack.deploy("v0")
    release = stack.ask("GET", "/stacks/shop")["release"]
    kill(stack.machine.server_pid())
    if isinstance(stack, Containers):
        stack.docker("kill", *stack.everything())
    for process in stack.machine.processes():
        os.kill(process, 9)
    until(lambda: not stack.machine.processes())
    _give_numbers_to(stranger.pid, stack.machine.home)
    assert (stack.machine.home / "portway.sock").exists()
    watch = Stopwatch()
    stack.machine.start_server()
    until(lambda: get(stack.url) == "v0")
    watch.lap(f"C4: rebooted, served again by {stack.machine.engine}", within_s=30)
    until(lambda: _is_clean(stack), why="two instances and nothing else")
    assert stack.ask("GET", "/stacks/shop")["release"] == release
    assert {get(stack.url) for _ in range(10)} == {"v0"}, "no answer from a stale address"
    assert stranger.poll() is None


def _give_numbers_to(process_id: int, home: Path) -> None:
    for path in home.rglob("*.pid"):
        path.write_text(f"{process_id}\n")
    for name in ("supervisor", "child"):
        for path in home.glob(f"instances/*/{name}"):
            _, _, rest = path.read_text().partition(" ")
            path.write_text(f"{process_id} {rest}")
