"""examples/marathon-*: an app of `cmd` and $PORT0, one of Docker behind its service port, and a pod, side by side, over /v2."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.machine import ROOT, Machine, free_port, get, until

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(120)]

EXAMPLES = ROOT / "examples"
IMAGE = "portway-test-marathon-examples"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image of the examples, under a name of its own."""
    context = tmp_path_factory.mktemp("marathon-bridge")
    shutil.copy("/bin/busybox", context / "busybox")
    shutil.copy(EXAMPLES / "marathon-bridge" / "Dockerfile", context)
    subprocess.run(["docker", "build", "-q", "-t", IMAGE, str(context)], check=True, capture_output=True)  # fmt: skip
    yield IMAGE
    subprocess.run(["docker", "rmi", "-f", IMAGE], check=False, capture_output=True)


def example(path: str, **changes: str) -> Any:
    """A file of the examples with something else in place of what would be shared with others."""
    text = (EXAMPLES / path).read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return json.loads(text)


def ask(machine: Machine, method: str, path: str, body: Any = None) -> Any:
    """Marathon's API over the server's socket."""
    connection = http.client.HTTPConnection("portway", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(str(machine.home / "portway.sock"))
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status < 300, said
        return json.loads(said)
    finally:
        connection.close()


def test_the_examples_run_side_by_side_and_answer(standing_machine: Machine, built: str) -> None:
    machine, listeners = standing_machine, (free_port(), free_port())
    machine.start_server()
    named = {"portway-example-marathon:1": built}
    hello = example("marathon-cmd/app.json", **{"10080": str(listeners[0])})
    web = example("marathon-bridge/app.json", **{"10081": str(listeners[1]), **named})
    pod = example("marathon-pod/pod.json", **named)
    for path, body in (("/v2/apps", hello), ("/v2/apps", web), ("/v2/pods", pod)):
        ask(machine, "POST", path, body)
    until(
        lambda: ask(machine, "GET", "/v2/deployments") == [], deadline_s=60, why="all is deployed"
    )

    assert "Directory listing" in get(f"http://127.0.0.1:{listeners[0]}/")
    said = machine.ok("logs", "-a", "marathon", "hello.1")
    told = dict(re.findall(r"([A-Z_0-9]+)=(\S+)", said))
    assert told["MARATHON_APP_ID"] == "/hello"
    assert told["PORT0"] == told["PORT_HTTP"] == told[f"PORT_{listeners[0]}"]
    ports = [task["ports"] for task in ask(machine, "GET", "/v2/apps/hello")["app"]["tasks"]]
    assert [int(told["PORT0"])] in ports

    assert get(f"http://127.0.0.1:{listeners[1]}/") == "It works\n"
    [one, other] = ask(machine, "GET", "/v2/apps/shop/web")["app"]["tasks"]
    assert one["ports"] != other["ports"]

    [instance] = ask(machine, "GET", "/v2/pods//shop/pod::status")["instances"]
    assert instance["status"] == "STABLE"
    [endpoint] = next(c for c in instance["containers"] if c["name"] == "web")["endpoints"]
    assert get(f"http://127.0.0.1:{endpoint['allocatedHostPort']}/") == "It works\n"
    until(lambda: "It works" in machine.ok("logs", "-a", "shop", "pod"), why="asks has asked web")
