"""Requests, uploads, sockets and datagrams while releases come and go: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import http.client
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.chaos.support import (
    DOCKER,
    Later,
    Site,
    Stack,
    Stopwatch,
    WebSocket,
    length,
    processes_in,
    report,
)
from tests.e2e.machine import ROOT, Machine, free_port, get, until
from tests.e2e.test_story import web

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(length(240, 1800))]


@pytest.fixture
def processes(standing_processes: Machine) -> Machine:
    return standing_processes


@pytest.mark.docker
def test_rolling_deploys_of_containers_under_200_requests_a_second_drop_none(
    machine: Machine, image: str
):
    """T1."""
    listener, times = free_port(), length(1, 50)
    web(machine, image, listener, "v0")
    machine.ok("deploy")
    with Prober(f"http://127.0.0.1:{listener}/") as prober:
        for nth in range(times):
            web(machine, image, listener, f"v{nth + 1}")
            machine.ok("deploy")
    report(f"T1 docker: {times} rolling deploys: {prober.result}")
    assert prober.result.failures == []
    assert len(prober.result.bodies) == times + 1, "each release has served"


def test_rolling_deploys_of_processes_under_200_requests_a_second_drop_none(site: Site):
    """T1, T9: what is replaced ends at once when it is told to."""
    times = length(2, 50)
    site.deploy("v0", ON_TERM="abrupt")
    with Prober(site.url) as prober:
        for nth in range(times):
            site.deploy(f"v{nth + 1}", ON_TERM="abrupt")
    report(f"T1 process: {times} rolling deploys: {prober.result}")
    assert prober.result.failures == []
    assert len(prober.result.bodies) == times + 1, "each release has served"


@pytest.mark.parametrize("stack", length(["process"], [DOCKER, "process"]), indirect=True)
def test_scaling_up_and_down_under_200_requests_a_second_drops_none(stack: Stack):
    """T2."""
    times, many = length((1, 4), (10, 20))
    stack.deploy("v0")
    stack.machine.ok("scale", "web=1")
    with Prober(stack.url) as prober:
        for _ in range(times):
            stack.machine.ok("scale", f"web={many}")
            stack.machine.ok("scale", "web=1")
    report(f"T2 {stack.machine.engine}: {times} times 1 -> {many} -> 1: {prober.result}")
    assert prober.result.failures == []
    until(lambda: len(stack.instances()) == 1)


def test_reloads_and_changes_of_servers_drop_none(
    site: Site, tmp_path_factory: pytest.TempPathFactory
):
    """T3: each round a listener comes and one goes, which takes a reload, and four servers change."""
    rounds = length(1, 25)
    site.deploy("v0")
    other = _beside(site, tmp_path_factory)
    before = _reloads(site)
    with Prober(site.url) as prober:
        for nth in range(rounds):
            other.listener = free_port()
            other.deploy(f"b{nth}", count=1)
            site.deploy(f"v{nth + 1}")
    reloads = _reloads(site) - before
    report(f"T3: {4 * rounds} changes of servers, {reloads} reloads: {prober.result}")
    assert prober.result.failures == []
    assert reloads >= rounds


def _reloads(site: Site) -> int:
    return site.machine.json("server", "status")["balancer_reloads"]


def test_a_request_in_flight_is_answered_by_an_app_that_would_end_at_once(site: Site):
    """T4, T9: drained first, told to end after."""
    seconds = length(3, 25)
    site.deploy("v0", ON_TERM="abrupt")
    slow = Later(f"{site.url}slow?s={seconds}")
    until(lambda: "slow v0" in site.noted(), why="the request is under way")
    site.deploy("v1", ON_TERM="abrupt")
    assert slow.wait() == "begun ended v0"
    assert get(site.url) == "v1"


def test_an_app_that_ignores_sigterm_is_killed_at_its_limit_and_not_waited_for(site: Site):
    """T10."""
    site.deploy("v0", ON_TERM="deaf", grace="1s")
    before = site.pids()
    with Prober(site.url, rate_per_s=50) as prober:
        site.deploy("v1", grace="1s")
    assert prober.result.failures == []
    assert len(before) == 2
    watch = Stopwatch()
    until(lambda: not set(before) & set(site.pids()), why="the deaf ones are killed")
    watch.lap("T10: deployed, and what ignored SIGTERM is gone", within_s=3)


def test_websockets_outlive_deploys_of_other_apps_and_their_own_apps_until_drained(
    site: Site, tmp_path_factory: pytest.TempPathFactory
):
    """T5: A is the site, B another stack beside it."""
    site.deploy("a0")
    other = _beside(site, tmp_path_factory)
    other.deploy("b0", count=1)
    with ThreadPoolExecutor(16) as pool:
        sockets = list(pool.map(WebSocket, [site.url] * 200))
    try:
        for nth in range(length(2, 20)):
            other.deploy(f"b{nth + 1}", count=1)
        assert _echoes(sockets) == {"a0 still there"}, "deploys of B"
        site.begin("a1", labels="portway.draining.timeout: '600'")
        until(lambda: get(site.url) == "a1")
        until(lambda: {"draining"} <= {i["phase"] for i in site.instances()})
        assert _echoes(sockets) == {"a0 still there"}, "a deploy of A"
        for one in sockets[:-1]:
            one.close()
        assert _echoes(sockets[-1:]) == {"a0 still there"}, "the last one is waited for as well"
        sockets[-1].close()
        until(lambda: site.settled() and len(site.instances()) == 2)
    finally:
        for one in sockets:
            one.close()
    report("T5: 200 WebSockets outlived every deploy")


def test_a_websocket_that_never_ends_is_cut_when_the_drain_time_is_over(site: Site):
    """T5."""
    labels = "portway.draining.timeout: '1'"
    site.deploy("v0", labels=labels)
    endless = WebSocket(site.url)
    site.deploy("v1", labels=labels)
    assert endless.is_cut()
    endless.close()


def _beside(site: Site, places: pytest.TempPathFactory) -> Site:
    """Another stack on the same portway."""
    machine = Machine(
        home=site.machine.home,
        directory=places.mktemp("beside") / "other",
        engine="process",
        variables=site.machine.variables,
    )
    return Site(machine)


def _echoes(sockets: list[WebSocket]) -> set[str]:
    return {one.echo("still there") for one in sockets}


def test_no_upload_is_sent_twice_though_apps_die_with_it_in_their_hands(site: Site):
    """T6: whether the app had acted on it nobody can know, so it is the client's to decide."""
    deaths, threads = length(3, 12), 4
    site.deploy("v0", count=3)
    answered: list[str] = []
    lock = threading.Lock()
    over = threading.Event()

    def upload(name: str) -> None:
        nth = 0
        while not over.wait(0.01):
            body = f"{name}-{nth}"
            if _post(site.listener, body) == f"taken {body}":
                with lock:
                    answered.append(body)
            nth += 1

    uploaders = [threading.Thread(target=upload, args=(f"body{n}",)) for n in range(threads)]
    for one in uploaders:
        one.start()
    try:
        for nth in range(deaths):
            _post(site.listener, f"die-{nth}")
            site.deploy(f"v{nth + 1}", count=3)
    finally:
        over.set()
        for one in uploaders:
            one.join()
    noted = site.noted()
    report(f"T6: {len(noted)} uploads, {deaths} deaths, {len(noted) - len(set(noted))} sent twice")
    assert len(noted) == len(set(noted)), "none twice"
    assert set(answered) <= set(noted), "none made up"
    assert len(answered) > deaths, "most uploads went well"


def _post(number: int, body: str) -> str:
    """The answer to one try, "" when there is none; nothing here tries again."""
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=20)
    try:
        connection.request("POST", "/", body)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def test_an_app_that_is_slow_to_start_gets_no_request_early(site: Site):
    """T8: it listens at once and is ready much later."""
    seconds = length(2, 30)
    site.deploy("v0")
    with Prober(site.url) as prober:
        site.deploy("v1", READY_AFTER_S=seconds)
        until(lambda: b"v1" in prober.result.bodies)
    assert prober.result.failures == [], '"early" would be a failure'
    assert set(prober.result.bodies) == {b"v0", b"v1"}


UDP = """
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", int(os.environ["PORT"])))
while True:
    data, client = s.recvfrom(2048)
    s.sendto(os.environ["TEXT"].encode() + b" " + data, client)
"""


def test_datagrams_of_a_client_that_never_pauses_reach_the_new_release(processes: Machine):
    """T7: the same socket of the client throughout, so a flow that stuck to the old one would show."""
    number = free_port()
    processes.write("echo.py", UDP)

    def deploy(text: str) -> None:
        processes.manifest(f"""services:
  echo:
    command: {sys.executable} echo.py
    ports: ["{number}:{number}/udp"]
    environment: {{TEXT: {text}}}
    stop_grace_period: 1s
""")
        processes.ok("deploy")

    deploy("v0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.05)
        until(lambda: _datagram(client, number) == "v0 ping")
        over = threading.Event()
        flood = threading.Thread(target=_flood, args=(client, number, over))
        flood.start()
        deploy("v1")
        over.set()
        flood.join()
        watch = Stopwatch()
        until(lambda: _datagram(client, number) == "v1 ping", why="the new one answers")
        watch.lap("T7: deployed, and datagrams reach the new release", within_s=1)
    assert len(processes_in(processes.directory, "echo.py")) == 1


def _datagram(client: socket.socket, number: int) -> str:
    try:
        client.sendto(b"ping", ("127.0.0.1", number))
        return client.recv(2048).decode()
    except OSError:
        return ""


def _flood(client: socket.socket, number: int, over: threading.Event) -> None:
    while not over.wait(0.01):
        _datagram(client, number)
