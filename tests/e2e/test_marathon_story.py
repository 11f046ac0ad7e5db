"""Marathon's definitions on one server with Docker: processes and containers side by side, replaced under load."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chaos.docker_wire import BROKEN, Wire
from tests.e2e.conftest import _short_home
from tests.e2e.machine import ROOT, Machine, free_port, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(180)]

NETWORK = f"marathon-{os.getpid()}"
SIZE = {"cpus": 0.1, "mem": 32}
SOON = {"intervalSeconds": 1, "timeoutSeconds": 1}
SERVES = "mkdir -p /www; env > /www/index.html; exec httpd -f -p 80 -h /www"
WEB = """import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write("".join(f"{k}={v}\\n" for k, v in os.environ.items()).encode())

    def log_message(self, *words):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT0"])), Handler).serve_forever()
"""


class Site:
    """One server, asked as Marathon is, with a wire between it and Docker."""

    def __init__(self, directory: Path, image: str) -> None:
        self.machine = Machine(home=_short_home(), directory=directory)
        self.wire = Wire(self.machine.home / "docker.sock")
        self.machine.variables["PORTWAY_DOCKER_HOST"] = self.wire.docker_host
        self.image = image
        self.serves = self.machine.write("web.py", WEB)
        self.bare, self.boxed = free_port(), free_port()

    def ask(self, method: str, path: str, body: object = None, *, code: int = 200) -> Any:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        with connection.sock:
            connection.sock.connect(str(self.machine.home / "portway.sock"))
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
        assert answer.status == code, said
        return json.loads(said)

    def settled(self) -> None:
        until(lambda: self.ask("GET", "/v2/deployments") == [], why="every deployment is done")

    def tasks(self, path: str) -> list[Any]:
        return self.ask("GET", f"/v2/apps{path}")["app"]["tasks"]

    def start(self) -> None:
        """Two of a process and two of a container, behind a service port each."""
        check = {**SOON, "gracePeriodSeconds": 60, "path": "/"}
        bare = {
            "id": "/shop/bare",
            "cmd": f"echo on $PORT0; exec {sys.executable} {self.serves}",
            "portDefinitions": [{"port": self.bare, "name": "http"}],
            "healthChecks": [{**check, "protocol": "HTTP"}],
        }
        mappings = [{"containerPort": 80, "hostPort": 0, "servicePort": self.boxed}]
        boxed = {
            "id": "/shop/boxed",
            "args": ["sh", "-c", SERVES],
            "container": {"docker": {"image": self.image}, "portMappings": mappings},
            "networks": [{"mode": "container/bridge"}],
            "healthChecks": [{**check, "protocol": "MESOS_HTTP", "delaySeconds": 0}],
            "taskKillGracePeriodSeconds": 1,
        }
        for app in (bare, boxed):
            upgrade = {"minimumHealthCapacity": 1, "maximumOverCapacity": 1}
            more = {**SIZE, "instances": 2, "upgradeStrategy": upgrade}
            self.ask("POST", "/v2/apps", {**app, **more}, code=201)
        self.settled()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("marathon"), image)
    try:
        made.machine.start_server()
        made.start()
        yield made
    finally:
        made.wire.lies.clear()
        made.machine.close()
        made.wire.close()
        shutil.rmtree(made.machine.home, ignore_errors=True)


def test_processes_and_containers_are_served_by_one_server(site: Site):
    for path, service_port in (("/shop/bare", site.bare), ("/shop/boxed", site.boxed)):
        tasks = site.tasks(path)
        ports = sorted(task["ports"][0] for task in tasks)
        assert [task["state"] for task in tasks] == ["TASK_RUNNING"] * 2
        seen = until(lambda p=service_port: get(f"http://127.0.0.1:{p}/"))
        assert f"MARATHON_APP_ID={path}\n" in seen
        assert int(seen.split("\nPORT0=")[1].split("\n")[0]) in ports
    assert len(site.machine.ask("/instances", stack="shop")) == 4
    assert f"on {site.tasks('/shop/bare')[0]['ports'][0]}" in site.machine.ok(
        "logs", "-a", "shop", "bare"
    )


def test_both_are_replaced_under_load_by_a_server_that_is_killed_meanwhile(site: Site):
    urls = [f"http://127.0.0.1:{number}/" for number in (site.bare, site.boxed)]
    with ExitStack() as stack:
        probers = [stack.enter_context(Prober(url, rate_per_s=100)) for url in urls]
        for path in ("/shop/bare", "/shop/boxed"):
            site.ask("PUT", f"/v2/apps{path}", {"env": {"V": "2"}})
        until(lambda: len(site.tasks("/shop/boxed")) > 2, why="the new version is starting")
        site.machine.kill_server()
        site.machine.start_server()
        site.settled()
        assert all("V=2\n" in get(url) for url in urls)
    assert [prober.result.failures for prober in probers] == [[], []]
    assert all(prober.result.total for prober in probers)


def test_docker_that_cannot_be_listed_hides_no_process(site: Site):
    boxed = {task["id"] for task in site.tasks("/shop/boxed")}
    before = {task["id"] for task in site.tasks("/shop/bare")}
    site.wire.lies += [BROKEN] * 10_000
    try:
        victim = next(i for i in site.machine.ask("/instances", stack="shop") if i["app"] == "bare")
        os.kill(int(victim["details"]["pid"]), signal.SIGKILL)
        until(
            lambda: (
                len({task["id"] for task in site.tasks("/shop/bare")} - before) == 1
                and all(task["state"] == "TASK_RUNNING" for task in site.tasks("/shop/bare"))
            ),
            why="another process runs",
        )
    finally:
        site.wire.lies.clear()
    until(lambda: {task["id"] for task in site.tasks("/shop/boxed")} == boxed)
    assert get(f"http://127.0.0.1:{site.boxed}/")


def test_a_deployment_that_is_called_off_goes_back_and_an_app_is_suspended(site: Site):
    url = f"http://127.0.0.1:{site.bare}/"
    given = site.ask("PUT", "/v2/apps/shop/bare", {"env": {"V": "3"}, "cmd": "exec sleep 1000"})
    until(lambda: len(site.tasks("/shop/bare")) > 2)
    site.ask("DELETE", f"/v2/deployments/{given['deploymentId']}")
    site.settled()
    assert "V=2\n" in get(url)
    site.ask("PUT", "/v2/apps/shop/bare", {"instances": 0})
    site.settled()
    assert site.tasks("/shop/bare") == []
    site.ask("PUT", "/v2/apps/shop/bare", {"instances": 1})
    site.settled()
    assert "V=2\n" in until(lambda: get(url))


def test_containers_of_a_pod_share_a_network_a_volume_and_what_they_are_told(
    site: Site, tmp_path: Path
):
    web = "mkdir -p /www; echo from web > /www/index.html; exec httpd -f -p $ENDPOINT_HTTP -h /www"
    side = (
        "while ! wget -q -O /data/web http://127.0.0.1:$ENDPOINT_HTTP/; do sleep 0.1; done; "
        "mkdir -p /www; env > /www/index.html; exec httpd -f -p $ENDPOINT_ADMIN -h /www"
    )
    container = {"resources": SIZE, "image": {"kind": "DOCKER", "id": site.image}}
    container["lifecycle"] = {"killGracePeriodSeconds": 0}
    check = {"intervalSeconds": 2, "timeoutSeconds": 1, "delaySeconds": 0}
    pod = {
        "id": "/shop/pod",
        "networks": [{"mode": "container", "name": NETWORK}],
        "volumes": [{"name": "data", "host": str(tmp_path)}],
        "containers": [
            {
                **container,
                "name": "web",
                "exec": {"command": {"argv": ["sh", "-c", web]}},
                "endpoints": [{"name": "http", "containerPort": 8080}],
                "healthCheck": {"tcp": {"endpoint": "http"}, **check},
            },
            {
                **container,
                "name": "side",
                "exec": {"command": {"argv": ["sh", "-c", side]}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "endpoints": [{"name": "admin", "containerPort": 8090, "hostPort": 0}],
                "healthCheck": {"http": {"endpoint": "admin", "path": "/"}, **check},
            },
        ],
    }
    subprocess.run(["docker", "network", "create", NETWORK], check=True, capture_output=True)
    try:
        site.ask("POST", "/v2/pods", pod, code=201)
        site.settled()
        status = site.ask("GET", "/v2/pods/shop/pod::status")
        [instance] = status["instances"]
        [network] = instance["networks"]
        endpoints = {e["name"]: e for c in instance["containers"] for e in c["endpoints"]}
        told = get(f"http://127.0.0.1:{endpoints['admin']['allocatedHostPort']}/")
        assert (status["status"], instance["status"]) == ("STABLE", "STABLE")
        assert network["name"] == NETWORK
        assert get(f"http://{network['addresses'][0]}:8080/") == "from web\n"
        assert (tmp_path / "web").read_text() == "from web\n"
        assert {"ENDPOINT_HTTP=8080", "EP_CONTAINER_ADMIN=8090"} <= set(told.split("\n"))
    finally:
        site.machine.clear()
        subprocess.run(["docker", "network", "rm", NETWORK], check=False, capture_output=True)
