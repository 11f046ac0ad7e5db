"""One whole portway with secrets planted in it: none is in anything it says or writes for others to read.

And what it writes is its owner's alone, and HAProxy, which faces the network, holds nothing it should not.
"""

from __future__ import annotations

import http.client
import os
import socket
import stat
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.conftest import _short_home
from tests.e2e.machine import Machine, free_port, until

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(120)]

STACK_SECRET = "canary-stack-5f2e91aa"
FILE_SECRET = "canary-file-77b0c4d2"
REQUEST_SECRET = "canary-request-3d18c6f0"
# Where secrets are kept, because a restart must not lose them; every one is its owner's alone.
KEEPING = ("portway.db", "portway.db-wal", "portway.db-shm", "certificates", "haproxy", "instances")
# What an instance itself writes of a request is its own affair, so this one writes nothing.
SERVER = f"exec {sys.executable} -m http.server --bind 127.0.0.1 $PORT 2>/dev/null"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, str]]:
    """A stack of one process whose command and environment hold the secrets, served with TLS."""
    machine = Machine(
        home=_short_home(), directory=tmp_path_factory.mktemp("canary") / "shop", engine="process"
    )
    try:
        listener = free_port()
        machine.write("secret.env", f"FILE_TOKEN={FILE_SECRET}\n")
        machine.manifest(f"""services:
  web:
    command: [sh, -c, "{SERVER.replace("$", "$$")}", "${{STACK_TOKEN:-none}}"]
    env_file: secret.env
    ports: ["{listener}:80"]
    healthcheck: {{disable: false, interval: 1s}}
    labels: [portway.access_log=true]
""")
        machine.ok("deploy")
        machine.ok("env", "set", f"STACK_TOKEN={STACK_SECRET}")
        machine.ok("deploy")  # now it is in the command too
        until(lambda: request_with_secrets(listener) and access_log(machine), why="it is logged")
        machine.ok("ssl", "create", f"web:{listener}", "--self-signed")
        token = machine.ok("token", "create", "ci", "--role", "deploy").strip()
        yield machine, token
    finally:
        machine.close()


def request_with_secrets(listener: int) -> bool:
    """What a browser may carry: in the query, a header, a cookie."""
    headers = {"Authorization": f"Bearer {REQUEST_SECRET}", "Cookie": f"session={REQUEST_SECRET}"}
    url = f"http://127.0.0.1:{listener}/?token={REQUEST_SECRET}"
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False  # asked again until it is answered


def access_log(machine: Machine) -> bytes:
    """Every line of it."""
    paths = (machine.home / "log" / "access").rglob("*")
    return b"".join(path.read_bytes() for path in paths if path.is_file())


def everything_said(machine: Machine) -> str:
    """What the command line, and so the API, answers to everybody who may only look."""
    words = ["ps", "apps", "map", "events", "ssl", "plan", "server status", "token"]
    said = [machine.run(*word.split(), "--json") for word in words]
    said += [machine.run(*word.split()) for word in ("ps", "apps info", "map", "events", "plan")]
    said += [machine.run("why", "web", "--json"), machine.run("logs", "web", "--access")]
    release = machine.json("releases")[0]["id"]
    said += [machine.run("releases", "info", release, *more) for more in ((), ("--json",))]
    assert {done.returncode for done in said} <= {0}
    return "".join(done.stdout + done.stderr for done in said)


def metrics(machine: Machine) -> str:
    """The page for Prometheus."""
    with closing(_UnixConnection(machine.home / "portway.sock")) as connection:
        connection.request("GET", "/metrics", headers={"Host": "localhost"})
        return connection.getresponse().read().decode()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


def test_no_secret_is_in_anything_that_is_said(shop: tuple[Machine, str]) -> None:
    machine, token = shop
    said = everything_said(machine)
    assert "http.server" in said
    assert "***" in said
    for secret in (STACK_SECRET, FILE_SECRET, token, "PRIVATE KEY"):
        assert secret not in said
    assert REQUEST_SECRET not in said
    assert '"p99_ms"' in said, "the receipt"
    assert "GET /" in said, "the access log"
    assert STACK_SECRET in machine.ok("env")


def test_no_secret_is_in_the_page_for_prometheus(shop: tuple[Machine, str]) -> None:
    machine, token = shop
    page = metrics(machine)
    assert "portway_deployments_total" in page
    for secret in (STACK_SECRET, FILE_SECRET, REQUEST_SECRET, token, "PRIVATE KEY"):
        assert secret not in page


def test_no_secret_of_a_request_is_in_the_access_log(shop: tuple[Machine, str]) -> None:
    machine, _ = shop
    assert b'"path":"/"' in access_log(machine)
    assert REQUEST_SECRET.encode() not in access_log(machine)


def test_everything_in_the_home_is_its_owners_alone(shop: tuple[Machine, str]) -> None:
    home = shop[0].home
    open_to_others = {
        str(path.relative_to(home)): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in (home, *home.rglob("*"))
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    }
    assert _reachable(home, open_to_others) == {}
    # Whoever made the home may have left it open; what is in it is not.
    assert [name for name in open_to_others if "/" not in name] == []


def _reachable(home: Path, found: dict[str, str]) -> dict[str, str]:
    """Those of them that another user gets to: no directory above is closed."""
    return {
        name: mode
        for name, mode in found.items()
        if not any(
            stat.S_IMODE(parent.stat().st_mode) & 0o077 == 0
            for parent in (home / name).parents
            if parent.is_relative_to(home)
        )
    }


def test_the_balancer_holds_neither_the_store_nor_a_socket_that_commands(
    shop: tuple[Machine, str],
) -> None:
    machine, _ = shop
    master = machine.json("server", "status")["balancer_pid"]
    workers = until(lambda: _children(master), why="a worker")
    for process_id in (master, *workers):
        held = [str(entry.readlink()) for entry in _descriptors(process_id)]
        assert held
        odd = [path for path in held if path.endswith((".db", ".db-wal", "docker.sock", ".lock"))]
        assert odd == []
        environment = Path(f"/proc/{process_id}/environ").read_bytes()
        assert STACK_SECRET.encode() not in environment
        assert b"PORTWAY_TOKEN" not in environment


def _children(process_id: int) -> list[int]:
    path = Path(f"/proc/{process_id}/task/{process_id}/children")
    return [int(word) for word in path.read_text().split()]


def _descriptors(process_id: int) -> list[Path]:
    return list(Path(f"/proc/{process_id}/fd").iterdir())


def test_a_worker_that_faces_the_network_is_not_root(shop: tuple[Machine, str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("Only root can give a worker to another user.")
    master = shop[0].json("server", "status")["balancer_pid"]
    for worker in until(lambda: _children(master), why="a worker"):
        status = Path(f"/proc/{worker}/status").read_text()
        uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        assert "0" not in uids
