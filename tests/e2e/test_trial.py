"""A release that is healthy but answers its users with errors: HAProxy's own counters take it back, without containers."""

from __future__ import annotations

import re
import sys

import pytest

from tests.e2e.machine import ROOT, Machine, free_port, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(120)]

FAILED = 1
SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        breaks = self.path != "/health" and os.environ["TEXT"] == "broken"
        text = os.environ["TEXT"].encode()
        self.send_response(500 if breaks else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever(0.05)
"""
WEB = """
services:
  web:
    command: {python} server.py
    ports: ["{listener}:80"]
    environment: {{TEXT: {text}}}
    deploy: {{replicas: 2}}
    stop_signal: SIGKILL
    labels: [portway.health.path=/health]
"""


def test_a_healthy_canary_whose_requests_fail_is_taken_back_with_the_figures(
    processes: Machine,
) -> None:
    listener = free_port()
    url = f"http://127.0.0.1:{listener}/"
    processes.write("server.py", SERVER)

    def write(text: str) -> None:
        processes.manifest(WEB.format(python=sys.executable, listener=listener, text=text))

    write("sound")
    processes.ok("deploy")
    write("broken")
    with Prober(url, rate_per_s=100):
        said = processes.refused("deploy", "--canary", "50%", "--bake", "100", code=FAILED)
        until(lambda: len(processes.json("ps")) == 2, why="the canary is gone")
    found = re.search(r"(\d+) of (\d+) requests \(\d+%\) to the new release failed", said)
    assert found, said
    assert int(found[2]) >= 20
    assert found[1] == found[2], "every one of them, for HAProxy counts them by server"
    assert re.search(r"\(\d+ answered 5xx\), 0 of \d+ requests \(0%\) to the old", said)
    assert [get(url) for _ in range(6)] == ["sound"] * 6
