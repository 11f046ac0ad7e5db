"""The main job: a compose project behind a real balancer, redeployed without a dropped request."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import urllib.request

import pytest

from tests.e2e.machine import ROOT, Machine, free_port, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(240)]


@pytest.fixture
def machine(standing_machine: Machine) -> Machine:
    return standing_machine


WEB = """
services:
  web:
    image: {image}
    command: ["sh", "-c", "mkdir -p /www; echo {text} > /www/index.html; exec /bin/busybox httpd -f -p 80 -h /www"]
    stop_signal: SIGKILL
    ports:
      - {listener}:80
    deploy:
      replicas: {count}
"""


def web(machine: Machine, image: str, listener: int, text: str, count: int = 2) -> None:
    machine.manifest(WEB.format(image=image, listener=listener, text=text, count=count))


def test_a_project_is_deployed_shown_scaled_and_removed(machine: Machine, image: str):
    listener = free_port()
    web(machine, image, listener, "hello")
    said = machine.ok("deploy")
    assert "shop is running: release R" in said
    assert "2/2 healthy" in said
    assert f"http://127.0.0.1:{listener}/  ->  web" in said
    assert get(f"http://127.0.0.1:{listener}/") == "hello\n"
    machine.ok("scale", "web=3")
    assert len(machine.json("ps")) == 3
    (route,) = machine.json("map")
    assert [e["state"] for e in route["endpoints"]] == ["ready"] * 3
    machine.ok("apps", "delete", "-a", "shop", "--yes")
    assert get(f"http://127.0.0.1:{listener}/") == ""
    assert machine.json("apps") == []


def test_instance_ports_are_published_on_the_loopback_address_only(machine: Machine, image: str):
    web(machine, image, free_port(), "hello")
    machine.ok("deploy")
    ours = f"name=portway-{(machine.home / 'home-id').read_text().strip()}-"
    listed = subprocess.run(
        ["docker", "ps", "--filter", ours, "--format", "{{.Ports}}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert len(listed) == 2
    assert all(entry.startswith("127.0.0.1:") for entry in listed)


def test_redeploys_scaling_and_certificates_drop_no_request_and_need_no_reload(
    machine: Machine, image: str
):
    listener, secure = free_port(), free_port()
    template = WEB.replace("      - {listener}:80", f"      - {{listener}}:80\n      - {secure}:80")

    def deploy(text: str) -> None:
        machine.manifest(template.format(image=image, listener=listener, text=text, count=2))
        machine.ok("deploy")

    deploy("v0")
    machine.ok("ssl", "create", f"web:{secure}", "--self-signed")
    until(lambda: _tls_answers(secure), why="the TLS listener answers")
    reloads = machine.json("server", "status")["balancer_reloads"]
    with (
        Prober(f"http://127.0.0.1:{listener}/") as plain,
        Prober(f"https://127.0.0.1:{secure}/", rate_per_s=20) as tls,
    ):
        for nth in range(2):
            deploy(f"v{nth + 1}")
        for count in (6, 1):
            machine.ok("scale", f"web={count}")
        for _ in range(2):
            machine.ok("ssl", "update", f"web:{secure}", "--self-signed")
    assert plain.result.failures == []
    assert tls.result.failures == []
    assert plain.result.total > 200
    assert {b"v0\n", b"v1\n", b"v2\n"} <= set(plain.result.bodies)
    assert machine.json("server", "status")["balancer_reloads"] == reloads


def _tls_answers(number: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(
            f"https://127.0.0.1:{number}/", context=context, timeout=5
        ) as a:
            return a.status == 200
    except OSError:
        return False


def test_restarting_the_server_disturbs_nothing_that_runs(machine: Machine, image: str):
    listener = free_port()
    web(machine, image, listener, "hello")
    machine.ok("deploy")
    before = {i["id"] for i in machine.json("ps")}
    with Prober(f"http://127.0.0.1:{listener}/") as prober:
        machine.ok("server", "stop")
        machine.start_server()
        machine.kill_server()
        machine.start_server()
        machine.ok("scale", "web=3")
    assert prober.result.failures == []
    assert before < {i["id"] for i in machine.json("ps")}


def test_a_controller_killed_in_mid_deploy_finishes_it_when_it_is_back(
    machine: Machine, image: str
):
    listener = free_port()
    web(machine, image, listener, "one")
    machine.ok("deploy")
    web(machine, image, listener, "two")
    with Prober(f"http://127.0.0.1:{listener}/") as prober:
        machine.ok("deploy", "--no-wait")
        first = machine.json("releases")[-1]["id"]
        until(lambda: any(i["release"] != first for i in machine.ask("/instances")))
        machine.kill_server()
        machine.start_server()
        until(lambda: machine.ask("/stacks/shop")["status"] == "running")
        until(lambda: len(machine.ask("/instances")) == 2, why="the old ones have ended")
    assert prober.result.failures == []
    assert get(f"http://127.0.0.1:{listener}/") == "two\n"


def test_a_killed_balancer_is_back_with_the_same_routes(machine: Machine, image: str):
    listener = free_port()
    web(machine, image, listener, "hello")
    machine.ok("deploy")
    os.kill(machine.json("server", "status")["balancer_pid"], signal.SIGKILL)
    until(lambda: get(f"http://127.0.0.1:{listener}/") == "hello\n", deadline_s=10)
    (route,) = machine.json("map")
    assert [e["state"] for e in route["endpoints"]] == ["ready", "ready"]


def test_an_instance_that_dies_is_replaced(machine: Machine, image: str):
    web(machine, image, free_port(), "hello")
    machine.ok("deploy")
    victim = machine.json("ps")[0]
    container = victim["details"]["container"]
    subprocess.run(["docker", "kill", container], check=True, capture_output=True)
    until(lambda: victim["id"] not in {i["id"] for i in machine.ask("/instances")})
    until(lambda: [i["health"] for i in machine.ask("/instances")] == ["healthy", "healthy"])


def test_apps_of_a_stack_find_each_other_by_name(machine: Machine, image: str):
    listener = free_port()
    machine.manifest(f"""
services:
  api:
    image: {image}
    command: ["sh", "-c", "mkdir /www; echo from the api > /www/index.html; exec httpd -f -p 5000 -h /www"]
    ports: ["5000"]
    stop_signal: SIGKILL
  web:
    image: {image}
    command: ["sh", "-c", "mkdir /www; wget -q -O /www/index.html http://api:5000/ && exec httpd -f -p 80 -h /www"]
    ports: ["{listener}:80"]
    stop_signal: SIGKILL
    depends_on: {{api: {{condition: service_healthy}}}}
    links: [api]
""")
    machine.ok("deploy")
    assert get(f"http://127.0.0.1:{listener}/") == "from the api\n"
    assert "API_URL=tcp://api:5000" in machine.ok("exec", "web", "/bin/busybox", "env")
    assert machine.ok("run", "web", "echo", "hi").strip().endswith("hi")


def test_logs_and_exec_reach_inside(machine: Machine, image: str):
    machine.manifest(f"""
services:
  worker:
    image: {image}
    command: ["sh", "-c", "echo started with $$PORTWAY_SLOT; exec sleep 1000"]
    stop_signal: SIGKILL
""")
    machine.ok("deploy")
    assert "started with 1" in machine.ok("logs")
    assert machine.ok("exec", "worker.1", "/bin/busybox", "echo", "inside") == "inside\n"
    assert machine.run("exec", "worker.1", "/bin/busybox", "sh", "-c", "exit 7").returncode == 7
