"""The main job without containers: plain processes behind a real HAProxy, redeployed without a dropped request."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.e2e.machine import ROOT, Machine, Stall, free_port, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(120)]


@pytest.fixture
def processes(standing_processes: Machine) -> Machine:
    return standing_processes


FAILED, WRONG = 1, 2
SERVER = """
import json, os, signal, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        text = json.dumps(dict(os.environ)) if self.path == "/env" else os.environ["TEXT"]
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words):
        pass

class Server(ThreadingHTTPServer):
    daemon_threads = False  # the requests under way are answered before it ends
    request_queue_size = 128

server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("listening", flush=True)
server.serve_forever(0.05)
"""


class Site:
    """A stack of one process app, `count` times the server above."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.listener = free_port()
        self.url = f"http://127.0.0.1:{self.listener}/"
        machine.write("server.py", SERVER)

    def write(
        self, text: str, *, count: int = 2, command: str = "python3 server.py", more: str = ""
    ) -> None:
        command = command.replace("python3", sys.executable)
        self.machine.manifest(f"""services:
  web:
    command: {command}
    ports: ["{self.listener}:80"]
    environment: {{TEXT: {text}}}
    deploy: {{replicas: {count}}}
    stop_grace_period: 5s
{more}""")

    def deploy(self, text: str, *, count: int = 2, more: str = "") -> None:
        self.write(text, count=count, more=more)
        self.machine.ok("deploy")

    def pids(self) -> dict[str, str]:
        return {i["id"]: i["details"]["pid"] for i in self.machine.json("ps")}


@pytest.fixture
def site(processes: Machine) -> Site:
    return Site(processes)


def test_redeploys_and_scaling_drop_no_request(site: Site):
    site.deploy("v0")
    assert get(site.url) == "v0"
    with Prober(site.url) as prober:
        site.deploy("v1")
        for count in (5, 1, 2):
            site.machine.ok("scale", f"web={count}")
        site.deploy("v2")
        site.machine.ok("restart")
        site.machine.ok("rollback")
    assert prober.result.failures == []
    assert {b"v0", b"v1", b"v2"} <= set(prober.result.bodies)
    assert prober.result.total > 200
    assert get(site.url) == "v1"


def test_a_server_killed_in_mid_deploy_adopts_and_finishes(site: Site):
    site.deploy("v0", count=3)
    slow = "sh -c 'sleep 1; exec python3 server.py'"
    site.write("v1", count=3, command=slow)
    with Prober(site.url) as prober:
        site.machine.ok("deploy", "--no-wait")
        until(lambda: len(site.machine.ask("/instances")) > 3, why="the deployment has begun")
        site.machine.kill_server()
        site.machine.start_server()
        until(lambda: site.machine.ask("/stacks/shop")["status"] == "running")
        until(lambda: len(site.machine.ask("/instances")) == 3, why="nothing doubled")
    assert prober.result.failures == []
    assert get(site.url) == "v1"
    assert len(_servers_in(site.machine.directory)) == 3, "nothing orphaned"


def _servers_in(directory: Path) -> list[Path]:
    """The processes that run the server of that directory."""
    return [entry for entry in Path("/proc").glob("[0-9]*") if _is_server(entry, directory)]


def _is_server(entry: Path, directory: Path) -> bool:
    try:
        words = (entry / "cmdline").read_bytes().decode().split("\0")
        return (
            words[:2] == [sys.executable, "server.py"] and (entry / "cwd").readlink() == directory
        )
    except OSError:
        return False


def test_restarting_the_server_disturbs_no_process(site: Site):
    site.deploy("v0")
    before = site.pids()
    with Prober(site.url) as prober:
        site.machine.ok("server", "stop")
        assert get(site.url) == "v0", "served without a server"
        site.machine.start_server()
        assert site.pids() == before
        site.machine.kill_server()
        site.machine.start_server()
    assert site.pids() == before
    assert prober.result.failures == []


def test_a_process_that_is_killed_is_replaced_while_the_other_serves(site: Site):
    site.deploy("v0")
    victim, pid = next(iter(site.pids().items()))
    os.kill(int(pid), signal.SIGKILL)
    until(lambda: victim not in site.pids())
    until(lambda: [i["health"] for i in site.machine.ask("/instances")] == ["healthy", "healthy"])
    assert get(site.url) == "v0"


def test_an_instance_is_told_its_ports_and_who_it_is(site: Site):
    site.deploy("v0", count=1)
    (instance,) = site.machine.json("ps")
    host_port = str(instance["ports"][0]["host_port"])
    told = json.loads(get(site.url + "env"))
    for name in ("PORT", "PORT0", "PORTS", "PORT_80"):
        assert told[name] == host_port, name
    assert told["HOST"] == "127.0.0.1"
    assert told["PORTWAY_INSTANCE"] == f"shop/{instance['id']}"
    assert told["TEXT"] == "v0"
    assert "listening" in site.machine.ok("logs")
    said = site.machine.ok("exec", "web", "sh", "-c", "echo inside $PORT")
    assert said == f"inside {host_port}\n"


@pytest.mark.root
def test_a_process_over_its_memory_limit_is_ended_and_the_limit_is_named(site: Site):
    site.deploy("v0", count=1, more="    mem_limit: 96m\n")
    site.write(
        "v1",
        count=1,
        command="python3 -c \"x = 'a' * 300000000; import time; time.sleep(100)\"",
        more="    mem_limit: 96m\n",
    )
    said = site.machine.refused("deploy", code=FAILED)
    assert "it was killed because it used more memory than its limit" in said
    assert get(site.url) == "v0"


def test_a_process_that_ignores_its_port_is_told_where_it_listens(site: Site):
    site.deploy("v0", count=1)
    other = free_port()
    site.write(
        "v1",
        count=1,
        command=f"python3 -m http.server {other} --bind 127.0.0.1",
        more="    healthcheck: {start_period: 2s, interval: 1s, retries: 1}\n",
    )
    said = site.machine.refused("deploy", code=FAILED)
    assert f"web listens on 127.0.0.1:{other}; make it listen on $PORT (" in said
    assert get(site.url) == "v0"


def test_what_cannot_run_without_containers_is_said_before_anything_starts(site: Site):
    site.deploy("v0", count=1)
    site.machine.manifest(
        f"services:\n  web:\n    image: httpd\n    ports: ['{site.listener}:80']\n"
    )
    said = site.machine.refused("deploy", code=WRONG)
    assert "web has no command, and the process engine runs commands, not images" in said
    assert "--engine docker" in said
    site.write("v1", count=1, command="nosuchprogram")
    said = site.machine.refused("deploy", code=FAILED)
    assert "A program in its command was not found (exit code 127): nosuchprogram" in said
    assert get(site.url) == "v0"


def test_rollback_returns_to_the_release_before(processes: Machine):
    stall = Stall(processes)
    for text in ("one", "two"):
        stall.write(text=text)
        processes.ok("deploy")
    assert stall.body() == "two\n"
    processes.ok("rollback")
    assert stall.body() == "one\n"


def test_an_unchanged_app_is_left_alone_and_restart_replaces_it(processes: Machine):
    Stall(processes).write(more="deploy: {replicas: 2}")
    processes.ok("deploy")
    before = {i["id"] for i in processes.json("ps")}
    assert len(before) == 2
    processes.ok("deploy")
    assert {i["id"] for i in processes.json("ps")} == before
    processes.ok("restart", "--until-gone")
    assert not {i["id"] for i in processes.json("ps")} & before


def test_plan_shows_every_port_and_does_nothing(processes: Machine):
    processes.start_server()
    stall = Stall(processes)
    stall.write()
    said = processes.ok("plan")
    assert "web: create" in said
    assert str(stall.listener) in said
    assert processes.json("apps") == []
    assert stall.body() == ""


def test_a_variable_set_on_the_stack_fills_what_the_manifest_requires(processes: Machine):
    processes.manifest("""
services:
  worker:
    command: [sh, -c, "echo key is $$API_KEY; exec sleep 1000"]
    stop_signal: SIGKILL
    environment: [API_KEY]
""")
    assert "API_KEY" in processes.refused("deploy", code=WRONG)
    processes.ok("deploy", env={"API_KEY": "first"})
    processes.ok("env", "set", "API_KEY=second", "--promote")
    until(lambda: "key is second" in processes.ok("logs"))
    processes.ok("deploy")
    assert "key is second" in processes.ok("logs")
