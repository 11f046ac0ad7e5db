"""What the benchmarks stand on: a portway of their own, Docker's API without portway, and a client that waits.

Everything is on this machine, on loopback addresses and containers, and is gone afterwards.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

from prober import Prober, Result  # noqa: E402
from tests.e2e.machine import Machine, free_port  # noqa: E402

from portway.cli.client import Client  # noqa: E402

__all__ = ["Client", "Machine", "Prober", "Result", "free_port"]

IMAGE = "portway-benchmark:httpd"
DOCKERFILE = """FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox mkdir /www; /bin/busybox echo ok > /www/index.html"]
ENTRYPOINT ["/bin/busybox", "sh", "-c"]
CMD ["trap 'exit 0' TERM; /bin/busybox httpd -f -p 80 -h /www & wait"]
"""
DOCKER_SOCKET = "/var/run/docker.sock"
PATIENCE_S = 120.0


@contextmanager
def portway(engine: str = "docker", **variables: str) -> Iterator[Machine]:
    """A server of its own, stopped and removed afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(tempfile.mkdtemp(prefix="pw"))
        machine = Machine(
            home=home, directory=Path(directory) / "bench", engine=engine, variables=dict(variables)
        )
        try:
            machine.start_server()
            yield machine
        finally:
            machine.close()


@contextmanager
def image() -> Iterator[str]:
    """An image of nothing but busybox that serves "ok" on 80."""
    with tempfile.TemporaryDirectory() as context:
        shutil.copy("/bin/busybox", Path(context) / "busybox")
        (Path(context) / "Dockerfile").write_text(DOCKERFILE)
        subprocess.run(["docker", "build", "-q", "-t", IMAGE, context], check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        yield IMAGE
    finally:
        subprocess.run(["docker", "rmi", "-f", IMAGE], check=False, capture_output=True)


class Docker:
    """Docker's own API over its socket, one connection a call: the floor that anything on Docker stands on."""

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The decoded answer; RuntimeError on a refusal."""
        connection = http.client.HTTPConnection("docker", timeout=PATIENCE_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(DOCKER_SOCKET)
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 400 and answer.status != 404:
            raise RuntimeError(f"{method} {path}: {answer.status} {text!r}")
        return json.loads(text) if text else None

    def start(self, name: str, *, network: str, host_port: int) -> str:
        """Create and start one container of the image, its 80 published as portway would; its address."""
        published = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(host_port)}]}
        host = {"NetworkMode": network, "PortBindings": published}
        body = {"Image": IMAGE, "ExposedPorts": {"80/tcp": {}}, "HostConfig": host}
        self.call("POST", f"/containers/create?name={name}", body)
        self.call("POST", f"/containers/{name}/start")
        networks = self.call("GET", f"/containers/{name}/json")["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]

    @contextmanager
    def network(self, name: str) -> Iterator[str]:
        """A network, removed afterwards."""
        self.call("POST", "/networks/create", {"Name": name, "CheckDuplicate": True})
        yield name
        self.call("DELETE", f"/networks/{name}")

    def remove(self, name: str) -> None:
        """Away with it, whatever it does."""
        self.call("DELETE", f"/containers/{name}?force=1&v=1")


def wait_until_it_answers(address: str, number: int, path: str = "/") -> None:
    """Return with the first HTTP 200; RuntimeError when there is none in two minutes."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(address, number, timeout=5)
            connection.request("GET", path)
            status = connection.getresponse().status
            connection.close()
            if status == 200:
                return
        time.sleep(0.001)
    raise RuntimeError(f"http://{address}:{number}{path} does not answer")


def run(*argv: str, **options: Any) -> str:
    """A command that must succeed; what it printed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def client(machine: Machine) -> Client:
    """The server's API, without the cost of starting a command."""
    return Client(machine.home / "portway.sock", timeout_s=PATIENCE_S)


def release(api: Client, stack: str, manifest: str) -> str:
    """Make a release; its id."""
    body = {"manifest": manifest, "directory": "/"}
    return str(api.ask("POST", f"/stacks/{stack}/releases", body=body)["id"])


def settled(api: Client, stack: str) -> dict[str, Any]:
    """Wait until nothing of the stack is deploying; RuntimeError where a deployment fails."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        view = api.ask("GET", f"/stacks/{stack}")
        if view["status"] == "running":
            return view
        if view["status"] == "failed":
            raise RuntimeError(f"{stack} failed: {view}")
        time.sleep(0.02)
    raise RuntimeError(f"{stack} is still not running")


def deleted(api: Client, stack: str) -> None:
    """Delete the stack and wait until it is gone."""
    api.ask("DELETE", f"/stacks/{stack}")
    deadline = time.monotonic() + PATIENCE_S
    while any(s["name"] == stack for s in api.ask("GET", "/stacks")):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{stack} is still there")
        time.sleep(0.01)
