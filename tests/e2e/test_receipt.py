"""Receipts and the access log, with plain processes behind a real HAProxy."""

from __future__ import annotations

import json
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.machine import Machine, free_port, until

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(120)]

SERVER = """
import os, signal, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/drop":
            return  # the connection closes without an answer
        self.send_response(500 if self.path == "/boom" else 200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\\n")

    def log_message(self, *words):
        pass

class Server(ThreadingHTTPServer):
    daemon_threads = False  # the requests under way are answered before it ends
    request_queue_size = 128

server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(0.05)
"""


@contextmanager
def asked(url: str, *paths: str) -> Iterator[list[int]]:
    """Ask again and again for as long as the block lasts; the statuses."""
    statuses: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            for path in paths:
                try:
                    with urllib.request.urlopen(url + path, timeout=20) as answer:
                        statuses.append(answer.status)
                except urllib.error.HTTPError as error:
                    statuses.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(statuses) > 5)
        yield statuses
    finally:
        over.set()
        for thread in threads:
            thread.join()


def deploy(machine: Machine, listener: int, version: int) -> Any:
    machine.manifest(f"""services:
  web:
    command: {sys.executable} server.py
    ports: ["{listener}:80"]
    environment: {{VERSION: "{version}"}}
    labels: {{portway.access_log: "true", portway.port.{listener}.protocol: http}}
""")
    return json.loads(machine.ok("deploy", "--json"))


def test_a_deploy_under_load_says_what_became_of_the_requests(processes: Machine) -> None:
    listener = free_port()
    url = f"http://127.0.0.1:{listener}"
    processes.write("server.py", SERVER)
    deploy(processes, listener, 1)

    with asked(url, "/", "/?token=secret") as statuses:
        clean = deploy(processes, listener, 2)["receipt"]
    assert set(statuses) == {200}
    (web,) = clean["apps"]
    assert (clean["status"], web["failed"], web["failures"]) == ("done", 0, [])
    assert web["requests"] > 0
    assert web["worst_ms"] >= web["p99_ms"] > 0
    assert sum(clean["stages_ms"].values()) == clean["ended_at_ms"] - clean["started_at_ms"]

    with asked(url, "/", "/boom", "/drop") as statuses:
        dirty = deploy(processes, listener, 3)
    assert set(statuses) == {200, 500, 502}
    (web,) = dirty["receipt"]["apps"]
    said = {one["reason"]: one["count"] for one in web["failures"]}
    # One under way when the watching began is known to the counters alone.
    assert {
        "the app answered 500",
        "the instance closed the connection before it answered",
    } <= set(said)
    assert web["failed"] == sum(said.values()) > 0

    # Kept with the release, whoever is asked.
    processes.ok("server", "stop")
    processes.start_server()
    info = processes.ok("releases", "info", dirty["release"])
    assert f"{web['failed']} failed" in info
    assert "requests failed: the app answered 500" in info or "request failed: the app" in info

    lines = [
        json.loads(line)
        for line in processes.ok("logs", "--access", "web", "--json").split("\n")
        if line
    ]
    assert {line["path"] for line in lines} == {"/", "/boom", "/drop"}, "never with its query"
    assert {200, 500, 502} <= {line["status"] for line in lines}
    assert all(line["request_id"] for line in lines)
    assert "secret" not in json.dumps(lines)
    assert len({line["instance"] for line in lines}) == 3
